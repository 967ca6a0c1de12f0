"""MobileViTv2: timm.models.mobilevit. Maps that are no whole number of patches are resized there; as transformers cuts
them, `cut` below says, with the two functions of torch.nn that transformers calls."""

import torch
from packages import timm
from references import Case, Softmaxes, Taps
from references.timm_mobile_vit import image, last, network

ARCH = "mobile_vit_v2"
TINY = dict(
    image_size=24,
    num_classes=10,
    residuals=[1],
    neck_hidden_sizes=[8, 8, 8],
    hidden_sizes=[8],
    depths=[2],
    expand_ratio=2,
)
ODD = dict(
    image_size=[19, 30],
    in_chans=1,
    num_classes=0,
    residuals=[1],
    neck_hidden_sizes=[5, 8, 8],
    hidden_sizes=[10],
    depths=[1],
    mlp_ratio=1.6,
    expand_ratio=1.5,
    conv_kernel_size=5,
)
M050 = dict(neck_hidden_sizes=[16, 32, 64, 128, 192, 256], hidden_sizes=[64, 96, 128])

CASES = [
    Case("mobile_vit_v2_tiny", TINY, image(2, 3, 24, 24), keep=("stages.1*", "embedding")),
    # a map of 5 x 8, resized to 6 x 8; no classes, a kernel of 5, tails everywhere
    Case("mobile_vit_v2_odd", ODD, image(1, 1, 19, 30), keep=("stages.1*",)),
    # the same map, cut to 4 x 8, with patches of 4 x 4 of which each has tokens at 16 places
    Case("mobile_vit_v2_cut", dict(ODD, uneven="cut", patch_size=4), image(1, 1, 19, 30), keep=("stages.1*",)),
    Case(
        "mobilevitv2_050",
        M050,
        image(1, 3, 256, 256),
        parameters=1_370_593,
        q8="top1",
        least=0.5,
        why="near ties, 70 %; the roundings alone, in the reference, are off as far",
    ),
]


def cut(block, x):
    """timm's MobileVitV2Block with the unfolding and folding of transformers' MobileViTV2Layer."""
    patch, size = block.patch_size, x.shape[2:]
    y = block.conv_1x1(block.conv_kxk(x))
    batch, channels = y.shape[:2]
    y = torch.nn.functional.unfold(y, kernel_size=patch, stride=patch).reshape(batch, channels, block.patch_area, -1)
    y = block.norm(block.transformer(y)).reshape(batch, channels * block.patch_area, -1)
    return block.conv_proj(torch.nn.functional.fold(y, output_size=size, kernel_size=patch, stride=patch))


def build(config):
    ByoBlockCfg = timm("byobnet").ByoBlockCfg
    config = dict(dict(residuals=[1, 2], depths=[2, 4, 3], mlp_ratio=2, expand_ratio=2), **config)

    def block(c, kwargs):
        more = dict(kwargs, mlp_ratio=config["mlp_ratio"])
        return ByoBlockCfg(type="mobilevit2", d=1, c=c, s=1, gs=1, block_kwargs=more)

    model = network(config, block)
    if config.get("uneven") == "cut":
        for stage in model.stages:
            if hasattr(stage[-1], "transformer"):
                stage[-1].forward = lambda x, block=stage[-1]: cut(block, x)
    return model


def tokens(y, x=None):
    """[B,C,P,N] -> [B P,N,C]"""
    return y.permute(0, 2, 3, 1).flatten(0, 1)


def run(model, inputs, options, wants):
    assert not options
    names = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, last)
        for s, stage in enumerate(model.stages):
            taps.output(f"stages.{s}", stage, last)
            for i, layer in enumerate(getattr(stage[-1], "transformer", ())):
                taps.output(f"stages.{s}.blocks.{i}", layer, tokens)
                names.append(f"stages.{s}.blocks.{i}.context_scores")
        taps.output("embedding", model.head.global_pool)
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    # [B,1,P,N] -> [B P,1,1,N]
    scores = (value.transpose(1, 2).flatten(0, 1).unsqueeze(1) for value in softmaxes.values)
    taps.update((name, value) for name, value in zip(names, scores) if wants(name))
    return output, taps
