"""ScalableViT: vit_pytorch.scalable_vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "scalable_vit"
DOCUMENT = dict(
    image_size=256,
    num_classes=1000,
    dim=64,
    heads=[2, 4, 8, 16],
    depth=[2, 2, 20, 2],
    ssa_dim_key=[40, 40, 40, 32],
    reduction_factor=[8, 4, 2, 1],
    window_size=[64, 32, None, None],
)
TINY = dict(
    image_size=32,
    num_classes=10,
    dim=4,
    depth=[1, 2],
    heads=[1, 2],
    reduction_factor=[2, 1],
    window_size=[4, None],
    ssa_dim_key=6,
    ssa_dim_value=4,
    iwsa_dim_key=3,
    iwsa_dim_value=5,
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("scalable_vit_tiny", TINY, image(2, 3, 32, 32), keep=("stages.0.*.iwsa_attn", "stages.1.*", "embedding")),
    # no square, a reduction that leaves a rest, the whole map as a window, three stages
    Case(
        "scalable_vit_odd",
        dict(
            TINY,
            image_size=[28, 40],
            depth=[1, 1, 1],
            heads=1,
            reduction_factor=[3, 2, 1],
            window_size=None,
            ff_expansion_factor=2,
            channels=1,
        ),
        image(1, 1, 28, 40),
        keep=("patch_embed", "stages.*.blocks.?", "stages.0.*.ssa_attn"),
    ),
    # attention within the first stage's windows of 4096 tokens would take 270 MB
    Case(
        "scalable_vit_document",
        DOCUMENT,
        image(1, 3, 256, 256),
        parameters=75_917_544,
        q8="top1",
        taps=("stages.[123].*", "stages.0.blocks.?", "stages.0.*.ssa_attn", "embedding"),
    ),
]


def build(config):
    return vit_pytorch("scalable_vit").ScalableViT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patches, lambda y, x: last(y).flatten(1, 2))
        for s, (transformer, _) in enumerate(model.layers):
            for i, (ssa, _, _, _, iwsa) in enumerate(transformer.layers):
                taps.output(f"stages.{s}.blocks.{i}.ssa_attn", ssa.attend)
                taps.output(f"stages.{s}.blocks.{i}.iwsa_attn", iwsa.attend)
                taps.output(f"stages.{s}.blocks.{i}", iwsa, lambda y, x: last(x + y))
        taps.input("embedding", model.mlp_head[2])
        output = model(inputs["image"])
    return output, taps
