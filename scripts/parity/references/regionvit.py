"""RegionViT: vit_pytorch.regionvit. The reference's attention is a softmax on a tensor, in no module of its own."""

from packages import vit_pytorch
from references import Case, Softmaxes, Taps, keywords

ARCH = "regionvit"
DOCUMENT = dict(
    dim=[64, 128, 256, 512],
    depth=[2, 2, 8, 2],
    window_size=7,
    num_classes=1000,
    tokenize_local_3_conv=False,
    use_peg=False,
)
TINY = dict(image_size=16, dim=[8, 12, 8, 8], depth=1, window_size=2, num_classes=10)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case(
        "regionvit_tiny",
        TINY,
        image(2, 3, 16, 16),
        keep=(
            "stages.*.attn",
            "stages.*.region_attn",
            "stages.?.local",
            "stages.?.region",
            "region_embed",
            "embedding",
        ),
    ),
    # both options, no square, three regions in a row: they become 2 and then 1, and a region 2 x 2 local tokens
    Case(
        "regionvit_odd",
        dict(TINY, image_size=[16, 48], window_size=4, depth=[1, 0, 1, 2], tokenize_local_3_conv=True, use_peg=True),
        image(1, 3, 16, 48),
        keep=("local_embed", "stages.2.*", "stages.3.*"),
    ),
    Case("regionvit_document", DOCUMENT, image(1, 3, 224, 224), parameters=12_749_176, q8="top1"),
    Case("regionvit_document_options", dict(DOCUMENT, tokenize_local_3_conv=True, use_peg=True), image(1, 3, 224, 224)),
]


def build(config):
    return vit_pytorch("regionvit").RegionViT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    names, maps = [], []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("local_embed", model.local_encoder, lambda y, x: last(y))
        taps.output("region_embed", model.region_encoder, lambda y, x: last(y))
        for s, (_, _, transformer) in enumerate(model.layers):
            for i, (_, ff) in enumerate(transformer.layers):
                names += [f"stages.{s}.blocks.{i}.region_attn", f"stages.{s}.blocks.{i}.attn"]
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: x + y)
            transformer.register_forward_hook(lambda module, x, y: maps.append([last(t).clone() for t in y]))
        taps.input("embedding", model.to_logits[2])
        output = model(inputs["image"])
    for name, value in zip(names, softmaxes.values, strict=True):
        taps[name] = value
    for s, (local, region) in enumerate(maps[-4:]):
        taps[f"stages.{s}.local"], taps[f"stages.{s}.region"] = local, region
    return output, taps
