"""ViT with patch dropout, as it is when nothing is dropped: vit_pytorch.vit_with_patch_dropout."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "vit_with_patch_dropout"
CASES = [
    Case(
        "vit_with_patch_dropout_tiny",
        dict(TINY, patch_dropout=0.5),
        image(2, 3, 16, 16),
        keep=("patch_embed", "pos_embedding", "blocks.1*", "embedding"),
    ),
    Case(
        "vit_with_patch_dropout_mean",
        dict(
            TINY,
            image_size=[16, 12],
            patch_size=[8, 4],
            depth=1,
            num_classes=7,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            pool="mean",
            channels=1,
        ),
        image(1, 1, 16, 12),
        keep=("blocks.0", "embedding"),
    ),
    Case(
        "vit_with_patch_dropout_document",
        dict(STD, patch_dropout=0.25, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=54_621_160,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("vit_with_patch_dropout").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, lambda y, x: y.clone())
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding
    return output, taps
