"""MP3: vit_pytorch.mp3, as mae.py; and the ViT of that module alone."""

from unittest import mock

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.mae import SMALL, masked
from references.vit import STD, TINY, image

ARCH = "mp3"
UNUSED = ("vit.linear_head.*",)
DOCUMENT = dict(STD, patch_size=8, heads=8, dropout=0.1)

CASES = [
    Case(
        "mp3_tiny",
        dict(vit=SMALL, masking_ratio=0.75),
        masked((2, 3, 16, 16), 16, 12),
        keep=("blocks.*.attn", "tokens", "mask", "loss"),
    ),
    Case(
        "mp3_tails",
        dict(
            vit=dict(
                SMALL,
                image_size=[12, 15],
                patch_size=[4, 5],
                dim=14,
                depth=1,
                heads=1,
                dim_head=14,
                mlp_dim=9,
                channels=1,
            ),
            masking_ratio=0.5,
        ),
        masked((1, 1, 8, 15), 6, 5),
        keep=("*",),
    ),
    Case(
        "mp3_vit",
        dict(TINY, patch_size=[4, 8], channels=2),
        image(2, 2, 16, 16),
        keep=("blocks.1.attn", "embedding", "pos_embedding"),
    ),
    Case(
        "mp3_document",
        dict(vit=DOCUMENT, masking_ratio=0.75),
        masked((1, 3, 256, 256), 1024, 768),
        parameters=39_049_600,
        q8="cosine",
    ),
    Case("mp3_document_vit", dict(DOCUMENT, patch_size=16), image(1, 3, 256, 256), q8="top1"),
]


def build(config):
    module = vit_pytorch("mp3")
    if "vit" not in config:
        return module.ViT(**keywords(config))
    return module.MP3(vit=module.ViT(**keywords(config["vit"])), masking_ratio=config["masking_ratio"])


def run(model, inputs, options, wants):
    assert not options
    x, vit = inputs["image"], getattr(model, "vit", model)
    with Taps(wants) as taps, Taps(lambda name: True) as own:
        taps.output("patch_embed", vit.to_patch_embedding, lambda y, _: y.flatten(1, 2))
        for i, (attention, feed_forward) in enumerate(vit.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", vit.transformer)
        if vit is model:
            taps.input("embedding", vit.linear_head)
            output = model(x)
            patches = torch.empty(
                1, x.shape[2] // vit.patch_size[0], x.shape[3] // vit.patch_size[1], vit.dim, dtype=x.dtype
            )
            taps["pos_embedding"] = vit_pytorch("mp3").posemb_sincos_2d(patches)
            return output, taps
        own.output("logits", model.mlp_head)
        mask = inputs["mask"] == 1
        place, model.masking_ratio = (
            torch.arange(mask.shape[1]).expand_as(mask),
            (int(mask[0].sum()) + 0.5) / mask.shape[1],
        )
        with mock.patch("torch.rand", lambda *_, **__: torch.where(mask, place, place + mask.shape[1])):
            taps["loss"] = model(x)[None]
    taps["mask"] = mask.to(x.dtype)
    return own["logits"], taps
