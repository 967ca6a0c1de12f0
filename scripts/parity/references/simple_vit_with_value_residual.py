"""SimpleViT with value residual: vit_pytorch.simple_vit_with_value_residual."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references import simple_vit
from references.simple_vit import STD, TINY, image

ARCH = "simple_vit_with_value_residual"

CASES = [
    Case("simple_vit_with_value_residual_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # a third layer goes on with the first one's values
    Case(
        "simple_vit_with_value_residual_tails",
        dict(
            TINY, image_size=[16, 12], patch_size=[8, 4], channels=1, dim=20, depth=3, heads=3, dim_head=5, mlp_dim=27
        ),
        image(1, 1, 16, 12),
        keep=("blocks.2.*", "embedding"),
    ),
    Case("simple_vit_with_value_residual_document", STD, image(1, 3, 256, 256), parameters=54_638_648, q8="top1"),
]


def build(config):
    return vit_pytorch("simple_vit_with_value_residual").SimpleViT(**keywords(config))


def run(model, inputs, options, wants):
    with Taps(wants) as taps:
        for i, (attention, _) in list(enumerate(model.transformer.layers))[1:]:
            taps.output(f"blocks.{i}.value_shares", attention.to_residual_mix, lambda y, x: y[..., 0].transpose(1, 2))
        output, rest = simple_vit.run(model, inputs, options, wants)
    return output, {**rest, **taps}
