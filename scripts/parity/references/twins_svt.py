"""Twins-SVT: vit_pytorch.twins_svt. The reference's attention is a softmax on a tensor, in no module of its own."""

from packages import vit_pytorch
from references import Case, Softmaxes, Taps, keywords

ARCH = "twins_svt"
DOCUMENT = dict(
    num_classes=1000,
    s1_emb_dim=64,
    s1_patch_size=4,
    s1_local_patch_size=7,
    s1_global_k=7,
    s1_depth=1,
    s2_emb_dim=128,
    s2_patch_size=2,
    s2_local_patch_size=7,
    s2_global_k=7,
    s2_depth=1,
    s3_emb_dim=256,
    s3_patch_size=2,
    s3_local_patch_size=7,
    s3_global_k=7,
    s3_depth=5,
    s4_emb_dim=512,
    s4_patch_size=2,
    s4_local_patch_size=7,
    s4_global_k=7,
    s4_depth=4,
    peg_kernel_size=3,
)
TINY = dict(
    image_size=16,
    num_classes=10,
    s1_emb_dim=8,
    s1_patch_size=2,
    s1_local_patch_size=4,
    s1_global_k=4,
    s2_emb_dim=12,
    s2_local_patch_size=2,
    s2_global_k=2,
    s3_emb_dim=10,
    s3_local_patch_size=1,
    s3_global_k=2,
    s3_depth=0,
    s4_emb_dim=8,
    s4_global_k=1,
    s4_depth=1,
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("twins_svt_tiny", TINY, image(2, 3, 16, 16), keep=("stages.1.*", "stages.3.*", "embedding")),
    # no square, patches of 3, a global kernel that leaves a rest, a larger encoding
    Case(
        "twins_svt_odd",
        dict(
            TINY,
            image_size=[24, 48],
            s1_patch_size=3,
            s1_local_patch_size=2,
            s1_global_k=5,
            s1_depth=0,
            s2_depth=0,
            peg_kernel_size=5,
        ),
        image(1, 3, 24, 48),
        keep=("stages.0.blocks.0.attn", "stages.1.blocks.0.local_attn", "stages.3.*"),
    ),
    Case(
        "twins_svt_document",
        DOCUMENT,
        image(1, 3, 224, 224),
        parameters=252_025_096,
        q8="top1",
        least=0.6,
        why="two classes nearly tie on every picture",
    ),
]


def build(config):
    return vit_pytorch("twins_svt").TwinsSVT(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    names = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        for s in range(4):
            blocks = [*model.layers[s][1].layers, *model.layers[s][3].layers]
            for i, block in enumerate(blocks):
                names += [f"stages.{s}.blocks.{i}.{kind}" for kind in (["local_attn", "attn"] if s < 3 else ["attn"])]
                taps.output(f"stages.{s}.blocks.{i}", block[3], lambda y, x: last(y))
        taps.input("embedding", model.layers[6])
        output = model(inputs["image"])
    for name, value in zip(names, softmaxes.values, strict=True):
        if wants(name):
            taps[name] = value.unflatten(0, (-1, 8))
    return output, taps
