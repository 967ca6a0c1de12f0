"""Checkpoints of plain ViTs as transformers and timm save them: every family that src/arch/plain_vit.c runs, tiny, with
odd settings, and three at full size."""

import json
import math
from pathlib import Path

import timm
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

SMALL = dict(
    hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8
)
LABELS = {i: f"class {i} name" for i in range(11)}
TEXT = dict(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=500)


def drawn(model):
    """The model with random weights that leave nothing at 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
            if tensor.ndim == 1:
                tensor.mul_(0.2).add_(1 if name.endswith("weight") else 0)
            elif tensor.ndim:
                tensor.mul_(tensor[0].numel() ** -0.5 if tensor[0].numel() else 1)
    return model.eval()


def with_outliers(model, channels=4, size=50):
    """Random weights with outliers as trained ones have them: a few channels of the residual stream far above the
    others, layer scales of 1e-5 to 10, norm weights up to 10."""
    generator = torch.Generator().manual_seed(3)
    width = model.embed_dim
    high = torch.randperm(width, generator=generator)[:channels]

    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("gamma") or "gamma_" in name:
                tensor.copy_(10 ** (rand(tensor.shape) * 6 - 5))
            elif tensor.ndim == 1 and "norm" in name and name.endswith("weight"):
                tensor.copy_(torch.exp(0.4 * randn(tensor.shape)))
                tensor[torch.randperm(tensor.numel(), generator=generator)[:channels]] = 10 * rand(channels)
            elif tensor.ndim == 1:
                tensor.copy_(0.1 * randn(tensor.shape))
                if name.endswith(("fc2.bias", "attn.proj.bias")):
                    tensor[high] += 0.2 * size * torch.sign(randn(channels))
            elif name.endswith("pos_embed") or "token" in name:
                tensor.copy_(0.3 * randn(tensor.shape))
                tensor[..., high] += 0.3 * size * (rand(channels) + 0.5) * torch.sign(randn(channels))
            else:
                tensor.copy_(randn(tensor.shape) / math.sqrt(tensor[0].numel()))
    return model.eval()


def logits(model, x):
    return model(x).logits


def pooled(model, x):
    return model(x).pooler_output


def case(name, make, run=logits, kind="logits", save=None, size=(3, 32, 32), **more):
    def build(folder, redraw=None):
        model = drawn(make())
        if save:
            save(model, folder)
        else:
            model.save_pretrained(folder)
        if redraw:
            redraw(folder)
            model = type(model).from_pretrained(folder).eval()
        return {kind: lambda x: run(model, x)}

    return dict(name=name, make=build, size=size, **more)


def embedding(name, make, run=pooled, **more):
    return case(name, make, run, "embedding", **more)


def image_features(model, x):
    found = model.get_image_features(pixel_values=x)
    return getattr(found, "pooler_output", found)


def inner_names(model, folder):
    model.save_pretrained(folder, save_original_format=False)


def sharded(model, folder):
    model.save_pretrained(folder, max_shard_size="150KB")


def half(model, folder):
    """Saved in 16 bits, and the model has what was saved."""
    model.half().save_pretrained(folder)
    model.float()


def brain(model, folder):
    model.bfloat16().save_pretrained(folder)
    model.float()


def wrapped(prefix):
    """As a training wrapper saves it: all names behind a prefix."""

    def save(model, folder):
        model.save_pretrained(folder)
        path = Path(folder, "model.safetensors")
        save_file({prefix + name: tensor for name, tensor in load_file(path).items()}, path)

    return save


def shuffled_labels(model, folder):
    model.save_pretrained(folder)
    path = Path(folder, "config.json")
    config = json.loads(path.read_text())
    labels = list(config["id2label"].items())
    config["id2label"] = dict(sorted(labels, key=lambda item: item[1][::-1]))
    path.write_text(json.dumps(config))


NOISE = torch.rand(1, 16, generator=torch.Generator().manual_seed(6))


def picture(model, x):
    """What MAE makes of a picture whose patches are hidden by NOISE, as the library's own examples put it together."""
    out, patches = model(x, noise=NOISE.expand(len(x), -1)), model.patchify(x)
    found, hidden = out.logits, out.mask[..., None]
    if model.config.norm_pix_loss:
        found = found * (patches.var(-1, keepdim=True) + 1e-6) ** 0.5 + patches.mean(-1, keepdim=True)
    return model.unpatchify(found * hidden + patches * (1 - hidden))


