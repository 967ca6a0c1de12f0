"""CaiT as published: timm.models.cait."""

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "timm_cait"
TINY = dict(image_size=16, patch_size=8, num_classes=10, embed_dim=12, depth=1, num_heads=2, depth_token_only=1)
XXS24 = dict(image_size=224, embed_dim=192, depth=24, num_heads=4)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case(
        "timm_cait_tiny",
        dict(TINY, mlp_ratio=2, mlp_ratio_token_only=1),
        image(2, 3, 16, 16),
        keep=("*",),
    ),
    # 2 x 3 patches of 5 x 4, and pixels beyond them; three heads, no qkv bias, the mean of the patches, ratios that are
    # no whole numbers
    Case(
        "timm_cait_odd",
        dict(
            TINY,
            image_size=[11, 15],
            patch_size=[5, 4],
            in_chans=1,
            num_classes=0,
            embed_dim=21,
            num_heads=3,
            depth_token_only=2,
            mlp_ratio=1.3,
            mlp_ratio_token_only=1.7,
            qkv_bias=False,
            global_pool="avg",
        ),
        image(1, 1, 11, 15),
        keep=("blocks.0.mixed", "cls.1", "cls.1.attn", "tokens", "pos_embedding"),
    ),
    Case("timm_cait_xxs24_224", XXS24, image(1, 3, 224, 224), parameters=11_956_264, q8="top1"),
]


def build(config):
    config = keywords(config)
    config["img_size"] = config.pop("image_size")
    return timm("cait").Cait(**config)


def run(model, inputs, options, wants):
    assert not options
    cait = timm("cait")
    fused = [m for m in model.modules() if isinstance(m, cait.ClassAttn)]
    for attention in fused:
        attention.fused_attn = False  # the same, with a softmax that can be watched
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.patch_embed)
        for i, block in enumerate(model.blocks):
            taps.output(f"blocks.{i}", block)
            taps.output(f"blocks.{i}.mixed", block.attn.proj_w, lambda y, x: y.permute(0, 3, 1, 2))
        for i, block in enumerate(model.blocks_token_only):
            taps.output(f"cls.{i}", block)
        taps.output("tokens", model.norm)
        taps.input("embedding", model.head)
        output = model(inputs["image"])
    names = [f"blocks.{i}.attn" for i in range(len(model.blocks))]
    names += [f"cls.{i}.attn" for i in range(len(model.blocks_token_only))]
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    taps["pos_embedding"] = model.pos_embed[0]
    return output, taps
