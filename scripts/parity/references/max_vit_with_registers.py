"""MaxViT with register tokens: vit_pytorch.max_vit_with_registers. The document is max_vit's."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.max_vit import DOCUMENT, TINY, image

ARCH = "max_vit_with_registers"

CASES = [
    Case(
        "max_vit_with_registers_tiny", TINY, image(2, 3, 32, 32), keep=("blocks.?", "blocks.*.registers", "embedding")
    ),
    # no square, windows of 3, rates that are no whole numbers, one register, a stem of another width, one stage
    Case(
        "max_vit_with_registers_odd",
        dict(
            TINY,
            image_size=[12, 24],
            depth=[2],
            window_size=3,
            dim_conv_stem=5,
            mbconv_expansion_rate=1.5,
            mbconv_shrinkage_rate=0.4,
            channels=1,
            num_register_tokens=1,
        ),
        image(1, 1, 12, 24),
        keep=("stem", "blocks.*"),
    ),
    Case(
        "max_vit_with_registers_document",
        DOCUMENT,
        image(1, 3, 224, 224),
        parameters=79_997_760,
        q8="top1",
        least=0.85,
        why="off as far as max_vit, whose reference with the same roundings is off as far",
    ),
]


def build(config):
    return vit_pytorch("max_vit_with_registers").MaxViT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def run(model, inputs, options, wants):
    assert not options
    batch, pixels = len(inputs["image"]), model.window_size**2
    following = [*(conv for conv, _, _ in model.layers[1:]), model.mlp_head]
    with Taps(wants) as taps:
        taps.output("stem", model.conv_stem, lambda y, x: y.permute(0, 2, 3, 1))
        for i, (_, (block_attn, _), (grid_attn, _)) in enumerate(model.layers):
            taps.output(f"blocks.{i}.block_attn", block_attn.attend)
            taps.output(f"blocks.{i}.grid_attn", grid_attn.attend)
            # all grids of a picture are given the same registers, in front
            taps.output(f"blocks.{i}.registers", grid_attn, lambda y, x: x[:: len(x) // batch, : x.shape[1] - pixels])
            taps.output(f"blocks.{i}", following[i], lambda y, x: x.permute(0, 2, 3, 1))
        taps.input("embedding", model.mlp_head[2])
        output = model(inputs["image"])
    return output, taps
