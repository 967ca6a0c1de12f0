"""EfficientFormerV2: timm.models.efficientformer_v2, with timm's names."""

from packages import timm
from references import Case, Softmaxes, Taps, keywords
from references.hf_cvt import image

ARCH = "efficient_former_v2"
CASES = [
    # attention of a map of 4 x 6 by every second pixel, then down to 2 x 3
    Case(
        "efficient_former_v2_tiny",
        dict(
            image_size=[64, 96],
            num_classes=10,
            embed_dims=[4, 6, 8, 10],
            depths=[0, 0, 1, 1],
            num_vit=1,
        ),
        image(2, 3, 64, 96),
        keep=("stages.2.*", "stages.3.blocks.0.attn", "embedding"),
    ),
    # odd sides where nothing is doubled; blocks without attention, MLPs of several widths; one head, no layer scale,
    # one channel
    Case(
        "efficient_former_v2_odd",
        dict(
            image_size=[61, 90],
            in_chans=1,
            num_classes=7,
            embed_dims=[2, 5, 7, 6],
            depths=[0, 0, 0, 2],
            num_vit=1,
            mlp_dims=[[1], [1], [1], [7, 11]],
            layer_scale=False,
            distillation=False,
        ),
        image(1, 1, 61, 90),
        keep=("stages.3.*attn", "embedding"),
    ),
    # no attention, no classes: the embedding is the output
    Case(
        "efficient_former_v2_bare",
        dict(image_size=20, num_classes=0, embed_dims=[4, 6], depths=[0, 1]),
        image(1, 3, 20, 20),
        keep=("embedding",),
    ),
    Case(
        "efficientformerv2_s0",
        dict(
            embed_dims=[32, 48, 96, 176],
            depths=[2, 2, 6, 4],
            num_vit=2,
            mlp_dims=[[128] * 2, [192] * 2, [384, 288, 288, 288, 384, 384], [704, 528, 528, 704]],
        ),
        image(1, 3, 224, 224),
        parameters=3_600_256,
        q8="top1",
    ),
]


def build(config):
    """The reference has factors in place of widths."""
    config = dict(config)
    dims, depths = config["embed_dims"], config["depths"]
    widths = config.pop("mlp_dims", [[4 * dim] * depth for dim, depth in zip(dims, depths)])
    return timm("efficientformer_v2").EfficientFormerV2(
        img_size=keywords(dict(size=config.pop("image_size", 224)))["size"],
        mlp_ratios=tuple(tuple((width + 0.5) / dim for width in row) for dim, row in zip(dims, widths)),
        layer_scale_init_value=1.0 if config.pop("layer_scale", True) else None,
        **config,
    )


def run(model, inputs, options, wants):
    assert not options
    channels_last = lambda y, x: y.permute(0, 2, 3, 1)  # noqa: E731
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, channels_last)
        names = []
        for s, stage in enumerate(model.stages):
            if getattr(stage.downsample, "attn", None) is not None:
                names.append(f"stages.{s}.downsample.attn")
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block, channels_last)
                if block.token_mixer is not None:
                    names.append(f"stages.{s}.blocks.{i}.attn")
                    taps.output(f"stages.{s}.blocks.{i}.mixed", block.token_mixer.talking_head2)
        taps.input("embedding", model.head)
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
