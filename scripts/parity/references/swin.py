"""Swin: timm.models.swin_transformer. Weights have timm's names.

Where a config's `rules` are those of transformers, windows lie as transformers' SwinLayer lays them; scripts/parity/hub
compares with transformers itself.
"""

import functools
import math

import torch
from packages import timm
from references import Case, Softmaxes, Taps

ARCH = "swin"
TINY = dict(image_size=32, num_classes=10, embed_dim=8, depths=[2, 1], num_heads=[1, 2], window_size=4, mlp_ratio=2)
# windows of 3 over maps of 6 x 11, 3 x 6 and 2 x 3: filled up, shifted along one side, shrunk; tails
ODD = dict(
    image_size=[24, 44],
    in_chans=1,
    num_classes=7,
    embed_dim=10,
    depths=[2, 2, 1],
    num_heads=[2, 5, 4],
    window_size=3,
    mlp_ratio=1.5,
    qkv_bias=False,
)
WINDOW_7 = dict(depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24])


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case(
        "swin_tiny",
        TINY,
        image(2, 3, 32, 32),
        keep=("patch_embed", "stages.0.blocks.1.attn*", "tokens", "embedding"),
    ),
    Case("swin_odd", ODD, image(1, 1, 24, 44), keep=("stages.0.blocks.1", "stages.?.blocks.1.attn", "stages.2.*")),
    # windows and patches that are no squares, an image larger than the config's, no classes, another epsilon
    Case(
        "swin_pairs",
        dict(
            TINY,
            image_size=[16, 32],
            depths=[1, 2],
            patch_size=[2, 4],
            window_size=[[4, 2], [2, 4]],
            num_classes=0,
            layer_norm_eps=0.1,
        ),
        image(1, 3, 20, 36),
        keep=("stages.1.blocks.1",),
    ),
    # an image that is no whole number of patches
    Case(
        "swin_transformers",
        dict(
            TINY, depths=[2, 2], image_size=[24, 44], window_size=3, use_absolute_embeddings=True, rules="transformers"
        ),
        image(1, 3, 23, 42),
        keep=("pos_embedding", "stages.?.blocks.1.attn"),
    ),
    Case("swin_tiny_patch4_window7_224", WINDOW_7, image(1, 3, 224, 224), parameters=28_288_354, q8="top1"),
    Case(
        "swin_s3_tiny_224",
        dict(WINDOW_7, window_size=[7, 7, 14, 7]),
        image(1, 3, 224, 224),
        taps=("stages.2.*", "embedding"),
    ),
]


def windows_of(config: dict):
    """timm takes two numbers for one window's sides."""
    given = config.get("window_size", 7)
    return [w if isinstance(w, list) else [w, w] for w in given] if isinstance(given, list) else given


def arguments(config: dict) -> dict:
    """The config as timm's keywords. The reference takes any image size, as we do."""
    ours = ("image_size", "rules", "layer_norm_eps", "use_absolute_embeddings")
    same = {key: value for key, value in config.items() if key not in ours}
    size = config.get("image_size", 224)
    return dict(same, img_size=size, window_size=windows_of(config), strict_img_size=False)


def attend(block, choose, x):
    """SwinTransformerBlock._attn in the order of transformers: pads, then rolls."""
    _, height, width, channels = x.shape
    (w, _), (shift, _) = block.window_size, block.shift_size = choose(height, width)
    module = __import__(type(block).__module__, fromlist=["window_partition"])
    x = torch.nn.functional.pad(x, (0, 0, 0, -width % w, 0, -height % w))
    padded = x.shape[1:3]
    x = torch.roll(x, (-shift, -shift), (1, 2))
    mask = block.get_attn_mask(x)
    if mask is not None and hasattr(block.attn, "logit_scale"):
        mask = mask + mask  # Swinv2SelfAttention adds it twice
    y = block.attn(module.window_partition(x, (w, w)).view(-1, w * w, channels), mask=mask).view(-1, w, w, channels)
    # the two modules take the size in different ways
    y = module.window_reverse(y, (w, w), *(padded if "v2" not in module.__name__ else [padded]))
    return torch.roll(y, (shift, shift), (1, 2))[:, :height, :width]


def choose(window: int, shift: int, height: int, width: int):
    """SwinLayer.set_shift_and_window_size"""
    shift = 0 if min(height, width) <= window else shift
    return (window, window), (shift, shift)


def finish(model, config: dict, chosen):
    """What timm's constructor has no keywords for."""
    for module in (model.patch_embed, *(stage.downsample for stage in list(model.layers)[1:])):
        module.norm.eps = 1e-5
    if config.get("use_absolute_embeddings"):
        grid = model.patch_embed.grid_size
        model.position_embeddings = torch.nn.Parameter(torch.zeros(1, math.prod(grid), config["embed_dim"]))
        model.patch_embed.register_forward_hook(lambda m, _, y: y + model.position_embeddings.view(1, *y.shape[1:]))
    if config.get("rules") == "transformers":
        model.patch_embed.dynamic_img_pad = True
        for s, stage in enumerate(model.layers):
            for i, block in enumerate(stage.blocks):
                block._attn = functools.partial(attend, block, chosen(s, i, block))
    return model


def build(config):
    norm = functools.partial(torch.nn.LayerNorm, eps=config.get("layer_norm_eps", 1e-5))
    model = timm("swin_transformer").SwinTransformer(norm_layer=norm, **arguments(config))
    window = config.get("window_size", 7)
    return finish(model, config, lambda s, i, block: functools.partial(choose, window, i % 2 * (window // 2)))


def biases(block):
    """[heads,N,N], as WindowAttention.forward makes them."""
    return block.attn._get_rel_pos_bias()[0]


def run(model, inputs, options, wants, biases=biases):
    assert not options
    tokens = lambda y, x: y.flatten(1, 2)  # noqa: E731
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.patch_embed.norm, tokens)
        for s, stage in enumerate(model.layers):
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block)
        taps.output("tokens", model.norm, tokens)
        taps.output("embedding", model.head.global_pool)
        output = model(inputs["image"])
    names = [f"stages.{s}.blocks.{i}.attn" for s, stage in enumerate(model.layers) for i in range(len(stage.blocks))]
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    for name in names:
        if wants(f"{name}_bias"):
            taps[f"{name}_bias"] = biases(model.get_submodule(name.replace("stages", "layers").removesuffix(".attn")))
    if hasattr(model, "position_embeddings"):
        taps["pos_embedding"] = model.position_embeddings[0]
    return output, taps
