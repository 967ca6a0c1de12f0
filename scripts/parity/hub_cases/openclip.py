"""Checkpoints of open_clip as its save_for_hf writes them (the text's tower and all), with random weights: the
picture's features against encode_image. cases() as in fast.py."""

import warnings

import torch
from hub_cases.fast import fill

TEXT = dict(context_length=8, vocab_size=64, width=16, heads=2, layers=1)


class Tokenizer:
    """Nothing of it is read."""

    def save_pretrained(self, folder):
        pass


def case(name, size, vision, half=False, preprocess=None, **model) -> dict:
    @torch.no_grad()
    def make(folder) -> dict:
        warnings.simplefilter("ignore")
        import open_clip
        from open_clip.model import CLIP, CustomTextCLIP, set_model_preprocess_cfg
        from open_clip.push_to_hf_hub import save_for_hf

        assert open_clip.__version__
        config = dict(embed_dim=24, vision_cfg=vision, text_cfg=TEXT, **model)
        kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
        tower = kind(**config).eval()
        set_model_preprocess_cfg(tower, dict(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), **(preprocess or {})))
        fill(tower)
        if half:
            tower = tower.half()
        save_for_hf(tower, Tokenizer(), dict(config, **model), folder, safe_serialization=True)
        tower = tower.float()
        return dict(embedding=torch.no_grad()(lambda pixels: tower.encode_image(pixels)))

    return dict(name=name, make=make, size=size)


def own(name, size, half=False, preprocess=None, **more):
    model = {key: more.pop(key) for key in ("quick_gelu", "custom_text") if key in more}
    vision = dict(image_size=size[1], patch_size=8, width=32, head_width=8, layers=2, **more)
    return case(name, size, vision, half, preprocess, **model)


def timm(name, architecture, size, half=False, **more):
    return case(name, size, dict(timm_model_name=architecture, image_size=size[1], **more), half, custom_text=True)


def cases():
    yield own("open_clip_vit", [3, 32, 32])
    yield own("open_clip_quickgelu_half", [3, 40, 40], half=True, quick_gelu=True, custom_text=True)
    yield own(
        "open_clip_clipa",
        [3, 32, 32],
        no_ln_pre=True,
        pool_type="avg",
        final_ln_after_pool=True,
        pos_embed_type="sin_cos_2d",
    )
    yield own(
        "open_clip_odd",
        [3, 32, 32],
        pool_type="avg",
        ls_init_value=1e-4,
        mlp_ratio=2.5,
        norm_kwargs=dict(eps=1e-3),
        act_kwargs=dict(approximate="tanh"),
        preprocess=dict(interpolation="bilinear", resize_mode="squash"),
    )
    yield timm("open_clip_siglip", "vit_base_patch16_siglip_224", [3, 224, 224], timm_pool="map", timm_proj="none")
    yield timm("open_clip_eva02", "eva02_base_patch16_clip_224", [3, 224, 224], timm_pool="token", timm_proj=None)
    yield timm("open_clip_mobileclip", "fastvit_mci0", [3, 256, 256], timm_pool="avg", timm_proj=None)
    yield timm(
        "open_clip_linear_half", "vit_small_patch16_224", [3, 224, 224], half=True, timm_pool="", timm_proj="linear"
    )
    yield timm(
        "open_clip_linear_bias",
        "vit_medium_patch16_gap_256",
        [3, 256, 256],
        timm_pool="",
        timm_proj="linear",
        timm_proj_bias=True,
    )