def reconstruction(name, **more):
    decoder = dict(
        decoder_hidden_size=32,
        decoder_num_attention_heads=2,
        decoder_num_hidden_layers=2,
        decoder_intermediate_size=48,
    )
    mask = (NOISE[0].argsort().argsort() >= 4).int().tolist()  # the library sees a quarter, where the noise is least
    config = hf.ViTMAEConfig(**SMALL, **decoder, **more)
    return case(name, lambda: hf.ViTMAEForPreTraining(config), picture, "image", mask=mask)


def transformers_cases():
    vit = hf.ViTConfig(**SMALL, id2label=LABELS)
    clip = dict(SMALL, hidden_act="quick_gelu")
    yield case("vit", lambda: hf.ViTForImageClassification(vit))
    yield embedding("vit_base", lambda: hf.ViTModel(hf.ViTConfig(**SMALL)))
    yield case("vit_inner_names", lambda: hf.ViTForImageClassification(vit), save=inner_names)
    yield case("vit_sharded", lambda: hf.ViTForImageClassification(vit), save=sharded)
    yield case("vit_f16", lambda: hf.ViTForImageClassification(vit), save=half)
    yield case("vit_bf16", lambda: hf.ViTForImageClassification(vit), save=brain)
    yield case("vit_wrapped", lambda: hf.ViTForImageClassification(vit), save=wrapped("model._orig_mod."))
    yield case("vit_labels", lambda: hf.ViTForImageClassification(vit), save=shuffled_labels)
    odd = dict(SMALL, image_size=[24, 40], num_channels=1, hidden_act="gelu_new", layer_norm_eps=1e-3, qkv_bias=False)
    yield case("vit_odd", lambda: hf.ViTForImageClassification(hf.ViTConfig(**odd, id2label=LABELS)), size=(1, 24, 40))
    yield case("deit", lambda: hf.DeiTForImageClassification(hf.DeiTConfig(**SMALL, id2label=LABELS)))
    yield case(
        "deit_distilled", lambda: hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**SMALL, id2label=LABELS))
    )
    yield case("dinov2", lambda: hf.Dinov2ForImageClassification(hf.Dinov2Config(**SMALL, id2label=LABELS)))
    yield case(
        "dinov2_registers",
        lambda: hf.Dinov2WithRegistersForImageClassification(hf.Dinov2WithRegistersConfig(**SMALL, id2label=LABELS)),
    )
    yield embedding("dinov2_swiglu", lambda: hf.Dinov2Model(hf.Dinov2Config(**SMALL, use_swiglu_ffn=True)))
    yield embedding("dinov3", lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**SMALL, num_register_tokens=4)))
    gated = dict(num_register_tokens=2, use_gated_mlp=True, hidden_act="silu")
    yield embedding("dinov3_gated", lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**SMALL, **gated)))
    table = dict(use_relative_position_bias=True)
    yield case("beit", lambda: hf.BeitForImageClassification(hf.BeitConfig(**SMALL, **table, id2label=LABELS)))
    shared = dict(use_shared_relative_position_bias=True, use_absolute_position_embeddings=True, use_mean_pooling=False)
    yield case("beit_shared", lambda: hf.BeitForImageClassification(hf.BeitConfig(**SMALL, **shared, id2label=LABELS)))
    # its table of biases with the sides exchanged, as the library has it; and pictures of another size
    oblong = hf.BeitConfig(**dict(SMALL, image_size=[24, 40]), **table, id2label=LABELS)
    yield case("beit_oblong", lambda: hf.BeitForImageClassification(oblong), size=(3, 24, 40))
    beit = hf.BeitConfig(**SMALL, **shared, id2label=LABELS)
    yield case("beit_other_size", lambda: hf.BeitForImageClassification(beit), size=(3, 40, 24))
    yield case(
        "data2vec",
        lambda: hf.Data2VecVisionForImageClassification(hf.Data2VecVisionConfig(**SMALL, **table, id2label=LABELS)),
    )
    yield case("vit_msn", lambda: hf.ViTMSNForImageClassification(hf.ViTMSNConfig(**SMALL, id2label=LABELS)))
    yield case("ijepa", lambda: hf.IJepaForImageClassification(hf.IJepaConfig(**SMALL, id2label=LABELS)))
    both = hf.CLIPConfig(text_config=TEXT, vision_config=clip, projection_dim=24)
    yield embedding("clip", lambda: hf.CLIPModel(both), image_features)
    yield embedding("clip_vision", lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**clip)))
    yield embedding(
        "clip_projection",
        lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**clip, projection_dim=20)),
        lambda model, x: model(x).image_embeds,
    )
    yield case(
        "clip_classes", lambda: hf.CLIPForImageClassification(hf.CLIPConfig(vision_config=clip, id2label=LABELS))
    )
    pair = hf.SiglipConfig(text_config=TEXT, vision_config=SMALL)
    yield embedding("siglip", lambda: hf.SiglipModel(pair), lambda model, x: model.vision_model(x).pooler_output)
    yield embedding("siglip_vision", lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**SMALL)))
    yield case(
        "siglip_classes",
        lambda: hf.SiglipForImageClassification(hf.SiglipConfig(vision_config=SMALL, id2label=LABELS)),
    )
    mae = hf.ViTMAEConfig(**SMALL, mask_ratio=0.0)
    order = torch.arange(16.0).expand(2, 16)
    yield embedding(
        "vit_mae", lambda: hf.ViTMAEModel(mae), lambda model, x: model(x, noise=order).last_hidden_state[:, 0]
    )
    yield reconstruction("vit_mae_decoder")
    yield reconstruction("vit_mae_decoder_norm", norm_pix_loss=True)


