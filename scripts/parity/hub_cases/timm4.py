"""Checkpoints of LeViT, CaiT, XCiT and PiT, as timm and transformers save them, with random weights."""

import timm
import torch
import transformers
from timm.models import save_for_hf


def shake(model, seed):
    """Random weights of which none is left at 0 or 1: matrices of variance 1 / fan_in, norms and scales about 1,
    variances 0.5 ... 1.5, biases up to 0.2, all else (tokens, tables) up to 0.5."""
    source = torch.Generator().manual_seed(seed)
    for name, x in model.state_dict().items():
        if not x.is_floating_point():
            continue
        u = torch.rand(x.shape, generator=source) * 2 - 1
        last = name.rpartition(".")[2]
        if last == "running_var" or last.startswith("gamma") or last == "temperature":
            u = 1 + 0.5 * u
        elif x.ndim == 1:
            u = 0.2 * u + (last == "weight")
        elif last == "weight":
            u = u * (3 / x[0].numel()) ** 0.5
        else:
            u = 0.5 * u
        x.copy_(u)
    return model.eval()


def functions(logits, embedding, classes):
    return dict(logits=logits, embedding=embedding) if classes else dict(embedding=embedding)


def of_timm(name, architecture, half=False, **args):
    """One of timm's architectures, `args` as create_model takes them."""

    def make(folder):
        model = shake(timm.create_model(architecture, **args), seed=len(name))
        if half:
            model = model.half()
        save_for_hf(model, folder, safe_serialization=True)
        model = model.float()
        embed = lambda x: model.forward_head(model.forward_features(x), pre_logits=True)  # noqa: E731
        return functions(model, embed, model.num_classes)

    return dict(name=name, make=make)


def of_transformers(name, model_class, half=False, **config):
    """LeViT of transformers."""

    def make(folder):
        kind = getattr(transformers, model_class)
        model = shake(kind(transformers.LevitConfig(**config)), seed=len(name))
        if half:
            model = model.half()
        model.save_pretrained(folder)
        model = model.float()
        base = getattr(model, "levit", model)
        embed = lambda x: base(x).pooler_output  # noqa: E731
        return functions(lambda x: model(x).logits, embed, hasattr(model, "classifier"))

    return dict(name=name, make=make)


LEVIT = dict(img_size=64, embed_dim=(16, 24, 32), depth=(1, 2, 1), num_heads=(1, 2, 3), key_dim=8)
HF_LEVIT = dict(
    image_size=64, hidden_sizes=[16, 24, 32], depths=[2, 1, 1], num_attention_heads=[1, 2, 3], key_dim=[8, 4, 6]
)


def levit():
    yield of_timm("levit_timm", "levit_128s", num_classes=7, **LEVIT)
    yield of_timm("levit_timm_conv_f16", "levit_conv_192", half=True, num_classes=5, **LEVIT)
    yield of_timm("levit_timm_s8_silu", "levit_384_s8", **{**LEVIT, "img_size": (24, 40)}, num_classes=3, in_chans=1)
    yield of_timm("levit_timm_plain", "levit_256d", num_classes=11, mlp_ratio=1.7, attn_ratio=(1, 1.5, 3), **LEVIT)
    yield of_timm("levit_timm_embedding", "levit_128", num_classes=0, **LEVIT)
    yield of_timm("levit_timm_128s", "levit_128s")
    yield of_transformers("levit_hf", "LevitForImageClassification", **HF_LEVIT, num_labels=5)
    yield of_transformers(
        "levit_hf_teacher_f16",
        "LevitForImageClassificationWithTeacher",
        half=True,
        **{**HF_LEVIT, "image_size": 112, "attention_ratio": [1, 2, 3], "mlp_ratio": [2, 3, 1]},
        num_labels=4,
    )
    yield of_transformers(
        "levit_hf_down_ops",
        "LevitForImageClassification",
        image_size=64,
        hidden_sizes=[16, 24],
        depths=[1, 1],
        num_attention_heads=[2, 1],
        key_dim=[8, 8],
        down_ops=[["Subsample", 4, 3, 2, 3, 2]],
    )
    yield of_transformers("levit_hf_base", "LevitModel", **HF_LEVIT)
    yield of_transformers("levit_hf_default", "LevitForImageClassificationWithTeacher")


CAIT = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3)


def cait():
    yield of_timm("cait_timm", "cait_xxs24_224", num_classes=6, **CAIT)
    yield of_timm("cait_timm_f16", "cait_s24_384", half=True, **{**CAIT, "img_size": (48, 32)}, depth_token_only=3)
    yield of_timm(
        "cait_timm_odd",
        "cait_m36_384",
        num_classes=3,
        in_chans=1,
        mlp_ratio=2.7,
        mlp_ratio_token_only=1.3,
        qkv_bias=False,
        global_pool="avg",
        **{**CAIT, "img_size": 36, "depth": 1, "embed_dim": 21},
    )
    yield of_timm("cait_timm_embedding", "cait_xs24_384", num_classes=0, **CAIT)
    yield of_timm("cait_timm_xxs24_384", "cait_xxs24_384", depth=3)


XCIT = dict(img_size=32, embed_dim=24, depth=2, num_heads=3)


def xcit():
    yield of_timm("xcit_timm_nano_p8", "xcit_nano_12_p8_224", num_classes=6, **XCIT)
    yield of_timm("xcit_timm_p16_f16", "xcit_tiny_24_p16_384", half=True, **{**XCIT, "img_size": (32, 48)})
    yield of_timm(
        "xcit_timm_odd",
        "xcit_small_12_p16_224",
        num_classes=3,
        in_chans=1,
        mlp_ratio=2.7,
        qkv_bias=False,
        use_pos_embed=False,
        tokens_norm=False,
        global_pool="avg",
        cls_attn_layers=3,
        **{**XCIT, "embed_dim": 27},
    )
    yield of_timm("xcit_timm_embedding", "xcit_large_24_p8_384", num_classes=0, **XCIT)
    yield of_timm("xcit_timm_nano_12_p16_384", "xcit_nano_12_p16_384")


PIT = dict(img_size=40, depth=(1, 2, 1), heads=(1, 2, 4), base_dims=(8, 8, 8))


def pit():
    yield of_timm("pit_timm", "pit_ti_224", num_classes=6, **PIT)
    yield of_timm("pit_timm_distilled_f16", "pit_b_distilled_224", half=True, **{**PIT, "img_size": (42, 28)})
    yield of_timm(
        "pit_timm_odd",
        "pit_s_224",
        num_classes=3,
        in_chans=1,
        img_size=33,
        patch_size=9,
        stride=5,
        mlp_ratio=2.7,
        depth=(1, 1),
        heads=(3, 3),
        base_dims=(6, 12),
    )
    yield of_timm("pit_timm_embedding", "pit_xs_distilled_224", num_classes=0, **PIT)
    yield of_timm("pit_timm_xs_distilled_224", "pit_xs_distilled_224")
    yield of_timm("pit_timm_b_224", "pit_b_224", depth=(1, 1, 1))


def cases():
    yield from levit()
    yield from cait()
    yield from xcit()
    yield from pit()
