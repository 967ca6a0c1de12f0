"""One checkpoint of the Hub for each family, at its published size, as the library itself saves it; weights are random.

    python=$(scripts/parity/pyenv.sh hub) && "$python" scripts/bench/hub_models.py            the names, as JSON
    "$python" scripts/bench/hub_models.py NAME FOLDER                                        writes this one

scripts/bench/hub.mjs measures them. timm's names give the structure. For transformers the keys below are those in which
the repository's config.json differs from its class (cardinalities and sizes that the papers state too).
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
TINY = dict(hidden_size=192, num_attention_heads=3, intermediate_size=768)
SMALL = dict(hidden_size=384, num_attention_heads=6)
THOUSAND = dict(id2label={i: f"class {i}" for i in range(1000)})

# the repository: the model's class in transformers and what its config differs in
TRANSFORMERS = {
    "google/vit-base-patch16-224": ("ViTForImageClassification", THOUSAND),
    "facebook/deit-tiny-distilled-patch16-224": ("DeiTForImageClassificationWithTeacher", {**THOUSAND, **TINY}),
    "facebook/dinov2-small": ("Dinov2Model", dict(SMALL, image_size=518, patch_size=14)),
    "facebook/dinov2-with-registers-small": ("Dinov2WithRegistersModel", dict(SMALL, image_size=518, patch_size=14)),
    "facebook/dinov3-vits16-pretrain-lvd1689m": (
        "DINOv3ViTModel",
        dict(SMALL, intermediate_size=1536, num_register_tokens=4),
    ),
    "openai/clip-vit-base-patch32": ("CLIPVisionModelWithProjection", {}),
    "google/siglip-base-patch16-224": ("SiglipVisionModel", {}),
    "microsoft/beit-base-patch16-224": (
        "BeitForImageClassification",
        dict(THOUSAND, use_relative_position_bias=True, use_absolute_position_embeddings=False, use_mask_token=False),
    ),
    "facebook/vit-mae-base": ("ViTMAEForPreTraining", {}),
    "microsoft/swin-tiny-patch4-window7-224": ("SwinForImageClassification", THOUSAND),
    "microsoft/swinv2-tiny-patch4-window8-256": (
        "Swinv2ForImageClassification",
        dict(THOUSAND, image_size=256, window_size=8),
    ),
    "apple/mobilevit-small": ("MobileViTForImageClassification", THOUSAND),
    "apple/mobilevitv2-1.0-imagenet1k-256": ("MobileViTV2ForImageClassification", THOUSAND),
    "facebook/levit-128S": (
        "LevitForImageClassificationWithTeacher",
        dict(THOUSAND, depths=[2, 3, 4], num_attention_heads=[4, 6, 8]),
    ),
    "microsoft/cvt-13": ("CvtForImageClassification", THOUSAND),
}
# the pictures' side where the config does not say it
PICTURES = {"microsoft/cvt-13": 224}
TIMM = [
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_little_patch16_reg4_gap_256.sbb_in1k",
    "deit3_small_patch16_224.fb_in1k",
    "eva02_tiny_patch14_336.mim_in22k_ft_in1k",
    "tiny_vit_5m_224.dist_in22k_ft_in1k",
    "fastvit_t8.apple_in1k",
    "fastvit_mci0.apple_mclip",
    "gcvit_xxtiny.in1k",
    "cait_xxs24_224.fb_dist_in1k",
    "xcit_nano_12_p16_224.fb_in1k",
    "pit_ti_224.in1k",
    "crossvit_9_240.in1k",
    "maxvit_tiny_tf_224.in1k",
    "efficientformerv2_s0.snap_dist_in1k",
    "hiera_tiny_224.mae_in1k_ft_in1k",
]


def write(name, folder):
    if name in TRANSFORMERS:
        import transformers

        kind, config = TRANSFORMERS[name]
        model_class = getattr(transformers, kind)
        model_class(model_class.config_class(**config)).eval().save_pretrained(folder)
        if name in PICTURES:
            processor = dict(image_processor_type="ConvNextImageProcessor", size=dict(shortest_edge=PICTURES[name]))
            Path(folder, "preprocessor_config.json").write_text(json.dumps(processor))
    else:
        import timm
        from timm.models import save_for_hf

        model = timm.create_model(name).eval()
        save_for_hf(model, folder, safe_serialization=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        write(*sys.argv[1:])
    else:
        print(json.dumps([*TRANSFORMERS, *(f"timm/{name}" for name in TIMM)]))
