"""ViT for video: vit_pytorch.vit_3d."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "vit_3d"
DOCUMENT = dict(
    image_size=128,
    image_patch_size=16,
    frames=16,
    frame_patch_size=2,
    num_classes=1000,
    dim=1024,
    depth=6,
    heads=8,
    mlp_dim=2048,
)
TINY = dict(
    image_size=[8, 12],
    image_patch_size=4,
    frames=4,
    frame_patch_size=2,
    num_classes=5,
    dim=8,
    depth=1,
    heads=2,
    mlp_dim=12,
    dim_head=4,
)


def video(*dims):
    return dict(video=list(dims))


CASES = [
    # frames, rows and columns of the grid all differ: 2, 2 and 3, of patches of 2 x 4 x 4
    Case(
        "vit_3d_tiny", dict(TINY, image_size=[12, 8], frames=8, frame_patch_size=2), video(2, 3, 8, 12, 8), keep=("*",)
    ),
    # patches that are no cubes, the mean (with the class token in it), a shorter and smaller video than the config's
    Case(
        "vit_3d_smaller",
        dict(TINY, image_patch_size=[4, 2], frames=6, frame_patch_size=3, channels=1, pool="mean"),
        video(1, 1, 3, 8, 6),
        keep=("patch_embed", "blocks.0", "embedding"),
    ),
    Case(
        "vit_3d_document",
        dict(DOCUMENT, dropout=0.1, emb_dropout=0.1),
        video(1, 3, 16, 128, 128),
        parameters=40_930_280,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("vit_3d").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    x = inputs["video"]
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(x)
    rearranged = model.to_patch_embedding[0](x)
    taps["pos_embedding"] = model.pos_embedding[0, : rearranged.shape[1] + 1]
    return output, taps
