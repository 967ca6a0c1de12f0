"""SepViT: vit_pytorch.sep_vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "sep_vit"
DOCUMENT = dict(num_classes=1000, dim=32, depth=[1, 2, 6, 2], heads=[1, 2, 4, 8], window_size=7)
TINY = dict(image_size=56, num_classes=10, dim=8, depth=[1, 1], heads=1, ff_mult=2)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    # 2 x 2 windows, then one
    Case(
        "sep_vit_tiny",
        TINY,
        image(2, 3, 56, 56),
        keep=("stages.0.blocks.0.window_attn", "stages.1.blocks.0.attn", "stages.1.blocks.0", "embedding"),
    ),
    # no square (1 x 2 windows), two heads, one stage
    Case(
        "sep_vit_odd",
        dict(TINY, image_size=[28, 56], depth=[2], heads=[2], dim=4, channels=1),
        image(1, 1, 28, 56),
        keep=("stages.0.blocks.*.window_attn", "stages.0.blocks.1"),
    ),
    Case("sep_vit_document", DOCUMENT, image(1, 3, 224, 224), parameters=4_014_728, q8="top1"),
]


def build(config):
    return vit_pytorch("sep_vit").SepViT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        for s, (_, _, transformer) in enumerate(model.layers):
            for i, (attention, ff) in enumerate(transformer.layers):
                taps.output(f"stages.{s}.blocks.{i}.attn", attention.attend)
                taps.output(f"stages.{s}.blocks.{i}.window_attn", attention.window_attend)
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: (x + y).permute(0, 2, 3, 1))
        taps.input("embedding", model.mlp_head[2])
        output = model(inputs["image"])
    return output, taps
