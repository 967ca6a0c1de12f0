"""Masked patch prediction: vit_pytorch.mpp around vit_pytorch.vit. Inputs: the mask, and for each hidden patch what
stands in its place; the reference's random draws are replaced so that they come to the same."""

from unittest import mock

import torch

from packages import vit_pytorch
from references import Case, Taps, uniform
from references.mae import SMALL, encoder, layers, masked
from references.vit import STD

ARCH = "mpp"
UNUSED = ("transformer.mlp_head.*",)


def replaced(dims, patches, hidden):
    """As masked(); of the hidden patches every third is itself, every third another, every third the mask token."""
    inputs = masked(dims, patches, hidden)
    others = ((uniform(f"source/{patches}/{hidden}", dims[0] * patches) * 0.5 + 0.5) * patches).astype(int)
    hidden_ones = [i for i, value in enumerate(inputs["mask"]["values"]) if value]
    source = [i % patches for i in range(dims[0] * patches)]
    for k, i in enumerate(hidden_ones):
        source[i] = (source[i], int(others[i]), patches)[k % 3]
    return dict(inputs, source=dict(dims=[dims[0], patches], values=source))


def config(transformer, **others):
    return dict(transformer=transformer, patch_size=transformer["patch_size"], dim=transformer["dim"], **others)


NORMAL = dict(mean=[0.4, 0.5, 0.6], std=[0.4, 0.5, 0.55])
CASES = [
    Case(
        "mpp_tiny",
        config(SMALL, output_channel_bits=1, mask_prob=0.3, **NORMAL),
        replaced((2, 3, 16, 16), 16, 5),
        keep=("blocks.1.attn", "patch_embed", "mask", "loss"),
    ),
    # two channels, two bits, values over max_pixel_val; a smaller picture
    Case(
        "mpp_tails",
        config(
            dict(SMALL, dim=12, depth=1, heads=1, dim_head=5, mlp_dim=9, channels=2),
            output_channel_bits=2,
            channels=2,
            max_pixel_val=0.7,
            replace_prob=0.2,
            random_patch_prob=0.1,
            mean=[0.4, 0.3],
            std=[0.5, 0.4],
        ),
        replaced((1, 2, 12, 16), 12, 7),
        keep=("*",),
    ),
    Case(
        "mpp_document",
        config(
            dict(STD, heads=8, dropout=0.1, emb_dropout=0.1), mask_prob=0.15, random_patch_prob=0.30, replace_prob=0.50
        ),
        replaced((1, 3, 256, 256), 64, 10),
        parameters=41_550_336,
        q8="cosine",
    ),
    Case(
        "mpp_document_normal",
        config(dict(STD, heads=8), mask_prob=0.15, random_patch_prob=0.30, replace_prob=0.50, **NORMAL),
        replaced((1, 3, 256, 256), 64, 30),
    ),
]


def build(config):
    return vit_pytorch("mpp").MPP(
        transformer=encoder(config["transformer"]),
        **{key: value for key, value in config.items() if key != "transformer"},
    )


def run(model, inputs, options, wants):
    assert not options
    x, mask, source = inputs["image"], inputs["mask"] == 1, inputs["source"].long()
    n = mask.shape[1]
    draws = torch.where(mask, 2.0, 0.0) - torch.arange(n) / n / 2
    model.mask_prob = (int(mask[0].sum()) - 0.5) / n
    module, before = vit_pytorch("mpp"), torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)
    with (
        Taps(wants) as taps,
        Taps(lambda name: True) as own,
        mock.patch("torch.rand", lambda *_, **__: draws),
        mock.patch("torch.randint", lambda *_, **__: source.clamp(max=n - 1)),
        mock.patch.object(module, "prob_mask_like", mock.Mock(side_effect=[source < n, source == n])),
    ):
        taps.output("patch_embed", model.patch_to_emb)
        layers(taps, model.transformer.transformer)
        taps.output("tokens", model.transformer.transformer)
        own.output("logits", model.to_bits)
        taps["loss"] = model(x)[None]
    torch.set_default_dtype(before)
    taps.update(mask=mask.to(x.dtype), pos_embedding=model.transformer.pos_embedding[0, : n + 1])
    return own["logits"][:, 1:], taps
