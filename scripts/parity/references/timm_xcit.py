"""XCiT as published: timm.models.xcit."""

import torch

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "timm_xcit"
TINY = dict(image_size=24, patch_size=8, num_classes=10, embed_dim=16, depth=1, num_heads=2, cls_attn_layers=1)
NANO = dict(patch_size=16, embed_dim=128, depth=12, num_heads=4)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case(
        "timm_xcit_tiny",
        dict(TINY, mlp_ratio=2),
        image(2, 3, 24, 24),
        keep=("pos_embedding", "blocks.*", "cls.*", "tokens"),
    ),
    # 2 x 3 patches of another image than the config's, whose sides are no multiples of 16; three heads, norms of all
    # tokens, no qkv bias, the mean of the patches
    Case(
        "timm_xcit_odd",
        dict(
            TINY,
            image_size=32,
            patch_size=16,
            in_chans=1,
            num_classes=0,
            embed_dim=21,
            num_heads=3,
            cls_attn_layers=2,
            mlp_ratio=1.3,
            qkv_bias=False,
            tokens_norm=True,
            global_pool="avg",
        ),
        image(1, 1, 20, 47),
        keep=("patch_embed", "blocks.0", "cls.*", "tokens"),
    ),
    # only the class token is normed, and nothing says where patches are
    Case(
        "timm_xcit_bare",
        dict(TINY, depth=0, cls_attn_layers=2, use_pos_embed=False, mlp_ratio=1),
        image(1, 3, 16, 16),
        keep=("tokens",),
    ),
    Case("timm_xcit_nano_12_p16_224", NANO, image(1, 3, 224, 224), parameters=3_053_224, q8="top1"),
]


def build(config):
    config = keywords(config)
    config["img_size"] = config.pop("image_size", 224)
    return timm("xcit").Xcit(**config)


@torch.no_grad()
def settle(model):
    """Layer scales about 1, where training starts from for this depth: with less all images have one winner."""
    for name, parameter in model.named_parameters():
        if ".gamma" in name:
            parameter.add_(1)


def run(model, inputs, options, wants):
    assert not options
    for attention in [block.attn for block in [*model.blocks, *model.cls_attn_blocks]]:
        attention.fused_attn = False  # the same, with a softmax that can be watched
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.patch_embed, lambda y, x: y[0])
        if model.pos_embed is not None:
            taps.output("pos_embedding", model.pos_embed, lambda y, x: y[0].flatten(1).T)
        for i, block in enumerate(model.blocks):
            taps.output(f"blocks.{i}", block)
        for i, block in enumerate(model.cls_attn_blocks):
            taps.output(f"cls.{i}", block, lambda y, x: y[:, :1])
        taps.output("tokens", model.norm)
        taps.input("embedding", model.head)
        output = model(inputs["image"])
    names = [f"blocks.{i}.xca" for i in range(len(model.blocks))]
    names += [f"cls.{i}.attn" for i in range(len(model.cls_attn_blocks))]
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
