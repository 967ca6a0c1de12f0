"""NesT: vit_pytorch.nest."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "nest"
DOCUMENT = dict(
    image_size=224, patch_size=4, dim=96, heads=3, num_hierarchies=3, block_repeats=[2, 2, 8], num_classes=1000
)
TINY = dict(
    image_size=16, patch_size=4, dim=8, heads=1, num_hierarchies=2, block_repeats=[1, 2], mlp_mult=2, num_classes=10
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("nest_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # heads that do not divide the width, one number for all hierarchies, three of them, one input channel
    Case(
        "nest_tails",
        dict(
            TINY,
            image_size=24,
            patch_size=2,
            dim=10,
            heads=3,
            num_hierarchies=3,
            block_repeats=1,
            channels=1,
            num_classes=7,
        ),
        image(1, 1, 24, 24),
        keep=("stages.?", "stages.2.blocks.0.attn"),
    ),
    Case("nest_document", DOCUMENT, image(1, 3, 224, 224), parameters=16_520_692, q8="top1"),
]


def build(config):
    return vit_pytorch("nest").NesT(**keywords(config))


def last(y):
    return y.permute(0, 2, 3, 1)


def tokens(y):
    return y.flatten(2).transpose(1, 2)


def run(model, inputs, options, wants):
    assert not options
    levels = len(model.layers)
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, lambda y, x: tokens(y))
        for l, (transformer, _) in enumerate(model.layers):
            side = 2 ** (levels - 1 - l)

            def whole(y, x, side=side):
                return last(y.unflatten(0, (-1, side, side)).permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3, 4))

            taps.output(f"stages.{l}", transformer, whole)
            for i, (attention, ff) in enumerate(transformer.layers):
                taps.output(f"stages.{l}.blocks.{i}.attn", attention.attend)
                taps.output(f"stages.{l}.blocks.{i}", ff, lambda y, x: tokens(x + y))
        taps.input("embedding", model.mlp_head[2])
        output = model(inputs["image"])
    return output, taps
