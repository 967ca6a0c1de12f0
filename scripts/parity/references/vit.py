"""ViT: vit_pytorch.vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "vit"
STD = dict(image_size=256, patch_size=32, num_classes=1000, dim=1024, depth=6, heads=16, mlp_dim=2048)
TINY = dict(image_size=16, patch_size=8, num_classes=10, dim=16, depth=2, heads=2, mlp_dim=32, dim_head=8)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("vit_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # no width here is a multiple of 4: every vector loop has a tail
    Case(
        "vit_tails",
        dict(TINY, num_classes=7, dim=20, heads=3, dim_head=5, mlp_dim=27),
        image(1, 3, 16, 16),
        keep=("*",),
    ),
    Case("vit_mean", dict(TINY, pool="mean", num_classes=3), image(1, 3, 16, 16), keep=("*",)),
    # a grid that is no square, patches that are none: 4 x 2 of 4 x 8
    Case(
        "vit_nonsquare",
        dict(TINY, image_size=[16, 16], patch_size=[4, 8]),
        image(2, 3, 16, 16),
        keep=("embedding", "blocks.*"),
    ),
    Case(
        "vit_nonsquare_image",
        dict(TINY, image_size=[24, 8], patch_size=[6, 4]),
        image(1, 3, 24, 8),
        keep=("patch_embed", "blocks.1"),
    ),
    # smaller than image_size: the first rows of the position table, 2 x 3 patches of a 4 x 4 table
    Case("vit_smaller_image", dict(TINY, image_size=32), image(1, 3, 16, 24), keep=("pos_embedding", "blocks.*")),
    # one head as wide as the model: the reference leaves the output projection out
    Case("vit_one_head", dict(TINY, heads=1, dim_head=16), image(1, 3, 16, 16), keep=("blocks.*",)),
    Case("vit_one_head_projected", dict(TINY, heads=1, dim_head=12), image(1, 3, 16, 16), keep=("blocks.*",)),
    # without a head the tokens are the output
    Case("vit_headless", dict(TINY, num_classes=0), image(2, 3, 16, 16), keep=("blocks.1",)),
    Case("vit_headless_mean", dict(TINY, num_classes=0, pool="mean"), image(1, 3, 16, 16), keep=("blocks.1",)),
    Case(
        "vit_grey",
        dict(TINY, channels=1, dropout=0.1, emb_dropout=0.1),
        image(3, 1, 16, 16),
        keep=("patch_embed", "embedding"),
    ),
    # 65 tokens, dim_head left to its default of 64
    Case(
        "vit_long",
        dict(image_size=32, patch_size=4, num_classes=5, dim=24, depth=1, heads=1, mlp_dim=40),
        image(1, 3, 32, 32),
        keep=("embedding",),
    ),
    Case("vit_std", dict(STD, dropout=0.1, emb_dropout=0.1), image(1, 3, 256, 256), parameters=54_630_376, q8="top1"),
    Case("vit_std_mean", dict(STD, pool="mean"), image(1, 3, 256, 256)),
    Case("vit_std_nonsquare", dict(STD, image_size=[256, 128], patch_size=[32, 16]), image(1, 3, 256, 128)),
    Case("vit_std_smaller_image", STD, image(1, 3, 128, 192)),
]


def build(config):
    return vit_pytorch("vit").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    x = inputs["image"]
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        if model.mlp_head is not None:
            taps.input("embedding", model.mlp_head)
        output = model(x)
    patch_height, patch_width = model.patch_size
    used = x.shape[2] // patch_height * (x.shape[3] // patch_width) + len(model.cls_token)
    taps["pos_embedding"] = model.pos_embedding[:used]
    return output, taps
