"""SimpleViT: vit_pytorch.simple_vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "simple_vit"
STD = dict(image_size=256, patch_size=32, num_classes=1000, dim=1024, depth=6, heads=16, mlp_dim=2048)
TINY = dict(image_size=16, patch_size=8, num_classes=10, dim=16, depth=2, heads=2, mlp_dim=32, dim_head=8)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("simple_vit_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    Case(
        "simple_vit_tails",
        dict(TINY, num_classes=7, dim=20, heads=3, dim_head=5, mlp_dim=27),
        image(1, 3, 16, 16),
        keep=("*",),
    ),
    # rows and columns of the table must not be exchanged: 2 x 3 patches
    Case(
        "simple_vit_nonsquare",
        dict(TINY, image_size=[16, 12], patch_size=[8, 4], channels=1),
        image(1, 1, 16, 12),
        keep=("pos_embedding", "blocks.*"),
    ),
    # one head as wide as the model keeps its projection here, unlike in ViT
    Case("simple_vit_one_head", dict(TINY, heads=1, dim_head=16), image(1, 3, 16, 16), keep=("blocks.*",)),
    Case("simple_vit_std", STD, image(1, 3, 256, 256), parameters=54_556_648, q8="top1"),
    Case("simple_vit_std_nonsquare", dict(STD, image_size=[256, 128], patch_size=[32, 16]), image(1, 3, 256, 128)),
]


def build(config):
    return vit_pytorch("simple_vit").SimpleViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (*_, attention, feed_forward) in enumerate(model.transformer.layers):  # variants have more in front
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.linear_head)
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding
    return output, taps
