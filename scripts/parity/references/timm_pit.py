"""PiT as published: timm.models.pit."""

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "timm_pit"
TINY = dict(
    image_size=20,
    patch_size=8,
    stride=4,
    num_classes=10,
    embed_dim=[8, 16],
    depths=[1, 1],
    num_heads=[1, 2],
    mlp_ratio=2,
)
TI = dict(embed_dim=[64, 128, 256], depths=[2, 6, 4], num_heads=[2, 4, 8])


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("timm_pit_tiny", TINY, image(2, 3, 20, 20), keep=("*",)),
    # two class tokens; 4 x 3 patches, and pixels beyond them; one kernel a channel, then three; one channel
    Case(
        "timm_pit_distilled",
        dict(
            TINY,
            image_size=[15, 14],
            patch_size=[4, 6],
            stride=3,
            in_chans=1,
            num_classes=7,
            embed_dim=[6, 6, 18],
            depths=[0, 1, 1],
            num_heads=[1, 2, 3],
            mlp_ratio=1.7,
            distilled=True,
        ),
        image(1, 1, 15, 14),
        keep=("pos_embedding", "stages.2.*", "embedding"),
    ),
    Case("timm_pit_ti_224", TI, image(1, 3, 224, 224), parameters=4_847_272, q8="top1"),
]


def build(config):
    config = keywords(config)
    heads = config.pop("num_heads")
    return timm("pit").PoolingVisionTransformer(
        img_size=config.pop("image_size", 224),
        base_dims=[dim // n for dim, n in zip(config.pop("embed_dim"), heads)],
        depth=config.pop("depths"),
        heads=heads,
        **config,
    )


def run(model, inputs, options, wants):
    assert not options
    names = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.patch_embed, lambda y, x: y.flatten(2).transpose(1, 2))
        for s, stage in enumerate(model.transformers):
            for i, block in enumerate(stage.blocks):
                block.attn.fused_attn = False  # the same, with a softmax that can be watched
                names.append(f"stages.{s}.blocks.{i}.attn")
                taps.output(f"stages.{s}.blocks.{i}", block)
        taps.output("embedding", model.norm, lambda y, x: y.mean(1))
        output = model(inputs["image"])
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    taps["pos_embedding"] = model.pos_embed[0].flatten(1).T
    return output, taps
