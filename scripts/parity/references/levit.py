"""LeViT: vit_pytorch.levit. With a head for distillation the reference returns both; the second is a tap here."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "levit"
DOCUMENT = dict(image_size=224, num_classes=1000, stages=3, dim=[256, 384, 512], depth=4, heads=[4, 6, 8], mlp_mult=2)
TINY = dict(
    image_size=32, num_classes=10, stages=2, dim=[8, 12], depth=1, heads=[1, 2], mlp_mult=2, dim_key=4, dim_value=8
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("levit_tiny", TINY, image(2, 3, 32, 32), keep=("*",)),
    # an odd map (3 x 3 -> 2 x 2), lists shorter than the stages, keys wider than values, another mlp_mult
    Case(
        "levit_tails",
        dict(
            TINY,
            image_size=48,
            stages=3,
            dim=[8, 10],
            depth=[2, 1],
            heads=1,
            mlp_mult=3,
            dim_key=7,
            dim_value=5,
            num_distill_classes=6,
        ),
        image(1, 3, 48, 48),
        keep=("stages.*", "distill_logits"),
    ),
    Case(
        "levit_document",
        DOCUMENT,
        image(1, 3, 224, 224),
        parameters=17_348_972,
        q8="top1",
        least=0.75,
        why="four convolutions without a norm round alike at every pixel, so no mean takes it out again",
    ),
]


def build(config):
    return vit_pytorch("levit").LeViT(**keywords(config))


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.conv_embedding, lambda y, x: last(y).flatten(1, 2))
        for t, transformer in enumerate(model.backbone):
            for i, (attention, ff) in enumerate(transformer.layers):
                name = f"stages.{t // 2}.downsample" if t % 2 else f"stages.{t // 2}.blocks.{i}"
                taps.output(f"{name}.attn", attention.attend)
                taps.output(name, ff, lambda y, x: last(x + y))
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    if isinstance(output, tuple):
        output, taps["distill_logits"] = output
    for t, transformer in enumerate(model.backbone):
        for i, (attention, _) in enumerate(transformer.layers):
            name = f"stages.{t // 2}.downsample" if t % 2 else f"stages.{t // 2}.blocks.{i}"
            taps[f"{name}.attn_bias"] = (attention.pos_bias(attention.pos_indices) / attention.scale).permute(2, 0, 1)
    return output, taps
