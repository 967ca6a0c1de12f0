"""The plain ViT: timm.models.vision_transformer and timm.models.eva, whose names the weights have.

MAE's decoder, BEiT's biases and the pooler are compared with transformers itself by hub.py.
"""

from functools import partial

import torch
from packages import timm
from references import Case, Softmaxes, Taps

ARCH = "plain_vit"


def image(*dims):
    return dict(image=list(dims))


SMALL = dict(embed_dim=16, depth=2, num_heads=2, mlp_dim=24)
CASES = [
    # no square, one channel, 7 classes; a table for a grid of another size, which shrinks along one side and grows
    # along the other
    Case(
        "plain_vit_tiny",
        dict(image_size=[24, 40], grid=[4, 4], patch_size=8, channels=1, num_classes=7, **SMALL),
        image(2, 1, 24, 40),
        keep=("pos_embedding", "patch_embed", "blocks.*", "tokens", "embedding"),
    ),
    # registers without a class token, positions of patches alone, layer scale, the mean over patches and a norm of it
    Case(
        "plain_vit_registers",
        dict(
            image_size=24,
            patch_size=8,
            num_classes=5,
            class_token=False,
            reg_tokens=3,
            positions="patches",
            layer_scale=True,
            pool="mean",
            norm=False,
            fc_norm=True,
            **SMALL,
        ),
        image(1, 3, 24, 24),
        keep=("blocks.1", "embedding"),
    ),
    # CLIP's: norm before the layers, quick GELU, eps 1e-5, no bias of patches or of qkv, no head
    Case(
        "plain_vit_clip",
        dict(
            image_size=16,
            patch_size=4,
            num_classes=0,
            norm_pre=True,
            patch_bias=False,
            qkv_bias=False,
            activation="quick_gelu",
            eps=1e-5,
            **SMALL,
        ),
        image(2, 3, 16, 16),
        keep=("blocks.*", "tokens"),
    ),
    # SigLIP's: no token in front, pooling by attention, GELU by tanh
    Case(
        "plain_vit_siglip",
        dict(
            image_size=18,
            patch_size=6,
            num_classes=4,
            class_token=False,
            pool="map",
            activation="gelu_tanh",
            **SMALL,
        ),
        image(2, 3, 18, 18),
        keep=("pool.*", "embedding", "tokens"),
    ),
    # EVA-02's: rotated pairs and positions, gates, norms in front of the output projections
    Case(
        "plain_vit_eva",
        dict(
            image_size=[16, 24],
            patch_size=8,
            num_classes=3,
            rope="pairs",
            gated=True,
            qkv_bias=False,
            attn_norm=True,
            pool="mean",
            norm=False,
            fc_norm=True,
            **SMALL,
        ),
        image(1, 3, 16, 24),
        keep=("blocks.*", "embedding"),
    ),
    # DINOv3's: rotated halves, registers behind the class token, no table
    Case(
        "plain_vit_dinov3",
        dict(
            image_size=[24, 16],
            patch_size=8,
            num_classes=0,
            positions="none",
            reg_tokens=2,
            rope="halves",
            qkv_bias=False,
            eps=1e-5,
            pool="mean",
            **SMALL,
        ),
        image(2, 3, 24, 16),
        keep=("blocks.*", "embedding"),
    ),
    # DeiT's distillation token and second head
    Case(
        "plain_vit_distilled",
        dict(image_size=16, patch_size=8, num_classes=6, dist_token=True, pool="dist", **SMALL),
        image(2, 3, 16, 16),
        keep=("embedding",),
    ),
    Case(
        "plain_vit_document",
        dict(image_size=224, patch_size=16, num_classes=1000, embed_dim=192, depth=12, num_heads=3, mlp_dim=768),
        image(1, 3, 224, 224),
        parameters=5_717_416,
        q8="top1",
    ),
]

POOLS = dict(cls="token", mean="avg", map="map", dist="token")


def build(config):
    c = dict(class_token=True, reg_tokens=0, positions="all", pool="cls", eps=1e-6, activation="gelu") | config
    model = construct(c)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # so that its softmax can be seen
    return model


def construct(c):
    norm = partial(torch.nn.LayerNorm, eps=c["eps"])
    arguments = dict(
        img_size=[side * c["patch_size"] for side in c["grid"]] if "grid" in c else c["image_size"],
        patch_size=c["patch_size"],
        in_chans=c.get("channels", 3),
        num_classes=c["num_classes"],
        embed_dim=c["embed_dim"],
        depth=c["depth"],
        num_heads=c["num_heads"],
        mlp_ratio=c["mlp_dim"] / c["embed_dim"],
        qkv_bias=c.get("qkv_bias", True),
        class_token=c["class_token"],
        no_embed_class=c["positions"] == "patches",
        global_pool=POOLS[c["pool"]],
        norm_layer=norm,
    )
    if c.get("rope") or c.get("gated"):
        halves = c.get("rope") == "halves"
        return timm("eva").Eva(
            **arguments,
            num_reg_tokens=c["reg_tokens"],
            use_abs_pos_emb=c["positions"] != "none",
            use_rot_pos_emb=True,
            rope_type="dinov3" if halves else "cat",
            rope_temperature=100 if halves else 10000,
            rope_rotate_half=halves,
            ref_feat_shape=None if halves else (16, 16),
            swiglu_mlp=c.get("gated", False),
            scale_attn_inner=c.get("attn_norm", False),
            use_fc_norm=c.get("fc_norm", False),
            use_post_transformer_norm=c.get("norm", True),
        )
    if c.get("dist_token"):
        kind = timm("deit").VisionTransformerDistilled
    else:
        kind = timm("vision_transformer").VisionTransformer
    return kind(
        **arguments,
        reg_tokens=c["reg_tokens"],
        init_values=1.0 if c.get("layer_scale") else None,
        pre_norm=c.get("norm_pre", False),
        fc_norm=c.get("fc_norm", False),
        act_layer=c["activation"],
        dynamic_img_size="grid" in c,
    )


def run(model, inputs, options, wants):
    assert not options
    x = inputs["image"]
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.input("embedding", model.head)
        flat = lambda y, _: y.flatten(1, 2) if y.ndim == 4 else y  # noqa: E731
        taps.output("patch_embed", model.patch_embed, flat)
        for i, block in enumerate(model.blocks):
            taps.output(f"blocks.{i}", block)
        taps.output("tokens", model.norm)
        output = model(x)
        if hasattr(model, "head_dist") and wants("embedding"):
            taps["embedding"] = model.forward_head(model.forward_features(x), pre_logits=True).detach().clone()
    if wants("pos_embedding") and hasattr(model, "dynamic_img_size") and model.dynamic_img_size:
        old = model.patch_embed.grid_size
        table = timm("vision_transformer").resample_abs_pos_embed(
            model.pos_embed, [side // 8 for side in x.shape[2:]], list(old), num_prefix_tokens=1
        )
        taps["pos_embedding"] = table[0].detach().clone()
    if wants("pool.weights") and len(softmaxes.values) > len(model.blocks):
        taps["pool.weights"] = softmaxes.values[-1].mean(1)[:, 0]
    names = [f"blocks.{i}.attn" for i in range(len(model.blocks))] + ["pool.attn"]
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
