"""MaxViT as published: timm.models.maxxvit with the settings of its maxvit_*_tf, and timm's names."""

from packages import timm, without_torchvision
from references import Case, Softmaxes, Taps
from references.hf_cvt import image

ARCH = "timm_max_vit"
CASES = [
    # a stem as wide as the first stage
    Case(
        "timm_max_vit_tiny",
        dict(
            image_size=32,
            num_classes=10,
            embed_dim=[8, 16],
            depths=[1, 1],
            stem_width=8,
            window_size=4,
            dim_head=8,
        ),
        image(2, 3, 32, 32),
        keep=("stages.1.*", "embedding"),
    ),
    # maps of odd sides, which pads and means meet; windows that are no squares; a picture of another size than the
    # config's; one channel, tails; no classes: the embedding is the output
    Case(
        "timm_max_vit_odd",
        dict(
            image_size=[24, 36],
            in_chans=1,
            num_classes=0,
            embed_dim=[10],
            depths=[2],
            stem_width=[6, 12],
            window_size=[2, 3],
            dim_head=5,
            head_hidden_size=9,
        ),
        image(1, 1, 21, 33),
        keep=("stem", "stages.0.blocks.1", "embedding"),
    ),
    Case("maxvit_tiny_tf_224", dict(), image(1, 3, 224, 224), parameters=30_916_528, q8="top1"),
]


def build(config):
    config = dict(config)
    library = timm("maxxvit")
    without_torchvision("timm.layers").set_fused_attn(False)  # so that there are softmaxes to keep
    size, window, stem = config.pop("image_size", 224), config.pop("window_size", None), config.pop("stem_width", 64)
    dims, depths = config.pop("embed_dim", [64, 128, 256, 512]), config.pop("depths", [2, 2, 5, 2])
    cfg = library.MaxxVitCfg(
        embed_dim=tuple(dims),
        depths=tuple(depths),
        block_type=("M",) * len(dims),
        stem_width=tuple(stem) if isinstance(stem, list) else stem,
        stem_bias=True,
        head_hidden_size=config.pop("head_hidden_size", dims[-1]),
        **library._tf_cfg(),
    )
    if window:
        config["transformer_window_size"] = tuple(window) if isinstance(window, list) else window
    return library.MaxxVit(
        cfg,
        img_size=tuple(size) if isinstance(size, list) else size,
        transformer_dim_head=config.pop("dim_head", 32),
        **config,
    )


def run(model, inputs, options, wants):
    assert not options
    channels_last = lambda y, x: y.permute(0, 2, 3, 1)  # noqa: E731
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, channels_last)
        names = []
        for s, stage in enumerate(model.stages):
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block, channels_last)
                names += [f"stages.{s}.blocks.{i}.{axis}_attn" for axis in ("block", "grid")]
        taps.input("embedding", model.head.fc)
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
