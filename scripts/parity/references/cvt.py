"""CvT: vit_pytorch.cvt."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "cvt"
DOCUMENT = dict(
    num_classes=1000,
    s1_emb_dim=64,
    s1_emb_kernel=7,
    s1_emb_stride=4,
    s1_proj_kernel=3,
    s1_kv_proj_stride=2,
    s1_heads=1,
    s1_depth=1,
    s1_mlp_mult=4,
    s2_emb_dim=192,
    s2_emb_kernel=3,
    s2_emb_stride=2,
    s2_proj_kernel=3,
    s2_kv_proj_stride=2,
    s2_heads=3,
    s2_depth=2,
    s2_mlp_mult=4,
    s3_emb_dim=384,
    s3_emb_kernel=3,
    s3_emb_stride=2,
    s3_proj_kernel=3,
    s3_kv_proj_stride=2,
    s3_heads=4,
    s3_depth=10,
    s3_mlp_mult=4,
)
TINY = dict(
    image_size=32,
    num_classes=10,
    s1_emb_dim=8,
    s1_depth=1,
    s1_mlp_mult=2,
    s2_emb_dim=12,
    s2_heads=1,
    s2_depth=1,
    s2_mlp_mult=2,
    s3_emb_dim=16,
    s3_heads=2,
    s3_depth=2,
    s3_mlp_mult=2,
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("cvt_tiny", TINY, image(2, 3, 32, 32), keep=("stages.1.*", "stages.2.*", "embedding")),
    # strides that do not divide the picture, an even kernel of the projection, keys as many as queries
    Case(
        "cvt_odd",
        dict(
            TINY,
            image_size=[23, 35],
            channels=1,
            s1_emb_kernel=5,
            s1_emb_stride=3,
            s1_proj_kernel=5,
            s2_kv_proj_stride=1,
            s3_depth=1,
        ),
        image(1, 1, 23, 35),
        keep=("stages.*.attn", "stages.2.blocks.0"),
    ),
    Case(
        "cvt_document",
        DOCUMENT,
        image(1, 3, 224, 224),
        parameters=17_970_216,
        q8="top1",
        least=0.9,
        why="the roundings of linear layers alone, in the reference, are off by as much",
    ),
]


def build(config):
    return vit_pytorch("cvt").CvT(**{key: value for key, value in keywords(config).items() if key != "image_size"})


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        for s in range(3):
            _, norm, transformer = model.layers[s]
            taps.output(f"stages.{s}.embed", norm, lambda y, x: last(y))
            for i, (attention, ff) in enumerate(transformer.layers):
                taps.output(
                    f"stages.{s}.blocks.{i}.attn",
                    attention.attend,
                    lambda y, x, heads=attention.heads: y.unflatten(0, (-1, heads)),
                )
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: last(x + y))
        taps.input("embedding", model.to_logits[2])
        output = model(inputs["image"])
    return output, taps
