"""MobileViT: vit_pytorch.mobile_vit. It takes image_size and patch_size as pairs only."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "mobile_vit"
DOCUMENT = dict(
    image_size=[256, 256], dims=[96, 120, 144], channels=[16, 32, 48, 48, 64, 64, 80, 80, 96, 96, 384], num_classes=1000
)
TINY = dict(
    image_size=[64, 64],
    dims=[8, 12, 8],
    channels=[4, 8, 8, 8, 8, 8, 6, 6, 8, 8, 16],
    num_classes=10,
    expansion=2,
    depths=[1, 1, 1],
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("mobile_vit_tiny", TINY, image(2, 3, 64, 64), keep=("stages.?", "stages.1.*.attn", "stages.2.*", "embedding")),
    # no expansion, no square, patches of 1 x 3
    Case(
        "mobile_vit_narrow",
        dict(TINY, image_size=[32, 96], expansion=1, patch_size=[1, 3], depths=[1, 2, 0]),
        image(1, 3, 32, 96),
        keep=("stem", "stages.1.*", "stages.?"),
    ),
    Case(
        "mobile_vit_document",
        DOCUMENT,
        image(1, 3, 256, 256),
        parameters=2_382_944,
        q8="top1",
        least=0.8,
        why="the roundings alone, in the reference, change as many; those of the stem's activations make half of the "
        "squared error",
    ),
]


def build(config):
    return vit_pytorch("mobile_vit").MobileViT(**keywords(config))


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("stem", model.stem[3], lambda y, x: last(y))
        for s, (_, block) in enumerate(model.trunk):
            taps.output(f"stages.{s}", block, lambda y, x: last(y))
            for i, (attention, ff) in enumerate(block.transformer.layers):
                taps.output(f"stages.{s}.blocks.{i}.attn", attention.attend, lambda y, x: y.flatten(0, 1))
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: (x + y).flatten(0, 1))
        taps.input("embedding", model.to_logits[2])
        output = model(inputs["image"])
    return output, taps
