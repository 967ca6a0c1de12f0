"""SimpleViT with normed queries and keys: vit_pytorch.simple_vit_with_qk_norm."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.simple_vit import STD, TINY, image

ARCH = "simple_vit_with_qk_norm"

CASES = [
    Case("simple_vit_with_qk_norm_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    Case(
        "simple_vit_with_qk_norm_tails",
        dict(
            TINY, image_size=[16, 12], patch_size=[8, 4], channels=1, dim=20, depth=1, heads=3, dim_head=5, mlp_dim=27
        ),
        image(1, 1, 16, 12),
        keep=("*",),
    ),
    Case("simple_vit_with_qk_norm_document", STD, image(1, 3, 256, 256), parameters=53_545_984, q8="cosine"),
]


def build(config):
    return vit_pytorch("simple_vit_with_qk_norm").SimpleViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.output("embedding", model.linear_head)
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding
    return output, taps
