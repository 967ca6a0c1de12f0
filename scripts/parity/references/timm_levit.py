"""LeViT as published: timm.models.levit."""

import torch

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "timm_levit"
TINY = dict(image_size=32, num_classes=10, embed_dim=[8, 12], depths=[1, 1], num_heads=[1, 2], key_dim=4)
RENAMED = dict(image_size="img_size", depths="depth")


def image(*dims):
    return dict(image=list(dims))


def published(embed_dim, depths, num_heads, key_dim):
    return dict(embed_dim=embed_dim, depths=depths, num_heads=num_heads, key_dim=key_dim)


CASES = [
    Case(
        "timm_levit_tiny",
        TINY,
        image(2, 3, 32, 32),
        keep=("patch_embed", "stages.1.*", "embedding"),
    ),
    # 3 x 5 tokens, then 2 x 3; 1x1 convolutions, the stem of three, another activation and one more in attention,
    # ratios that are no whole numbers, one head, one channel; no classes
    Case(
        "timm_levit_conv",
        dict(
            TINY,
            image_size=[24, 40],
            in_chans=1,
            num_classes=0,
            embed_dim=[10, 14],
            num_heads=[3, 1],
            key_dim=5,
            attn_ratio=[1.5, 2.5],
            mlp_ratio=[1.5, 2.4],
            stem_type="s8",
            act_layer="silu",
            attn_act_layer="gelu",
            use_conv=True,
        ),
        image(1, 1, 24, 40),
        keep=("stages.1.*",),
    ),
    Case(
        "timm_levit_128s",
        published([128, 256, 384], [2, 3, 4], [4, 6, 8], 16),
        image(1, 3, 224, 224),
        parameters=7_777_058,
        q8="top1",
    ),
]


def build(config):
    levit = timm("levit")
    config = {RENAMED.get(key, key): value for key, value in keywords(config).items()}
    return (levit.LevitDistilled if config.pop("distilled", True) else levit.Levit)(**config)


@torch.no_grad()
def settle(model):
    """What each half of a block adds, a quarter as large. Training starts from 0 here; with 1 the values grow until
    softmaxes choose single tokens, and the reference in f32 is off by 1e-4 from itself in double."""
    for name, parameter in model.named_parameters():
        if name.endswith(("proj.ln.bn.weight", "mlp.ln2.bn.weight")) and "attn_downsample" not in name:
            parameter.mul_(0.25)


def flat(y, x=None):
    """A map or tokens as tokens."""
    return y.flatten(2).transpose(1, 2) if y.ndim == 4 else y


def run(model, inputs, options, wants):
    assert not options
    names, attentions = [], []
    for s, stage in enumerate(model.stages):
        if s:
            names.append(f"stages.{s}.downsample")
            attentions.append(stage.downsample.attn_downsample)
        for i, block in enumerate(stage.blocks):
            names.append(f"stages.{s}.blocks.{i}")
            attentions.append(block.attn)
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.stem, flat)
        for s, stage in enumerate(model.stages):
            if s:
                taps.output(f"stages.{s}.downsample", stage.downsample, flat)
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block, flat)
        taps.output("tokens", model.stages, flat)
        taps.output("embedding", model.stages, lambda y, x: flat(y).mean(1))
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    for name, attention, value in zip(names, attentions, softmaxes.values):
        taps[f"{name}.attn"] = value
        taps[f"{name}.attn_bias"] = attention.attention_biases[:, attention.attention_bias_idxs]
    return output, {name: value for name, value in taps.items() if wants(name)}
