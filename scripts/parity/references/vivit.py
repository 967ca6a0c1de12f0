"""ViViT: vit_pytorch.vivit, both of its variants.

The reference's flash attention does not give its probabilities: cases run with use_flash_attn as it stands, and the
taps come from a second run without, whose output must be the same.
"""

import torch
from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "vivit"
DOCUMENT = dict(
    image_size=128,
    image_patch_size=16,
    frames=16,
    frame_patch_size=2,
    num_classes=1000,
    dim=1024,
    spatial_depth=6,
    temporal_depth=6,
    heads=8,
    mlp_dim=2048,
)
TINY = dict(
    image_size=[8, 12],
    image_patch_size=4,
    frames=6,
    frame_patch_size=2,
    num_classes=5,
    dim=8,
    spatial_depth=1,
    temporal_depth=1,
    heads=2,
    mlp_dim=12,
    dim_head=4,
)
SELF = dict(variant="factorized_self_attention")


def video(*dims):
    return dict(video=list(dims))


CASES = [
    # 3 frames of 2 x 3 tokens
    Case("vivit_tiny", dict(TINY, temporal_depth=2), video(2, 3, 6, 8, 12), keep=("*",)),
    # shorter and smaller than the config's: 2 frames of 2 x 2 tokens, of a table of 3 by 6; one head as wide as the
    # model
    Case(
        "vivit_smaller",
        dict(TINY, pool="mean", use_flash_attn=False, heads=1, dim_head=8),
        video(1, 3, 4, 8, 8),
        keep=("pos_embedding", "spatial.blocks.0", "temporal.blocks.0.attn", "tokens"),
    ),
    Case("vivit_self", dict(TINY, **SELF), video(2, 3, 6, 8, 12), keep=("blocks.*", "tokens", "embedding")),
    Case(
        "vivit_self_mean",
        dict(TINY, pool="mean", channels=1, **SELF),
        video(1, 1, 6, 8, 12),
        keep=("blocks.0.temporal_attn", "tokens", "embedding"),
    ),
    Case("vivit_document", DOCUMENT, video(1, 3, 16, 128, 128), parameters=78_730_216, q8="top1"),
    Case("vivit_document_self", dict(DOCUMENT, **SELF), video(1, 3, 16, 128, 128), q8="top1"),
]


def build(config):
    return vit_pytorch("vivit").ViViT(**keywords(config))


def take(taps, model, batch, frames, prefix):
    if model.variant == "factorized_encoder":
        for name in ("spatial", "temporal"):
            transformer = getattr(model, f"{name}_transformer")
            for i, (attention, feed_forward) in enumerate(transformer.layers):
                taps.output(f"{name}.blocks.{i}.attn", attention.attend)
                taps.output(f"{name}.blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.temporal_transformer)
        return
    for i, (spatial, temporal, feed_forward) in enumerate(model.factorized_transformer.layers):
        taps.output(f"blocks.{i}.spatial_attn", spatial.attend)
        taps.output(f"blocks.{i}.temporal_attn", temporal.attend)
        # (b n) f d -> (b f) n d
        taps.output(
            f"blocks.{i}", feed_forward, lambda y, x: (x + y).unflatten(0, (batch, -1)).transpose(1, 2).flatten(0, 1)
        )
    taps.output("tokens", model.factorized_transformer, lambda y, _: y[:, :, prefix:].flatten(1, 2))


def run(model, inputs, options, wants):
    assert not options
    x = inputs["video"]
    output = model(x)
    flash = [module for module in model.modules() if getattr(module, "use_flash_attn", False)]
    for module in flash:
        module.use_flash_attn = False
    frames, prefix = x.shape[2] // model.frame_patch_size, int(not model.global_average_pool)
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, lambda y, _: y.flatten(1, 2))
        take(taps, model, len(x), frames, prefix)
        taps.input("embedding", model.mlp_head)
        if any(map(wants, ("patch_embed", "tokens", "embedding"))):
            torch.testing.assert_close(model(x), output)
    for module in flash:
        module.use_flash_attn = True
    patches = model.to_patch_embedding(x)
    taps["pos_embedding"] = model.pos_embedding[0, :frames, : patches.shape[2]].flatten(0, 1)
    return output, taps
