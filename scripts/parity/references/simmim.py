"""SimMIM: vit_pytorch.simmim around vit_pytorch.vit, as mae.py."""

import torch

from packages import vit_pytorch
from references import Case, Taps
from references.mae import SMALL, UNUSED, encoder, masked, reconstruct
from references.vit import STD

ARCH = "simmim"

CASES = [
    Case(
        "simmim_tiny",
        dict(encoder=SMALL),
        masked((2, 3, 16, 16), 16, 8),
        keep=("blocks.1.attn", "tokens", "mask", "loss", "prediction"),
    ),
    Case(
        "simmim_tails",
        dict(
            encoder=dict(
                SMALL,
                image_size=[12, 15],
                patch_size=[4, 5],
                dim=14,
                depth=1,
                heads=3,
                dim_head=5,
                mlp_dim=27,
                channels=1,
            ),
            masking_ratio=0.4,
        ),
        masked((1, 1, 12, 15), 9, 2),
        keep=("*",),
    ),
    Case("simmim_smaller_image", dict(encoder=dict(SMALL, depth=1)), masked((1, 3, 8, 12), 6, 5), keep=("loss",)),
    Case(
        "simmim_document",
        dict(encoder=dict(STD, heads=8, dropout=0.1, emb_dropout=0.1), masking_ratio=0.5),
        masked((1, 3, 256, 256), 64, 32),
        parameters=44_171_264,
        q8="cosine",
    ),
]


def build(config):
    return vit_pytorch("simmim").SimMIM(
        encoder=encoder(config["encoder"]), **{key: value for key, value in config.items() if key != "encoder"}
    )


def run(model, inputs, options, wants):
    assert not options
    mask = inputs["mask"] == 1
    place = torch.arange(mask.shape[1]).expand_as(mask)
    with Taps(wants) as taps:
        return reconstruct(model, taps, inputs["image"], mask, torch.where(mask, -place, -place - mask.shape[1])), taps
