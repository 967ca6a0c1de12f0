"""CrossViT: vit_pytorch.cross_vit."""

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import image

ARCH = "cross_vit"
TINY = dict(
    image_size=24,
    num_classes=10,
    sm_dim=16,
    lg_dim=20,
    sm_patch_size=8,
    lg_patch_size=12,
    sm_enc_heads=2,
    lg_enc_heads=2,
    sm_enc_dim_head=8,
    lg_enc_dim_head=5,
    sm_enc_mlp_dim=24,
    lg_enc_mlp_dim=27,
    lg_enc_depth=2,
    cross_attn_heads=2,
    cross_attn_dim_head=7,
    depth=1,
)
CASES = [
    Case("cross_vit_tiny", TINY, image(2, 3, 24, 24), keep=("sm.*", "lg.0*", "lg.embedding", "embedding")),
    # one width: no projections; two exchanges; a picture smaller than the tables
    Case(
        "cross_vit_one_width",
        dict(TINY, image_size=48, lg_dim=16, depth=2, lg_enc_depth=1, cross_attn_depth=1, channels=1),
        image(1, 1, 24, 24),
        keep=("sm.1", "lg.1", "sm.1.cross.0.attn"),
    ),
    Case(
        "cross_vit_document",
        dict(
            image_size=256,
            num_classes=1000,
            depth=4,
            sm_dim=192,
            sm_patch_size=16,
            sm_enc_depth=2,
            sm_enc_heads=8,
            sm_enc_mlp_dim=2048,
            lg_dim=384,
            lg_patch_size=64,
            lg_enc_depth=3,
            lg_enc_heads=8,
            lg_enc_mlp_dim=2048,
            cross_attn_depth=2,
            cross_attn_heads=8,
            dropout=0.1,
            emb_dropout=0.1,
        ),
        image(1, 3, 256, 256),
        parameters=55_180_176,
        q8="top1",
        least=0.85,
        why="near ties",
    ),
]


def build(config):
    return vit_pytorch("cross_vit").CrossViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        for name, embedder, head in (
            ("sm", model.sm_image_embedder, model.sm_mlp_head),
            ("lg", model.lg_image_embedder, model.lg_mlp_head),
        ):
            taps.output(f"{name}.patch_embed", embedder.to_patch_embedding)
            taps.input(f"{name}.embedding", head)
        outputs = []
        for i, (sm, lg, exchange) in enumerate(model.multi_scale_encoder.layers):
            for name, encoder in (("sm", sm), ("lg", lg)):
                for j, (attention, feed_forward) in enumerate(encoder.layers):
                    taps.output(f"{name}.{i}.blocks.{j}.attn", attention.attend)
                    taps.output(f"{name}.{i}.blocks.{j}", feed_forward, lambda y, x: x + y)
            for j, pair in enumerate(exchange.layers):
                for name, project in zip(("sm", "lg"), pair):
                    taps.output(f"{name}.{i}.cross.{j}.attn", project.fn.attend)
            exchange.register_forward_hook(lambda _, args, y, i=i: outputs.append((i, y)))
        output = model(inputs["image"])
    for i, (sm, lg) in outputs:
        taps[f"sm.{i}"], taps[f"lg.{i}"] = sm.clone(), lg.clone()
        # of the last: the input of one Linear in place of both heads
        taps["embedding"] = torch.cat([sm[:, 0], lg[:, 0]], -1)
    for name, embedder in (("sm", model.sm_image_embedder), ("lg", model.lg_image_embedder)):
        used = taps[f"{name}.0"].shape[1]
        taps[f"{name}.pos_embedding"] = embedder.pos_embedding[0, :used]
    return output, taps
