"""Checkpoints of MobileViT and MobileViTv2, as transformers and timm save them.

cases() yields dicts: name; make(folder), which builds a model with the real library, saves it there as the library
does, and returns {"logits" or "embedding": function(pixels [B,C,H,W]) -> tensor}; and, where the pixels are not of the
config's size, size [C,H,W].
"""

import timm
import torch
from timm.models import save_for_hf
from transformers import (
    MobileViTConfig,
    MobileViTForImageClassification,
    MobileViTModel,
    MobileViTV2Config,
    MobileViTV2ForImageClassification,
    MobileViTV2Model,
)

XXS = dict(hidden_sizes=[64, 80, 96], neck_hidden_sizes=[16, 16, 24, 48, 64, 80, 320], expand_ratio=2.0)
TINY = dict(
    image_size=64,
    hidden_sizes=[8, 12, 16],
    neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
    num_attention_heads=2,
    expand_ratio=2.0,
)
# maps of 14 x 21, 7 x 11 and 4 x 6, patches of 3 x 3; no whole multiple of 8 among the expanded widths
ODD = dict(
    num_channels=1,
    image_size=[109, 168],
    hidden_sizes=[9, 15, 6],
    neck_hidden_sizes=[5, 7, 9, 11, 13, 15, 17],
    num_attention_heads=3,
    mlp_ratio=1.5,
    expand_ratio=1.7,
    conv_kernel_size=5,
    patch_size=3,
    layer_norm_eps=1e-3,
    qkv_bias=False,
    hidden_act="swish",
)
TINY2 = dict(image_size=64, width_multiplier=0.25, base_attn_unit_dims=[32, 48, 64], n_attn_blocks=[1, 2, 1])
# the same maps, of which transformers leaves out what is no whole patch
ODD2 = dict(
    num_channels=1,
    image_size=[109, 168],
    width_multiplier=0.3,
    base_attn_unit_dims=[80, 48, 30],
    n_attn_blocks=[2, 1, 3],
    expand_ratio=1.7,
    ffn_multiplier=3,
    conv_kernel_size=5,
    patch_size=3,
    layer_norm_eps=1e-3,
)


def drawn(model, channels, size):
    """The model with random weights that leave nothing at 0 or 1. Batch norms have the statistics of noise, as training
    would give them, so that values neither grow nor vanish from layer to layer."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
            tensor.mul_(0.2 if tensor.ndim == 1 else tensor[0].numel() ** -0.5)
        for module in model.modules():
            if isinstance(module, (torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.BatchNorm2d)):
                module.weight.add_(1)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
            norm.train()
        model(torch.randn((4, channels, *size), generator=generator))
        for norm in norms:
            norm.momentum = 0.1
    return model.eval()


def sides(size):
    return tuple(size) if isinstance(size, list) else (size, size)


def transformers_case(name, model_class, config, half=False, **more):
    """A model of transformers; without a head the embedding is the mean over pixels of its last map."""

    def make(folder):
        model = drawn(model_class(config, **more), config.num_channels, sides(config.image_size))
        if half:
            model = model.half()
        model.save_pretrained(folder)
        model = model.float()
        if "Classification" in model_class.__name__ and config.num_labels:
            return {"logits": lambda pixels: model(pixels).logits}
        if "Classification" in model_class.__name__:
            return {"embedding": lambda pixels: model(pixels).logits}
        return {"embedding": lambda pixels: model(pixels).last_hidden_state.mean((2, 3))}

    return dict(name=name, make=make, size=[config.num_channels, *sides(config.image_size)])


def timm_case(name, arch, size=256, half=False, **args):
    def make(folder):
        model = drawn(timm.create_model(arch, **args), args.get("in_chans", 3), sides(size))
        if half:
            model = model.half()
        save_for_hf(model, folder, model_config={}, safe_serialization=True)
        model = model.float()
        return {"logits" if model.num_classes else "embedding": model}

    return dict(name=name, make=make, size=[args.get("in_chans", 3), *sides(size)])


def cases():
    v1, v1_head, v2, v2_head = (
        MobileViTModel,
        MobileViTForImageClassification,
        MobileViTV2Model,
        MobileViTV2ForImageClassification,
    )
    for prefix, config_class, base, head, tiny, odd in (
        ("mobilevit", MobileViTConfig, v1, v1_head, TINY, ODD),
        ("mobilevitv2", MobileViTV2Config, v2, v2_head, TINY2, ODD2),
    ):
        yield transformers_case(f"{prefix}_hf_tiny", head, config_class(**tiny, num_labels=5))
        yield transformers_case(f"{prefix}_hf_odd", head, config_class(**odd, num_labels=3))
        yield transformers_case(f"{prefix}_hf_96", head, config_class(**{**tiny, "image_size": 96}, num_labels=5))
        yield transformers_case(f"{prefix}_hf_no_labels", head, config_class(**tiny, num_labels=0))
        yield transformers_case(f"{prefix}_hf_base", base, config_class(**tiny))
        yield transformers_case(f"{prefix}_hf_not_expanded", base, config_class(**tiny), expand_output=False)
        yield transformers_case(f"{prefix}_hf_fp16", head, config_class(**tiny, num_labels=5), half=True)
    yield transformers_case("mobilevit_hf_xx_small", v1_head, MobileViTConfig(**XXS, num_labels=1000))
    yield transformers_case("mobilevitv2_hf_050", v2_head, MobileViTV2Config(width_multiplier=0.5, num_labels=1000))
    for arch in ("mobilevit_xxs", "mobilevitv2_050"):
        yield timm_case(arch, arch)
        yield timm_case(f"{arch}_uneven", arch, size=[150, 96], num_classes=7)
        yield timm_case(f"{arch}_embedding", arch, size=96, num_classes=0, in_chans=1)
        yield timm_case(f"{arch}_fp16", arch, size=64, num_classes=3, half=True)
    yield timm_case("mobilevit_xxs_no_last", "mobilevit_xxs", size=64, num_classes=3, num_features=0)
    yield timm_case("mobilevit_s", "mobilevit_s")
    yield timm_case("mobilevitv2_075", "mobilevitv2_075")
    yield timm_case("mobilevitv2_100_last", "mobilevitv2_100", size=64, num_features=40)
