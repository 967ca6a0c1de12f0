"""Checkpoints of CvT, CrossViT, MaxViT, EfficientFormerV2 and Hiera, as the libraries save them.

`cases()` yields dicts: `name`; `size`, rows and columns of a picture; `channels` where they are not three;
`make(folder)`, which builds the model with random weights, saves it in `folder` and returns {"logits" or "embedding":
function from pixels [B,C,H,W] to a tensor}.
"""

import math

import torch


def randomize(model, seed):
    """Draws every tensor, so that none is left at 0 or 1: norms and scales around 1, variances from 1/2 on, matrices
    with the variance 1 / fan_in."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            u = torch.rand(tensor.shape, generator=generator) * 2 - 1
            if name.endswith("running_var"):
                u = u * 0.5 + 1
            elif name.endswith("gamma") or tensor.ndim == 1 and name.endswith("weight"):
                u = u * 0.2 + 1
            elif tensor.ndim == 1:
                u = u * 0.2
            elif name.endswith("weight"):
                u = u * math.sqrt(3 / math.prod(tensor.shape[1:]))
            tensor.copy_(u)
    return model.eval()


def finished(model, seed, half, save):
    """The model with random weights, saved; with half, in 16 bits, and then run as the file has it."""
    model = randomize(model, seed)
    if half:
        model.half()
    save(model)
    return model.float()


def of_transformers(name, make, size, answer, processor, half=False):
    def case(folder):
        model = finished(make(), len(name), half, lambda m: m.save_pretrained(folder))
        processor().save_pretrained(folder)
        kind, function = answer
        return {kind: lambda pixels: function(model, pixels)}

    return dict(name=name, size=size, make=case)


def cvt(name, size, model="CvtForImageClassification", half=False, **config):
    import transformers

    answers = dict(
        CvtForImageClassification=("logits", lambda m, x: m(x).logits),
        CvtModel=("embedding", lambda m, x: m(x).cls_token_value[:, 0]),
    )
    return of_transformers(
        name,
        lambda: getattr(transformers, model)(transformers.CvtConfig(**config)),
        size,
        answers[model],
        lambda: transformers.ConvNextImageProcessor(size=dict(shortest_edge=size[0])),
        half,
    )


def hiera(name, size, model="HieraForImageClassification", half=False, **config):
    import transformers

    answers = dict(
        HieraForImageClassification=("logits", lambda m, x: m(x).logits),
        HieraModel=("embedding", lambda m, x: m(x).pooler_output),
    )
    return of_transformers(
        name,
        lambda: getattr(transformers, model)(transformers.HieraConfig(**config)),
        size,
        answers[model],
        lambda: transformers.BitImageProcessor(
            size=dict(shortest_edge=size[0]), crop_size=dict(height=size[0], width=size[1])
        ),
        half,
    )


def timm(name, architecture, size, half=False, **model_args):
    """`architecture` of timm with these arguments; without classes its embedding."""

    def case(folder):
        import timm

        def save(model):
            timm.models.save_for_hf(model, folder, model_config={}, safe_serialization=True)

        model = finished(timm.create_model(architecture, **model_args), len(name), half, save)
        return {"logits" if model.num_classes else "embedding": model}

    return dict(name=name, size=size, channels=model_args.get("in_chans", 3), make=case)


def cases():
    tiny = dict(embed_dim=[8, 16, 24], num_heads=[1, 2, 3], depth=[1, 2, 3])
    yield cvt("cvt_default_keys", (64, 64), **tiny, num_labels=5)
    yield cvt(
        "cvt_odd_half",
        (45, 61),
        half=True,
        num_labels=3,
        embed_dim=[10, 12],
        num_heads=[5, 2],
        depth=[1, 2],
        mlp_ratio=[2.7, 1.5],
        patch_sizes=[5, 4],
        patch_stride=[3, 2],
        patch_padding=[0, 1],
        kernel_qkv=[5, 3],
        padding_q=[2, 1],
        padding_kv=[1, 1],
        stride_kv=[3, 1],
        qkv_bias=[False, False],
        cls_token=[False, True],
    )
    yield cvt("cvt_base", (48, 48), model="CvtModel", **tiny)

    # heads of eight; the second branch sees 112 of 120
    yield timm(
        "crossvit_tiny",
        "crossvit_tiny_240",
        (120, 120),
        img_size=120,
        embed_dim=[24, 48],
        depth=[[1, 2, 0], [2, 3, 0]],
        num_classes=5,
    )
    yield timm(
        "crossvit_9_dagger_half",
        "crossvit_9_dagger_240",
        (240, 240),
        half=True,
        embed_dim=[16, 32],
        depth=[[1, 1, 0]],
        num_classes=6,
    )
    # pictures of another size are resized for both branches, where they are larger cut
    yield timm(
        "crossvit_odd",
        "crossvit_15_240",
        (83, 101),
        img_size=[72, 48],
        img_scale=[1.0, 2 / 3],
        patch_size=[8, 16],
        embed_dim=[10, 20],
        num_heads=[5, 2],
        depth=[[1, 1, 2]],
        mlp_ratio=[2.5, 1.3, 1],
        qkv_bias=False,
        crop_scale=True,
        global_pool="avg",
        in_chans=1,
        num_classes=0,
    )
    yield timm("crossvit_408", "crossvit_15_dagger_408", (408, 408), embed_dim=[12, 12], depth=[[1, 1, 0]])

    small = dict(embed_dim=[16, 32], depths=[1, 2], block_type=["M", "M"], stem_width=16, head_hidden_size=24)
    yield timm(
        "maxvit_tiny",
        "maxvit_tiny_tf_224",
        (64, 64),
        **small,
        img_size=64,
        transformer_dim_head=8,
        num_classes=5,
    )
    # windows of 12, as the name says; no square
    yield timm(
        "maxvit_384_half",
        "maxvit_base_tf_384",
        (96, 192),
        half=True,
        **small,
        transformer_dim_head=16,
        num_classes=0,
    )
    yield timm(
        "maxvit_window",
        "maxvit_small_tf_224",
        (21, 33),
        embed_dim=[8],
        depths=[2],
        block_type=["M"],
        stem_width=[6, 8],
        head_hidden_size=7,
        img_size=[21, 33],
        transformer_dim_head=4,
        transformer_window_size=[2, 3],
        num_classes=3,
    )

    yield timm(
        "efficientformerv2_s0",
        "efficientformerv2_s0",
        (224, 224),
        embed_dims=[4, 6, 8, 10],
        depths=[1, 1, 3, 2],
        mlp_ratios=[4, 4, [4, 3, 2.5], [3, 4]],
        num_classes=5,
    )
    yield timm(
        "efficientformerv2_half",
        "efficientformerv2_l",
        (96, 64),
        half=True,
        img_size=[96, 64],
        embed_dims=[6, 8, 10, 12],
        depths=[0, 1, 2, 2],
        mlp_ratios=2,
        num_vit=1,
        layer_scale_init_value=None,
        distillation=False,
        num_classes=4,
    )
    yield timm(
        "efficientformerv2_bare",
        "efficientformerv2_s1",
        (64, 64),
        img_size=64,
        embed_dims=[4, 6, 8, 10],
        depths=[1, 1, 1, 1],
        mlp_ratios=2,
        num_classes=0,
    )

    yield timm(
        "hiera_timm",
        "hiera_base_plus_224",
        (64, 64),
        img_size=64,
        embed_dim=8,
        stages=[1, 2, 1, 1],
        num_classes=5,
    )
    yield timm(
        "hiera_abswin_half",
        "hiera_small_abswin_256",
        (64, 96),
        half=True,
        img_size=[64, 96],
        embed_dim=6,
        num_heads=2,
        stages=[1, 1, 1, 2],
        global_pos_size=[5, 7],
        num_classes=3,
    )
    yield timm(
        "hiera_odd",
        "hiera_large_224",
        (40, 56),
        img_size=[40, 56],
        embed_dim=6,
        num_heads=3,
        head_mul=1.0,
        stages=[2, 1],
        q_pool=1,
        mask_unit_size=[2, 2],
        mask_unit_attn=[True, True],
        patch_kernel=[4, 4],
        patch_padding=[0, 0],
        mlp_ratio=2.5,
        init_values=1e-5,
        num_classes=0,
    )
    yield hiera("hiera_default_keys", (224, 224), embed_dim=8, depths=[1, 1, 2, 1], num_labels=4)
    yield hiera(
        "hiera_odd_half",
        (48, 80),
        half=True,
        image_size=[48, 80],
        embed_dim=6,
        depths=[2, 1, 2],
        num_heads=[3, 1, 4],
        num_query_pool=2,
        masked_unit_size=[4, 4],
        masked_unit_attention=[True, False, False],
        patch_size=[5, 5],
        patch_padding=[2, 2],
        mlp_ratio=3.5,
        layer_norm_eps=1e-3,
        num_labels=3,
    )
    yield hiera("hiera_base", (64, 64), model="HieraModel", image_size=[64, 64], embed_dim=8, depths=[1, 1, 1, 1])