def timm_case(name, arch, kind="logits", full=False, make=drawn, **arguments):
    size = arguments.get("img_size", 224)
    size = size if isinstance(size, tuple) else (size, size)

    def build(folder, redraw=None):
        model = make(timm.create_model(arch, **arguments))
        save_for_hf(model, folder, model_args=arguments, safe_serialization=True)
        if redraw:
            redraw(folder)
            model.load_state_dict(load_file(Path(folder, "model.safetensors")))
        return {kind: model}

    return dict(name=name, make=build, size=(3, *size), full=full, outliers=make is with_outliers)


def timm_cases():
    few = dict(img_size=48, depth=2, num_classes=7)
    none = dict(img_size=64, depth=2, num_classes=0)
    some = dict(img_size=64, depth=1, num_classes=5)
    yield timm_case("timm_vit_tiny", "vit_tiny_patch16_224", **few)
    yield timm_case("timm_vit_oblong", "vit_tiny_patch16_224", **dict(few, img_size=(32, 64)))
    yield timm_case("timm_vit_reg_gap", "vit_wee_patch16_reg1_gap_256", **some)
    yield timm_case("timm_vit_gap", "vit_medium_patch16_gap_256", **some)
    yield timm_case("timm_vit_little", "vit_little_patch16_reg4_gap_256", **some)
    yield timm_case("timm_vit_miil", "vit_base_patch16_224_miil", **some)
    yield timm_case("timm_deit_distilled", "deit_tiny_distilled_patch16_224", **few)
    yield timm_case("timm_deit3", "deit3_small_patch16_224", **few)
    yield timm_case("timm_flexivit", "flexivit_small", **some)
    yield timm_case("timm_dinov2", "vit_small_patch14_dinov2", "embedding", **dict(none, img_size=56))
    yield timm_case("timm_dinov2_reg", "vit_small_patch14_reg4_dinov2", "embedding", **dict(none, img_size=56))
    yield timm_case("timm_dinov3", "vit_small_patch16_dinov3", "embedding", **none)
    yield timm_case("timm_dinov3_plus", "vit_small_plus_patch16_dinov3", "embedding", **none)
    yield timm_case("timm_dinov3_qkvb", "vit_small_patch16_dinov3_qkvb", "embedding", **none)
    yield timm_case("timm_clip", "vit_xsmall_patch16_clip_224", "embedding", **some)
    yield timm_case("timm_clip_quickgelu", "vit_base_patch32_clip_quickgelu_224", "embedding", **some)
    yield timm_case("timm_siglip", "vit_base_patch16_siglip_224", "embedding", img_size=64, depth=1)
    yield timm_case("timm_siglip_tanh", "vit_base_patch32_siglip_256", "embedding", img_size=64, depth=1)
    yield timm_case("timm_siglip_gap", "vit_base_patch16_siglip_gap_224", **some)
    yield timm_case("timm_eva02", "eva02_tiny_patch14_224", **dict(some, img_size=56))
    yield timm_case("timm_eva02_base", "eva02_base_patch14_224", **dict(some, img_size=56))
    yield timm_case("timm_eva02_clip", "eva02_base_patch16_clip_224", "embedding", **some)
    yield timm_case("timm_rope", "vit_medium_patch16_rope_reg1_gap_256", **some)
    eva = dict(some, img_size=56)
    yield timm_case("timm_eva02_temperature", "eva02_tiny_patch14_224", **eva, rope_temperature=50.0)
    yield timm_case("timm_eva02_no_rope", "eva02_tiny_patch14_224", **eva, use_rot_pos_emb=False)
    yield timm_case("timm_beit", "beit_base_patch16_224", **some)
    yield timm_case("timm_beit_oblong", "beit_base_patch16_224", **dict(some, img_size=(64, 96)))
    yield timm_case("timm_map_registers", "vit_so150m_patch16_reg4_map_256", **some)
    yield timm_case("timm_vit_act", "vit_tiny_patch16_224", **few, act_layer="gelu_tanh")
    yield timm_case("timm_test_vit3", "test_vit3", img_size=160)


