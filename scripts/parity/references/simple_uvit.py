"""SimpleUViT: vit_pytorch.simple_uvit."""

from packages import vit_pytorch
from references import Case, keywords
from references.simple_vit import STD, TINY, image, run  # noqa: F401

ARCH = "simple_uvit"

CASES = [
    Case("simple_uvit_tiny", dict(TINY, depth=3), image(2, 3, 16, 16), keep=("*",)),
    Case(
        "simple_uvit_even",
        dict(
            TINY,
            image_size=[16, 12],
            patch_size=[8, 4],
            channels=1,
            dim=20,
            depth=4,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            num_register_tokens=3,
        ),
        image(1, 1, 16, 12),
        keep=("blocks.2", "blocks.3", "embedding"),
    ),
    Case("simple_uvit_document", STD, image(1, 3, 256, 256), parameters=60_855_272, q8="top1"),
]


def build(config):
    return vit_pytorch("simple_uvit").SimpleUViT(**keywords(config))
