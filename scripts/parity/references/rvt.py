"""Rotary ViT: vit_pytorch.rvt."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "rvt"
CASES = [
    # 9 tokens and the class token, whose query has a projection, as 12 is not 2 * 8
    Case(
        "rvt_tiny",
        dict(TINY, image_size=12, patch_size=4, dim=12, mlp_dim=10),
        image(2, 3, 12, 12),
        keep=("patch_embed", "blocks.*", "embedding"),
    ),
    # two numbers of each head are not turned; the class token's query is what the norm gave; a single patch
    Case(
        "rvt_tails",
        dict(TINY, image_size=16, dim=18, depth=1, heads=3, dim_head=6, mlp_dim=9, num_classes=7, channels=1),
        image(1, 1, 16, 16),
        keep=("blocks.*",),
    ),
    Case("rvt_one_patch", dict(TINY, depth=1, use_glu=False), image(1, 3, 8, 8), keep=("blocks.0",)),
    Case(
        "rvt_plain", dict(TINY, depth=1, use_rotary=False, use_ds_conv=False), image(1, 3, 16, 16), keep=("blocks.*",)
    ),
    Case(
        "rvt_document",
        dict(STD, patch_size=16, heads=8, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=55_511_016,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("rvt").RvT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            heads = attention.heads
            taps.output(f"blocks.{i}.attn", attention.attend, lambda y, x: y.unflatten(0, (-1, heads)))
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    return output, taps
