"""The published MobileViT: timm.models.mobilevit, whose network is built from a config of blocks (byobnet)."""

import torch
from packages import timm
from references import Case, Softmaxes, Taps

ARCH = "timm_mobile_vit"
TINY = dict(
    image_size=24,
    num_classes=10,
    residuals=[1],
    neck_hidden_sizes=[8, 8, 8, 12],
    hidden_sizes=[8],
    depths=[2],
    num_heads=2,
    expand_ratio=2,
)
XXS = dict(neck_hidden_sizes=[16, 16, 24, 48, 64, 80, 320], hidden_sizes=[64, 80, 96], expand_ratio=2)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("timm_mobile_vit_tiny", TINY, image(2, 3, 24, 24), keep=("stages.1*", "embedding")),
    # a map of 2 x 5, resized to 3 x 6 for patches of 3 x 3, and back; two stages without attention; a kernel of 5; no
    # last convolution, no classes; tails everywhere
    Case(
        "timm_mobile_vit_odd",
        dict(
            image_size=[15, 40],
            in_chans=1,
            num_classes=0,
            residuals=[1, 1],
            neck_hidden_sizes=[5, 8, 8, 16],
            hidden_sizes=[6],
            depths=[1],
            num_heads=3,
            mlp_ratio=1.5,
            expand_ratio=1.5,
            conv_kernel_size=5,
            patch_size=3,
        ),
        image(1, 1, 15, 40),
        keep=("stages.1", "stages.2*"),
    ),
    Case(
        "mobilevit_xxs",
        XXS,
        image(1, 3, 256, 256),
        parameters=1_272_024,
        q8="top1",
        least=0.8,
        why="near ties; the roundings alone, in the reference, are off as far",
    ),
]


def network(config, block):
    """timm's ByobNet of a config as it stands in a model file. block: the rest of a ByoBlockCfg with attention, for
    stage t of those."""
    byobnet, mobilevit = timm("byobnet"), timm("mobilevit")
    residuals, dims, widths = config["residuals"], config["hidden_sizes"], list(config["neck_hidden_sizes"])
    # widths of stages are multiples of 8, because ByobNet makes them so
    stages = [
        mobilevit._inverted_residual_block(d=d, c=c, s=2 if s else 1, br=config["expand_ratio"])
        for s, (d, c) in enumerate(zip(residuals, widths[1:]))
    ]
    for t, (dim, depth) in enumerate(zip(dims, config["depths"])):
        c = widths[1 + len(residuals) + t]
        kwargs = dict(
            transformer_dim=dim,
            transformer_depth=depth,
            patch_size=config.get("patch_size", 2),
            kernel_size=config.get("conv_kernel_size", 3),
        )
        stages.append(
            (
                mobilevit._inverted_residual_block(d=1, c=c, s=2, br=config["expand_ratio"]),
                block(c, kwargs),
            )
        )
    cfg = byobnet.ByoModelCfg(
        blocks=tuple(stages),
        stem_chs=widths[0],
        stem_type="3x3",
        stem_pool="",
        downsample="",
        act_layer="silu",
        num_features=widths[-1] if len(widths) > 1 + len(stages) else 0,
    )
    model = byobnet.ByobNet(cfg, config.get("num_classes", 1000), config.get("in_chans", 3))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.num_batches_tracked = None  # a sixth of a golden file's lines, which nobody reads
    return model


def build(config):
    ByoBlockCfg = timm("byobnet").ByoBlockCfg
    config = dict(dict(residuals=[1, 3], depths=[2, 4, 3], num_heads=4, mlp_ratio=2), **config)

    def block(c, kwargs):
        more = dict(num_heads=config["num_heads"], mlp_ratio=config["mlp_ratio"])
        return ByoBlockCfg(type="mobilevit", d=1, c=c, s=1, block_kwargs=dict(kwargs, **more))

    return network(config, block)


def last(y, x=None):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    names = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, last)
        for s, stage in enumerate(model.stages):
            taps.output(f"stages.{s}", stage, last)
            for i, layer in enumerate(getattr(stage[-1], "transformer", ())):
                layer.attn.fused_attn = False
                taps.output(f"stages.{s}.blocks.{i}", layer)
                names.append(f"stages.{s}.blocks.{i}.attn")
        if hasattr(model.final_conv, "conv"):
            taps.output("final_conv", model.final_conv, last)
        taps.output("embedding", model.head.global_pool)
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
