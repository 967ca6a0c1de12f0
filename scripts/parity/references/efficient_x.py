"""ViT around x-transformers' Encoder: vit_pytorch.efficient and x_transformers."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import image

ARCH = "efficient_x"
OUTER = ("image_size", "patch_size", "num_classes", "dim", "pool", "channels")
TINY = dict(
    image_size=16,
    patch_size=8,
    num_classes=10,
    dim=16,
    depth=2,
    heads=2,
    attn_dim_head=8,
    ff_glu=True,
    residual_attn=True,
    ff_mult=2,
)

CASES = [
    # three layers: the last one's scores have two others in them
    Case("efficient_x_tiny", dict(TINY, depth=3), image(2, 3, 16, 16), keep=("blocks.*", "embedding")),
    # neither gates nor residual scores, no width a multiple of 4, the mean, fewer patches than the table has rows
    Case(
        "efficient_x_plain",
        dict(
            TINY,
            image_size=[24, 16],
            ff_glu=False,
            residual_attn=False,
            dim=15,
            heads=3,
            attn_dim_head=5,
            ff_mult=1.5,
            pool="mean",
            channels=1,
            num_classes=7,
        ),
        image(1, 1, 16, 16),
        keep=("*",),
    ),
    Case(
        "efficient_x_document",
        dict(
            image_size=224, patch_size=16, num_classes=1000, dim=512, depth=12, heads=8, ff_glu=True, residual_attn=True
        ),
        image(1, 3, 224, 224),
        parameters=51_411_432,
        q8="top1",
        least=0.88,
        why="scores add up over twelve layers, so that softmax follows small differences",
    ),
]


def build(config):
    from x_transformers import Encoder

    inner = {key: value for key, value in config.items() if key not in OUTER}
    outer = {key: value for key, value in keywords(config).items() if key in OUTER}
    return vit_pytorch("efficient").ViT(**outer, transformer=Encoder(dim=config["dim"], **inner))


def run(model, inputs, options, wants):
    assert not options
    x, encoder = inputs["image"], model.transformer
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i in range(len(encoder.layers) // 2):
            attend = encoder.layers[2 * i][1].attend
            if wants(f"blocks.{i}.attn"):
                taps.handles.append(
                    attend.register_forward_hook(
                        lambda _, args, y, i=i: taps.__setitem__(
                            f"blocks.{i}.attn", y[1].post_softmax_attn.detach().clone()
                        )
                    )
                )
            taps.output(f"blocks.{i}", encoder.layers[2 * i + 1][2])
        taps.output("tokens", encoder)
        taps.input("embedding", model.mlp_head)
        output = model(x)
    patch = model.to_patch_embedding[0].axes_lengths["p1"]
    taps["pos_embedding"] = model.pos_embedding[0, : x.shape[2] // patch * (x.shape[3] // patch) + 1]
    return output, taps