def full_cases():
    yield timm_case("full_vit_tiny", "vit_tiny_patch16_224", full=True)
    make = lambda: hf.Dinov2Model(hf.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518))  # noqa: E731
    yield embedding("full_dinov2_small", make, full=True, size=(3, 224, 224))
    make = lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig())  # noqa: E731
    yield embedding("full_clip_base_patch32", make, lambda m, x: m(x).image_embeds, full=True, size=(3, 224, 224))


def outlier_cases():
    small = dict(img_size=112, make=with_outliers)
    yield timm_case("outliers_vit", "vit_small_patch16_224", **small)
    yield timm_case("outliers_deit3", "deit3_small_patch16_224", **small)
    yield timm_case("outliers_dinov2", "vit_small_patch14_dinov2", "embedding", **small, num_classes=0)
    yield timm_case("outliers_clip", "vit_xsmall_patch16_clip_224", "embedding", **small, num_classes=100)
    yield timm_case("outliers_eva02", "eva02_tiny_patch14_224", **small, num_classes=100)
    yield timm_case("outliers_siglip", "vit_base_patch16_siglip_gap_224", **small, num_classes=100, depth=6)


def cases():
    yield from transformers_cases()
    yield from timm_cases()
    yield from outlier_cases()
    yield from full_cases()
