"""MaxViT: vit_pytorch.max_vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "max_vit"
DOCUMENT = dict(
    num_classes=1000,
    dim_conv_stem=64,
    dim=96,
    dim_head=32,
    depth=[2, 2, 5, 2],
    window_size=7,
    mbconv_expansion_rate=4,
    mbconv_shrinkage_rate=0.25,
)
TINY = dict(image_size=32, num_classes=10, dim=8, dim_head=4, depth=[2, 1], window_size=4, mbconv_expansion_rate=2)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("max_vit_tiny", TINY, image(2, 3, 32, 32), keep=("blocks.?", "blocks.2.*", "embedding")),
    # no square, windows of 3, rates that are no whole numbers, a stem of another width, one stage
    Case(
        "max_vit_odd",
        dict(
            TINY,
            image_size=[12, 24],
            depth=[2],
            window_size=3,
            dim_conv_stem=5,
            mbconv_expansion_rate=1.5,
            mbconv_shrinkage_rate=0.4,
            channels=1,
        ),
        image(1, 1, 12, 24),
        keep=("stem", "blocks.*"),
    ),
    Case(
        "max_vit_document",
        DOCUMENT,
        image(1, 3, 224, 224),
        parameters=79_981_380,
        q8="top1",
        least=0.75,
        why="the roundings alone, in the reference, change as many; those of weights make two fifths of the squared "
        "error, no layer stands out",
    ),
]


def build(config):
    return vit_pytorch("max_vit").MaxViT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("stem", model.conv_stem, lambda y, x: y.permute(0, 2, 3, 1))
        for i, block in enumerate(model.layers):
            taps.output(f"blocks.{i}.block_attn", block[2].fn.attend)
            taps.output(f"blocks.{i}.grid_attn", block[6].fn.attend)
            taps.output(f"blocks.{i}", block, lambda y, x: y.permute(0, 2, 3, 1))
        taps.input("embedding", model.mlp_head[2])
        output = model(inputs["image"])
    return output, taps
