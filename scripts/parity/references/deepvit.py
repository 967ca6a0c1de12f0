"""DeepViT: vit_pytorch.deepvit."""

from packages import vit_pytorch
from references import Case, Softmaxes, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "deepvit"
CASES = [
    # four heads: the norm over two makes +-1 of a difference, however small, and of its rounding
    Case("deepvit_tiny", dict(TINY, heads=4, dim_head=4), image(2, 3, 16, 16), keep=("*",)),
    # no width a multiple of 4, three heads in the norm; a picture smaller than the table
    Case(
        "deepvit_tails",
        dict(TINY, image_size=32, num_classes=7, dim=20, heads=3, dim_head=5, mlp_dim=27, pool="mean", channels=1),
        image(1, 1, 16, 24),
        keep=("blocks.1.reattn", "blocks.1.attn", "tokens", "embedding"),
    ),
    Case(
        "deepvit_document",
        dict(STD, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=54_632_104,
        q8="top1",
        least=0.9,
        why="near ties; the norm over heads magnifies small differences of attention",
    ),
]


def build(config):
    return vit_pytorch("deepvit").DeepViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Softmaxes() as softmaxes, Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, lambda y, x: y.clone())
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.reattn", attention.reattn_norm)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    for i, probabilities in enumerate(softmaxes.values):
        taps[f"blocks.{i}.attn"] = probabilities
    taps["pos_embedding"] = (
        model.pos_embedding[0, : taps["tokens"].shape[1]] if "tokens" in taps else model.pos_embedding[0]
    )
    return output, taps
