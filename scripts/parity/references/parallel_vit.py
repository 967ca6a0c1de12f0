"""ViT with parallel branches: vit_pytorch.parallel_vit."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "parallel_vit"
CASES = [
    Case("parallel_vit_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # three branches, no width a multiple of 4, a picture smaller than the table, which is not square
    Case(
        "parallel_vit_tails",
        dict(
            TINY,
            image_size=[32, 16],
            num_parallel_branches=3,
            num_classes=7,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            pool="mean",
            channels=1,
        ),
        image(1, 1, 16, 8),
        keep=("blocks.1*", "tokens", "embedding"),
    ),
    # one head as wide as the model: no output projection
    Case("parallel_vit_one_head", dict(TINY, depth=1, heads=1, dim_head=16), image(1, 3, 16, 16), keep=("blocks.0",)),
    Case(
        "parallel_vit_document",
        dict(STD, patch_size=16, heads=8, num_parallel_branches=2, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=77_674_472,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("parallel_vit").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attentions, feed_forwards) in enumerate(model.transformer.layers):
            for j, attention in enumerate(attentions.fns):
                taps.output(f"blocks.{i}.branches.{j}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forwards, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    patch_height, patch_width = model.patch_size
    h, w = inputs["image"].shape[2:]
    taps["pos_embedding"] = model.pos_embedding[0, : h // patch_height * (w // patch_width) + 1]
    return output, taps
