"""GC ViT: timm.models.gcvit. Block shapes are those of the document's Keras code; weights have timm's names."""

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "gcvit"
TINY = dict(img_size=32, num_classes=10, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=[4, 2], mlp_ratio=2)
XXTINY = dict(depths=[2, 2, 6, 2], num_heads=[2, 4, 8, 16])


def image(*dims):
    return dict(image=list(dims))


CASES = [
    # windows of 4 in a map of 8, which is brought down once; windows of 2 in a map of 4
    Case(
        "gcvit_tiny",
        TINY,
        image(2, 3, 32, 32),
        keep=("stem", "stages.*.global_query", "stages.1.blocks.*", "embedding"),
    ),
    # no square; windows by a ratio, in the end as large as the second stage's map; no bias, layer scale, one channel,
    # tails
    Case(
        "gcvit_odd",
        dict(
            img_size=[16, 32],
            in_chans=1,
            num_classes=7,
            embed_dim=10,
            depths=[2, 1],
            num_heads=[2, 5],
            window_ratio=[8, 8],
            mlp_ratio=1.5,
            qkv_bias=False,
            layer_scale=0.5,
        ),
        image(1, 1, 16, 32),
        keep=("stages.0.*", "embedding"),
    ),
    Case("gcvit_xxtiny", XXTINY, image(1, 3, 224, 224), parameters=11_995_428, q8="top1"),
    Case(
        "gcvit_tiny_document",
        dict(depths=[3, 4, 19, 5], num_heads=[2, 4, 8, 16]),
        image(1, 3, 224, 224),
        taps=("stages.*.global_query", "stages.*.blocks.1*", "embedding"),
        parameters=28_221_974,
    ),
    Case(
        "gcvit_small",
        dict(depths=[3, 4, 19, 5], num_heads=[3, 6, 12, 24], embed_dim=96, mlp_ratio=2, layer_scale=1e-5),
        image(1, 3, 224, 224),
        taps=("stages.*.global_query", "embedding"),
    ),
]


def build(config):
    return timm("gcvit").GlobalContextVit(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    channels_last = lambda y, x: y.permute(0, 2, 3, 1)  # noqa: E731
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.stem, channels_last)
        for s, stage in enumerate(model.stages):
            taps.output(f"stages.{s}.global_query", stage.global_block, channels_last)
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block)
        taps.input("embedding", model.head.fc)
        output = model(inputs["image"])
    names = [
        f"stages.{s}.blocks.{i}.{'global' if i % 2 else 'local'}_attn"
        for s, stage in enumerate(model.stages)
        for i in range(len(stage.blocks))
    ]
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
