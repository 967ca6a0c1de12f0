"""PiT: vit_pytorch.pit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "pit"
DOCUMENT = dict(image_size=224, patch_size=14, dim=256, num_classes=1000, depth=[3, 3, 3], heads=16, mlp_dim=2048)
TINY = dict(image_size=12, patch_size=4, dim=8, num_classes=10, depth=[1, 1], heads=2, mlp_dim=24, dim_head=6)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("pit_tiny", TINY, image(2, 3, 12, 12), keep=("*",)),
    # an odd patch, heads of each stage their own, one head as wide as the tokens (no projection), one input channel
    Case(
        "pit_tails",
        dict(
            TINY, image_size=15, patch_size=5, channels=1, depth=[1, 1, 1], heads=[2, 1, 3], dim_head=16, num_classes=7
        ),
        image(1, 1, 15, 15),
        keep=("patch_embed", "stages.*", "embedding"),
    ),
    Case("pit_document", DOCUMENT, image(1, 3, 224, 224), parameters=47_499_752, q8="top1", least=0.9, why="near ties"),
]


def build(config):
    return vit_pytorch("pit").PiT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for s, transformer in enumerate(model.layers[::2]):
            for i, (attention, ff) in enumerate(transformer.layers):
                taps.output(f"stages.{s}.blocks.{i}.attn", attention.attend)
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: x + y)
        taps.input("embedding", model.mlp_head[1])
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding[0]
    return output, taps
