"""DistillableViT: vit_pytorch.distill. Its distillation token belongs to DistillWrapper, so it is an input."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "distillable_vit"


def with_token(dim, *dims):
    return dict(image=list(dims), distill_token=[1, dim])


CASES = [
    Case("distillable_vit_tiny", TINY, image(1, 3, 16, 16), keep=("blocks.1", "embedding")),
    Case("distillable_vit_token", TINY, with_token(16, 2, 3, 16, 16), keep=("*",)),
    # fewer patches than the table has rows
    Case(
        "distillable_vit_smaller",
        dict(TINY, image_size=32),
        with_token(16, 1, 3, 16, 24),
        keep=("distill_token", "embedding", "pos_embedding"),
    ),
    # the mean leaves the distillation token out
    Case(
        "distillable_vit_mean",
        dict(TINY, pool="mean", dim=20),
        with_token(20, 1, 3, 16, 16),
        keep=("distill_token", "embedding"),
    ),
    Case(
        "distillable_vit_document",
        dict(STD, heads=8, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=42_047_464,
        q8="top1",
    ),
    Case("distillable_vit_document_token", dict(STD, heads=8), with_token(1024, 1, 3, 256, 256)),
]


def build(config):
    return vit_pytorch("distill").DistillableViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    x, token = inputs["image"], inputs.get("distill_token")
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(x) if token is None else model(x, distill_token=token)
    if token is not None:
        output, taps["distill_token"] = output
    patch_height, patch_width = model.patch_size
    used = x.shape[2] // patch_height * (x.shape[3] // patch_width) + len(model.cls_token)
    taps["pos_embedding"] = model.pos_embedding[:used]
    return output, taps
