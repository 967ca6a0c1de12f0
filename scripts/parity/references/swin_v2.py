"""Swin V2: timm.models.swin_transformer_v2. Weights have timm's names. The rules of transformers: see swin.py."""

import functools

import torch
from packages import timm
from references import Case
from references.swin import ODD, TINY, WINDOW_7, arguments, finish, image, run as run_swin

ARCH = "swin_v2"
WINDOW_8 = dict(WINDOW_7, image_size=256, window_size=8)

CASES = [
    Case(
        "swin_v2_tiny",
        TINY,
        image(2, 3, 32, 32),
        keep=("stages.0.blocks.1", "stages.0.blocks.1.attn*", "embedding"),
    ),
    Case(
        "swin_v2_odd",
        dict(ODD, depths=[2, 1, 1], pretrained_window_sizes=[5, 0, 1], layer_norm_eps=0.1),
        image(1, 1, 24, 44),
        keep=("stages.0.blocks.1.attn", "stages.*.blocks.0.attn_bias"),
    ),
    # windows as the height of 6, 3 and 1 has them, over 6 x 11, 3 x 6 and 2 x 3; no classes
    Case(
        "swin_v2_transformers",
        dict(
            TINY,
            image_size=[24, 44],
            depths=[2, 1, 1],
            num_heads=[1, 2, 4],
            window_size=3,
            num_classes=0,
            rules="transformers",
        ),
        image(1, 3, 24, 44),
        keep=("stages.?.blocks.?.attn",),
    ),
    Case(
        "swinv2_tiny_window8_256",
        WINDOW_8,
        image(1, 3, 256, 256),
        parameters=28_347_154,
        q8="top1",
        least=0.9,
        why="near ties; the roundings alone, in the reference, are off as far",
    ),
    Case(
        "swinv2_tiny_window16_256_from_12",
        dict(WINDOW_8, window_size=16, pretrained_window_sizes=[12, 12, 12, 6]),
        image(1, 3, 256, 256),
        taps=("stages.*.blocks.1", "embedding"),
    ),
]


def choose(s: int, i: int, block, image_size, window: int):
    """Swinv2Layer.__init__: by the height of the config's image."""
    height = image_size[0] // 4 >> s
    shift = 0 if height <= window else i % 2 * (window // 2)
    window = min(height, window)
    block.attn.set_window_size((window, window))
    return lambda *_: ((window, window), (shift, shift))


def build(config):
    norm = functools.partial(torch.nn.LayerNorm, eps=config.get("layer_norm_eps", 1e-5))
    model = timm("swin_transformer_v2").SwinTransformerV2(norm_layer=norm, **arguments(config))
    chosen = functools.partial(choose, image_size=config.get("image_size"), window=config.get("window_size"))
    return finish(model, config, chosen)


def biases(block):
    """[heads,N,N], as WindowAttention.forward makes them."""
    attn = block.attn
    n = attn.window_size[0] * attn.window_size[1]
    table = attn.cpb_mlp(attn.relative_coords_table).view(-1, attn.num_heads)
    return 16 * torch.sigmoid(table[attn.relative_position_index.view(-1)].view(n, n, -1).permute(2, 0, 1))


def run(model, inputs, options, wants):
    return run_swin(model, inputs, options, wants, biases)
