"""TinyViT: timm.models.tiny_vit. Its config has no image size: ours is that of the picture that a page makes."""

from packages import timm
from references import Case, Softmaxes, Taps, keywords

ARCH = "tiny_vit"
SIZE_5M = dict(embed_dims=[64, 128, 160, 320], depths=[2, 2, 6, 2], num_heads=[2, 4, 5, 10], window_sizes=[7, 7, 14, 7])


def image(*dims):
    return dict(image=list(dims))


CASES = [
    # four windows of 2 x 2 in a map of 4 x 4
    Case(
        "tiny_vit_tiny",
        dict(image_size=32, num_classes=10, embed_dims=[8, 16], depths=[1, 1], num_heads=[1, 2], window_sizes=[2, 2]),
        image(2, 3, 32, 32),
        keep=("stem", "stages.*.blocks.*", "embedding"),
    ),
    # maps of 5 x 6 and 3 x 3: windows that are filled up, and one that is the map; no head, tails
    Case(
        "tiny_vit_odd",
        dict(
            image_size=[35, 41],
            in_chans=1,
            num_classes=0,
            embed_dims=[10, 12, 9],
            depths=[1, 1, 2],
            num_heads=[1, 3, 3],
            window_sizes=[7, 4, 3],
            mlp_ratio=2.5,
            mbconv_expand_ratio=1.5,
            local_conv_size=5,
        ),
        image(1, 1, 35, 41),
        keep=("stages.1.blocks.*", "stages.2.blocks.1*"),
    ),
    Case(
        "tiny_vit_5m_224",
        SIZE_5M,
        image(1, 3, 224, 224),
        parameters=5_392_764,
        q8="top1",
        least=0.85,
        why="the roundings alone, in the reference, are off as far",
    ),
    # the largest windows, of 32 x 32
    Case(
        "tiny_vit_21m_512",
        dict(
            image_size=512,
            embed_dims=[96, 192, 384, 576],
            depths=[2, 2, 6, 2],
            num_heads=[3, 6, 12, 18],
            window_sizes=[16, 16, 32, 16],
        ),
        image(1, 3, 512, 512),
        taps=("stages.*.downsample", "stages.*.blocks.1", "embedding"),
        parameters=21_268_120,
    ),
]


def build(config):
    given = {key: value for key, value in config.items() if key != "image_size"}
    if isinstance(given.get("window_sizes"), int):
        given["window_sizes"] = [given["window_sizes"]] * len(given["depths"])
    return timm("tiny_vit").TinyVit(**keywords(given))


def run(model, inputs, options, wants):
    assert not options
    channels_last = lambda y, x: y.permute(0, 2, 3, 1)  # noqa: E731
    attention = [
        (f"stages.{s}.blocks.{i}.attn", block.attn)
        for s, stage in enumerate(model.stages)
        for i, block in enumerate(stage.blocks)
        if s
    ]
    for _, module in attention:
        module.fused_attn = False
        module.attention_bias_cache.clear()  # it may be of another precision
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("stem", model.patch_embed, channels_last)
        for s, stage in enumerate(model.stages):
            if s:
                taps.output(f"stages.{s}.downsample", stage.downsample, channels_last)
            for i, block in enumerate(stage.blocks):
                taps.output(f"stages.{s}.blocks.{i}", block, (lambda y, x: y) if s else channels_last)
        taps.input("embedding", model.head.fc)
        output = model(inputs["image"])
    assert len(attention) == len(softmaxes.values)
    taps.update((name, value) for (name, _), value in zip(attention, softmaxes.values) if wants(name))
    return output, taps
