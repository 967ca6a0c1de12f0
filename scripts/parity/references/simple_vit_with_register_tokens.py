"""SimpleViT with register tokens: vit_pytorch.simple_vit_with_register_tokens."""

from packages import vit_pytorch
from references import Case, keywords
from references.simple_vit import STD, TINY, image, run  # noqa: F401

ARCH = "simple_vit_with_register_tokens"

CASES = [
    Case("simple_vit_with_register_tokens_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    Case(
        "simple_vit_with_register_tokens_odd",
        dict(
            TINY,
            image_size=[16, 12],
            patch_size=[8, 4],
            channels=1,
            dim=20,
            depth=1,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            num_register_tokens=3,
        ),
        image(1, 1, 16, 12),
        keep=("blocks.*", "embedding"),
    ),
    Case("simple_vit_with_register_tokens_document", STD, image(1, 3, 256, 256), parameters=54_560_744, q8="top1"),
]


def build(config):
    return vit_pytorch("simple_vit_with_register_tokens").SimpleViT(**keywords(config))
