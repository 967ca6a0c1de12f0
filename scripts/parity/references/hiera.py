"""Hiera: timm.models.hiera, with timm's names."""

import torch

from packages import timm, without_torchvision
from references import Case, Softmaxes, Taps, keywords
from references.hf_cvt import image

ARCH = "hiera"
CASES = [
    # mask units of 2 x 2 in the first stage and in the second's first block, which pools
    Case(
        "hiera_tiny",
        dict(image_size=32, num_classes=10, embed_dims=[8, 16], depths=[1, 2], num_heads=[1, 2], mask_unit_attn=1),
        image(2, 3, 32, 32),
        keep=("patch_embed", "blocks.*", "tokens", "embedding"),
    ),
    # no square; three stages, of which the last does not pool; windows to the end; positions of windows, widths joined
    # of maximum and mean, layer scale; other patches, one channel, tails
    Case(
        "hiera_odd",
        dict(
            image_size=[24, 36],
            in_chans=1,
            num_classes=7,
            embed_dims=[5, 10, 20],
            depths=[1, 1, 1],
            num_heads=[1, 2, 4],
            mlp_ratio=2.5,
            q_pool=1,
            mask_unit_attn=3,
            patch_kernel=[5, 3],
            patch_stride=[3, 3],
            patch_padding=[1, 0],
            use_expand_proj=False,
            layer_scale=True,
            abs_win_pos_embed=True,
            global_pos_size=[3, 15],
        ),
        image(1, 1, 24, 36),
        keep=("pos_embedding", "blocks.*", "embedding"),
    ),
    # attention to all from the first block on; no classes: the embedding is the output
    Case(
        "hiera_bare",
        dict(
            image_size=16,
            num_classes=0,
            embed_dims=[4, 8],
            depths=[1, 1],
            num_heads=[2, 4],
            mask_unit_attn=0,
            norm_eps=1e-3,
        ),
        image(1, 3, 16, 16),
        keep=("blocks.*", "embedding"),
    ),
    Case("hiera_tiny_224", dict(depths=[1, 2, 7, 2]), image(1, 3, 224, 224), parameters=27_910_216, q8="top1"),
    Case(
        "hiera_small_abswin_256",
        dict(
            depths=[1, 2, 11, 2],
            image_size=256,
            abs_win_pos_embed=True,
            global_pos_size=16,
            layer_scale=True,
            use_expand_proj=False,
        ),
        image(1, 3, 256, 256),
        taps=("blocks.*0", "embedding"),
        parameters=34_361_800,
    ),
]


def build(config):
    config = keywords(dict(config))
    pair = lambda key, usual: to_pair(config.pop(key, usual))  # noqa: E731
    library, layers = timm("hiera"), without_torchvision("timm.layers")
    layers.set_fused_attn(False)  # so that there are softmaxes to keep
    dims, depths = config.pop("embed_dims", (96, 192, 384, 768)), config.pop("depths")
    heads, stages = config.pop("num_heads", (1, 2, 4, 8)), len(depths)
    eps, units = config.pop("norm_eps", 1e-6), config.pop("mask_unit_attn", 2)
    return library.Hiera(
        img_size=pair("image_size", 224),
        embed_dim=dims[0],
        num_heads=heads[0],
        stages=tuple(depths),
        q_pool=config.pop("q_pool", stages - 1),
        mask_unit_size=(2 ** (stages - 1),) * 2,
        mask_unit_attn=tuple(s < units for s in range(stages)),
        patch_kernel=pair("patch_kernel", 7),
        patch_stride=pair("patch_stride", 4),
        patch_padding=pair("patch_padding", 3),
        global_pos_size=pair("global_pos_size", 14),
        init_values=1.0 if config.pop("layer_scale", False) else None,
        norm_layer=lambda dim, **kw: layers.LayerNorm(dim, eps=eps, **kw),
        **config,
    )


def to_pair(value):
    return value if isinstance(value, tuple) else (value, value)


def windows_of(x, side):
    """A map [B,H,W,C] in windows: [B * windows, side * side, C]."""
    b, h, w, c = x.shape
    return x.reshape(b, h // side, side, w // side, side, c).transpose(2, 3).reshape(-1, side * side, c)


def order_of(model, size, pools, side):
    """Where a window's tokens lie in the reference's order, row by row; side None: the tokens of the whole map."""
    library = timm("hiera")
    unroll = library.Unroll(size, (1, 1), model.unroll.schedule[pools:])
    at = unroll(torch.arange(size[0] * size[1], dtype=torch.float64).reshape(1, -1, 1)).reshape(-1)
    if side:
        at = at.reshape(side * side, -1)[:, 0]
    return at.argsort()


def run(model, inputs, options, wants):
    assert not options
    size, ends = list(model.unroll.size), model.stage_ends
    flat = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.patch_embed.proj, lambda y, x: y.permute(0, 2, 3, 1))
        for i, block in enumerate(model.blocks):
            block.register_forward_hook(lambda _, args, y, i=i: flat.append(model.reroll(y, i)))
        taps.input("embedding", model.head.fc)
        output = model(inputs["image"])
    taps["pos_embedding"] = model._pos_embed(torch.zeros((), dtype=output.dtype))[0]
    taps["tokens"] = flat[-1].flatten(1, 2)
    pools = 0
    for i, (block, probabilities) in enumerate(zip(model.blocks, softmaxes.values)):
        after = pools + (block.attn.q_stride > 1)
        side = model.mask_unit_size[0] if block.attn.use_mask_unit_attn else None
        of = [order_of(model, [n >> p for n in size], p, side and side >> p) for p in (after, pools)]
        probabilities = probabilities[..., of[0], :][..., of[1]]
        if side:
            probabilities = probabilities.transpose(1, 2).flatten(0, 1)
        taps[f"blocks.{i}.attn"] = probabilities
        taps[f"blocks.{i}"] = windows_of(flat[i], side >> after) if side else flat[i].flatten(1, 2)
        pools = after
    assert len(ends) and len(softmaxes.values) == len(model.blocks)
    return output, taps
