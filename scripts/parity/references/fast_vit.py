"""FastViT: timm.models.fastvit. Ours has numbers where timm's constructor takes classes and names, `image_size` and
`projection` besides."""

import functools

import torch
from packages import timm
from references import Case, Softmaxes, Taps

ARCH = "fast_vit"
T8 = dict(layers=[2, 2, 4, 2], embed_dims=[48, 96, 192, 384], mlp_ratios=[3])
HYBRID = dict(attention=[0, 0, 0, 1], pos_embs=[0, 0, 0, 7])
MCI0 = dict(
    layers=[2, 6, 10, 2],
    embed_dims=[64, 128, 256, 512],
    mlp_ratios=[3],
    se_downsamples=[0, 0, 1, 1],
    lkc_use_act=True,
    projection=True,
    num_classes=512,
    **HYBRID,
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    # both kinds of stages, branches summed
    Case(
        "fast_vit_tiny",
        dict(
            image_size=32,
            num_classes=10,
            layers=[1, 1],
            embed_dims=[16, 32],
            mlp_ratios=[2],
            attention=[0, 1],
            pos_embs=[0, 7],
            se_downsamples=[0, 1],
            lkc_use_act=True,
        ),
        image(2, 3, 32, 32),
        keep=("stem", "stages.*.blocks.*", "embedding"),
    ),
    # summed already, as timm.utils.reparameterize_model writes it; another norm, a projection, odd sides, tails
    Case(
        "fast_vit_summed",
        dict(
            image_size=[39, 51],
            in_chans=1,
            num_classes=7,
            layers=[1, 2],
            embed_dims=[32, 64],
            mlp_ratios=[1.5, 1],
            attention=[0, 1],
            pos_embs=[3, 5],
            norm_layer="layer",
            lkc_use_act=True,
            inference_mode=True,
            projection=True,
        ),
        image(1, 1, 39, 51),
        keep=("stages.*.downsample", "stages.1.blocks.1*", "embedding"),
    ),
    # one stage, no layer scale, no head, no scale branch in the stem
    Case(
        "fast_vit_plain",
        dict(
            image_size=[33, 38],
            num_classes=0,
            layers=[1],
            embed_dims=[10],
            mlp_ratios=[2.5],
            repmixer_kernel_size=5,
            cls_ratio=1,
            stem_use_scale_branch=False,
            layer_scale=False,
        ),
        image(1, 3, 33, 38),
        keep=("stages.*.blocks.*", "final_conv"),
    ),
    Case("fastvit_t8", T8, image(1, 3, 256, 256), parameters=4_026_232, q8="top1"),
    Case("fastvit_mci0", MCI0, image(1, 3, 256, 256), q8="cosine"),
]


def build(config):
    model = timm("fastvit")
    given = dict(config)
    for key in ("image_size", "projection"):
        given.pop(key, None)
    stages = len(given["layers"])
    for key in ("mlp_ratios", "attention", "pos_embs", "se_downsamples"):
        value = given.setdefault(key, [4] if key == "mlp_ratios" else [0])
        given[key] = value * (stages if len(value) == 1 else 1)
    given["token_mixers"] = ["attention" if one else "repmixer" for one in given.pop("attention")]
    given["pos_embs"] = [
        functools.partial(model.RepConditionalPosEnc, spatial_shape=(side, side)) if side else None
        for side in given["pos_embs"]
    ]
    given["downsamples"] = [s > 0 for s in range(stages)]
    if given.pop("norm_layer", "batch") == "layer":
        given["norm_layer"] = functools.partial(model.LayerNorm2d, eps=1e-5)
    if not given.pop("layer_scale", True):
        given["layer_scale_init_value"] = None
    built = model.FastVit(**given)
    built.projection = config.get("projection", False)
    return built


def run(model, inputs, options, wants):
    assert not options
    channels_last = lambda y, x: y.permute(0, 2, 3, 1)  # noqa: E731
    blocks = [
        (f"stages.{s}.blocks.{i}", block)
        for s, stage in enumerate(model.stages)
        for i, block in enumerate(stage.blocks)
    ]
    attention = [(f"{name}.attn", block.token_mixer) for name, block in blocks if hasattr(block.token_mixer, "qkv")]
    for _, module in attention:
        module.fused_attn = False
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, channels_last)
        for s, stage in enumerate(model.stages):
            for name in ("downsample", "pos_emb"):
                if not isinstance(getattr(stage, name), torch.nn.Identity):
                    taps.output(f"stages.{s}.{name}", getattr(stage, name), channels_last)
        for name, block in blocks:
            taps.output(name, block, channels_last)
        taps.output("final_conv", model.final_conv, channels_last)
        if not model.projection:
            taps.input("embedding", model.head.fc)
        output = model(inputs["image"])
    if model.projection and wants("embedding"):
        taps["embedding"] = output
    assert len(attention) == len(softmaxes.values)
    taps.update((name, value) for (name, _), value in zip(attention, softmaxes.values) if wants(name))
    return output, taps
