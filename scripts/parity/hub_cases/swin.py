"""Swin and Swin V2 as transformers and timm save them."""

import copy
import re
from pathlib import Path

import torch
from references import draw
from safetensors.torch import load_file, save_file

TINY = dict(image_size=32, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4, mlp_ratio=2.0)
# windows of 3 over maps of 6 x 11 and 3 x 6
ODD = dict(TINY, image_size=[24, 44], window_size=3, num_channels=1, qkv_bias=False, layer_norm_eps=0.1, patch_size=4)
TIMM = dict(depths=(2, 2), num_heads=(1, 2), embed_dim=8, mlp_ratio=2.0, num_classes=5)


def fill(model, name, half):
    """Random weights, none left at 0 or 1; the scale of one head beyond the limit. With all there, every softmax
    chooses single tokens, and the libraries' results in single and in double precision are further apart than 1e-4."""
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            tensor.copy_(torch.from_numpy(draw(name, key, tuple(tensor.shape))))
            if key.endswith("logit_scale"):
                tensor += 1
                if "layers.0.blocks.0" in key:
                    tensor[0] = 6
            if half:
                tensor.copy_(tensor.half())
    return model.eval()


def by_transformers(folder, name, version, kind, config, half=False, **saving):
    import transformers

    settings = getattr(transformers, f"{version}Config")(**config)
    model = fill(getattr(transformers, version + kind)(settings), name, half)
    (copy.deepcopy(model).half() if half else model).save_pretrained(folder, **saving)
    if kind == "ForImageClassification":
        return dict(logits=lambda pixels: model(pixels).logits)
    if kind == "ForMaskedImageModeling":
        base = getattr(model, version.lower())
        return dict(embedding=lambda pixels: base(pixels).last_hidden_state.mean(1))
    return dict(embedding=lambda pixels: model(pixels).pooler_output)


def make_old(folder):
    """Names as timm had them before version 0.9: downsampling as the last part of a stage, the head, buffers."""
    path = Path(folder) / "model.safetensors"
    tensors = load_file(path)
    tensors = {
        re.sub(r"layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", key).replace(
            "head.fc", "head"
        ): tensor
        for key, tensor in tensors.items()
    }
    tensors["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.int64)
    tensors["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 16, 16)
    save_file(tensors, path)


def by_timm(folder, name, architecture, config, half=False, resize=None, old=False):
    import timm

    model = fill(timm.create_model(architecture, **config), name, half)
    if resize:
        model.set_input_size(**resize)
    timm.models.save_for_hf(copy.deepcopy(model).half() if half else model, folder, safe_serialization=True)
    if old:
        make_old(folder)
    return {"logits" if model.num_classes else "embedding": model}


def case(name, make, *arguments, image=(2, 3, 32, 32), **more):
    """`image`: the dims of the pixels that the model is to be given."""
    return dict(name=name, image=image, make=lambda folder: make(folder, name, *arguments, **more))


def cases():
    classify = "ForImageClassification"
    for version, family in (("Swin", "swin"), ("Swinv2", "swin_v2")):
        start = f"{family}_transformers"
        yield case(f"{start}_tiny", by_transformers, version, classify, TINY)
        # the names of version 5
        yield case(f"{start}_new_names", by_transformers, version, classify, TINY, save_original_format=False)
        yield case(f"{start}_odd", by_transformers, version, classify, ODD, image=(1, 1, 24, 44))
        yield case(f"{start}_other_size", by_transformers, version, classify, TINY, image=(1, 3, 37, 50))
        yield case(f"{start}_half", by_transformers, version, classify, TINY, half=True)
        yield case(f"{start}_base", by_transformers, version, "Model", TINY)
        yield case(f"{start}_mim", by_transformers, version, "ForMaskedImageModeling", dict(TINY, encoder_stride=8))
        # every key at its default
        yield case(f"{start}_defaults", by_transformers, version, classify, {}, image=(1, 3, 224, 224))
    yield case(
        "swin_transformers_absolute", by_transformers, "Swin", classify, dict(TINY, use_absolute_embeddings=True)
    )
    yield case(
        "swin_v2_transformers_pretrained",
        by_transformers,
        "Swinv2",
        classify,
        dict(TINY, window_size=8, pretrained_window_sizes=[6, 3]),
    )
    for architecture, family in (("swin_tiny_patch4_window7_224", "swin"), ("swinv2_tiny_window8_256", "swin_v2")):
        start, size = f"{family}_timm", int(architecture[-3:])
        yield case(f"{start}_tiny", by_timm, architecture, dict(TIMM, img_size=32, window_size=4))
        yield case(
            f"{start}_odd",
            by_timm,
            architecture,
            dict(
                TIMM,
                img_size=(24, 44),
                window_size=3,
                in_chans=1,
                qkv_bias=False,
                depths=(3, 2, 1),
                num_heads=(2, 1, 4),
            ),
            image=(1, 1, 24, 44),
        )
        yield case(
            f"{start}_resized",
            by_timm,
            architecture,
            dict(TIMM, img_size=32, window_size=4),
            resize=dict(img_size=(48, 32)),
            image=(1, 3, 48, 32),
        )
        yield case(f"{start}_half", by_timm, architecture, dict(TIMM, img_size=32, window_size=4), half=True)
        yield case(f"{start}_old", by_timm, architecture, dict(TIMM, img_size=32, window_size=4), old=True)
        yield case(f"{start}_base", by_timm, architecture, dict(TIMM, img_size=32, window_size=4, num_classes=0))
        yield case(f"{start}_published", by_timm, architecture, {}, image=(1, 3, size, size))
    yield case("swin_timm_s3", by_timm, "swin_s3_tiny_224", {}, image=(1, 3, 224, 224))
    # maps that are smaller than a window, and no square
    clamped = dict(img_size=(96, 160), depths=(1, 1, 1, 1), num_classes=3)
    for architecture in ("swin_base_patch4_window12_384", "swin_s3_small_224"):
        yield case(architecture, by_timm, architecture, clamped, image=(1, 3, 96, 160))
    yield case("swin_v2_timm_12to16", by_timm, "swinv2_base_window12to16_192to256", {}, image=(1, 3, 256, 256))
