"""SimpleViT for video: vit_pytorch.simple_vit_3d."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "simple_vit_3d"
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
    frames=8,
    frame_patch_size=2,
    num_classes=5,
    dim=16,
    depth=1,
    heads=2,
    mlp_dim=12,
    dim_head=4,
)


def video(*dims):
    return dict(video=list(dims))


CASES = [
    # 4 x 2 x 3 patches; 16 columns are 2 for each sine and cosine and 4 of zeros
    Case("simple_vit_3d_tiny", TINY, video(2, 3, 8, 8, 12), keep=("*",)),
    # longer and lower than the config's, one head as wide as the model (which keeps its projection), 3 for each sine
    Case(
        "simple_vit_3d_longer",
        dict(TINY, frames=2, dim=18, heads=1, dim_head=18, channels=1),
        video(1, 1, 6, 4, 12),
        keep=("pos_embedding", "blocks.0"),
    ),
    Case("simple_vit_3d_document", DOCUMENT, video(1, 3, 16, 128, 128), parameters=40_397_800, q8="top1"),
]


def build(config):
    return vit_pytorch("simple_vit_3d").SimpleViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    x = inputs["video"]
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, lambda y, x: y.flatten(1, 3))
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.linear_head)
        output = model(x)
        patches = model.to_patch_embedding(x)
    taps["pos_embedding"] = vit_pytorch("simple_vit_3d").posemb_sincos_3d(patches)
    return output, taps
