"""ViT that merges its tokens on the way: vit_pytorch.vit_with_patch_merger, and its merger alone."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "vit_with_patch_merger"
MERGING = dict(TINY, patch_merge_num_tokens=3)
CASES = [
    Case("vit_with_patch_merger_tiny", MERGING, image(2, 3, 16, 16), keep=("*",)),
    # after the last layer, no width a multiple of 4, a picture smaller than the table
    Case(
        "vit_with_patch_merger_tails",
        dict(
            MERGING,
            image_size=[32, 16],
            patch_merge_layer=2,
            num_classes=7,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            channels=1,
        ),
        image(1, 1, 24, 16),
        keep=("merge.weights", "blocks.1", "tokens", "embedding"),
    ),
    # depth 1: half of it is 0, and nothing is merged
    Case("vit_with_patch_merger_never", dict(MERGING, depth=1), image(1, 3, 16, 16), keep=("tokens",)),
    # the merger alone
    Case(
        "patch_merger_tiny",
        {"class": "PatchMerger", "dim": 10, "num_tokens_out": 3},
        dict(tokens=[2, 7, 10]),
        keep=("*",),
    ),
    Case(
        "patch_merger_document",
        {"class": "PatchMerger", "dim": 1024, "num_tokens_out": 8},
        dict(tokens=[1, 256, 1024]),
        parameters=10_240,
    ),
    Case(
        "vit_with_patch_merger_document",
        dict(
            STD,
            patch_size=16,
            depth=12,
            heads=8,
            patch_merge_layer=6,
            patch_merge_num_tokens=8,
            dropout=0.1,
            emb_dropout=0.1,
        ),
        image(1, 3, 256, 256),
        parameters=77_687_272,
        q8="top1",
    ),
]


def build(config):
    kwargs = keywords(config)
    module = vit_pytorch("vit_with_patch_merger")
    return getattr(module, kwargs.pop("class", "ViT"))(**kwargs)


def run(model, inputs, options, wants):
    assert not options

    def merge_weights(merger, x):
        return (merger.queries @ merger.norm(x).transpose(-1, -2) * merger.scale).softmax(dim=-1)

    if "tokens" in inputs:
        return model(inputs["tokens"]), {"merge.weights": merge_weights(model, inputs["tokens"])}
    transformer = model.transformer
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        merger = transformer.patch_merger
        taps.output("merge.weights", merger, lambda y, x: merge_weights(merger, x))
        taps.output("tokens", transformer)
        taps.input("embedding", model.mlp_head[1])
        output = model(inputs["image"])
    patch_height, patch_width = model.patch_size
    h, w = inputs["image"].shape[2:]
    taps["pos_embedding"] = model.pos_embedding[0, : h // patch_height * (w // patch_width)]
    return output, taps
