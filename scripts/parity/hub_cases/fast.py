"""Checkpoints of TinyViT and FastViT as timm writes them, and what timm says of pixels.

cases() yields dict(name, make). make(folder) builds a model with random weights, none left at 0 or 1, saves it with
timm.models.save_for_hf and returns dict(logits=f) or dict(embedding=f), where f takes pixels [B,C,H,W] and gives the
model's output. `size` of a case is that of the pixels.
"""

import timm
import torch
from timm.models import reparameterize_model, save_for_hf

TINY = dict(embed_dims=[16, 24, 32, 48], depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 3], window_sizes=[7, 3, 4, 2])
FAST = dict(layers=[1, 1, 2, 1], embed_dims=[16, 32, 64, 128])
FIVE = dict(layers=[1, 1, 1, 1, 2], embed_dims=[8, 16, 32, 64, 128])


def fill(model: torch.nn.Module) -> None:
    """Random numbers of the sizes that training gives, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.rand(value.shape, generator=generator) * 2 - 1
        fan_in = max(1, value[0].numel() if value.ndim > 1 else 1)
        if name.endswith("running_var"):
            noise = 1 + noise / 2
        elif value.ndim == 1 or name.endswith("gamma"):
            noise = noise * 0.2 + (1 if name.endswith(("weight", "gamma")) else 0)
        elif name.endswith("weight"):
            noise *= (3 / fan_in) ** 0.5
        value.copy_(noise)


def case(name, architecture, size, answer="logits", half=False, summed=False, config=None, **given) -> dict:
    @torch.no_grad()
    def make(folder) -> dict:
        model = timm.create_model(architecture, **given).eval()
        fill(model)
        if half:
            model = model.half()
        if summed:
            model = reparameterize_model(model)
        save_for_hf(model, folder, model_config=config, safe_serialization=True)
        model = model.float()
        return {answer: torch.no_grad()(lambda pixels: model(pixels))}

    return dict(name=name, make=make, size=size)


def cases():
    labels = dict(label_names=[f"kind {i}" for i in range(5)])
    yield case("tiny_vit_small", "tiny_vit_5m_224", [3, 96, 96], num_classes=5, config=labels, **TINY)
    yield case("tiny_vit_odd", "tiny_vit_21m_384", [1, 75, 110], num_classes=7, in_chans=1, half=True, **TINY)
    yield case(
        "tiny_vit_ratios",
        "tiny_vit_11m_224",
        [3, 64, 64],
        "embedding",
        num_classes=0,
        mlp_ratio=2.3,
        mbconv_expand_ratio=2.7,
        local_conv_size=5,
        **TINY,
    )
    yield case("tiny_vit_5m_224", "tiny_vit_5m_224", [3, 224, 224])
    yield case("fastvit_small", "fastvit_t8", [3, 64, 64], num_classes=5, config=labels, **FAST)
    yield case("fastvit_odd", "fastvit_sa12", [1, 85, 107], num_classes=7, in_chans=1, half=True, **FAST)
    yield case("fastvit_summed", "fastvit_sa24", [3, 64, 96], num_classes=5, summed=True, **FAST)
    yield case(
        "fastvit_ratios",
        "fastvit_ma36",
        [3, 70, 64],
        "embedding",
        num_classes=0,
        mlp_ratios=[2.3, 1.7, 3, 0.5],
        cls_ratio=1.0,
        repmixer_kernel_size=5,
        stem_use_scale_branch=False,
        **FAST,
    )
    yield case("fastvit_mci0_small", "fastvit_mci0", [3, 64, 64], "embedding", num_classes=512, **FAST)
    yield case("fastvit_mci0_classes", "fastvit_mci0", [3, 64, 64], num_classes=5, summed=True, **FAST)
    yield case("fastvit_mci3_small", "fastvit_mci3", [3, 64, 96], "embedding", num_classes=768, **FIVE)
    yield case("fastvit_t8", "fastvit_t8", [3, 256, 256])
    yield case("fastvit_mci0", "fastvit_mci0", [3, 256, 256], "embedding", num_classes=512)
