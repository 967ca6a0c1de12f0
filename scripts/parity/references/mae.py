"""MAE: vit_pytorch.mae around vit_pytorch.vit. The mask is an input; the reference's random draws are replaced so that
they hide what it hides, in the order of patches."""

from unittest import mock

import torch
from einops import rearrange

from packages import vit_pytorch
from references import Case, Taps, keywords, uniform
from references.vit import STD, TINY, image

ARCH = "mae"
UNUSED = ("encoder.cls_token", "encoder.mlp_head.*")
SMALL = dict(TINY, patch_size=4, num_classes=3)


def masked(dims, patches, hidden):
    """A picture batch, and a mask that hides so many of its patches."""
    order = uniform(f"mask/{patches}/{hidden}", dims[0] * patches).reshape(dims[0], patches).argsort(axis=1)
    return dict(image(*dims), mask=dict(dims=[dims[0], patches], values=(order < hidden).astype(int).ravel().tolist()))


CASES = [
    Case(
        "mae_tiny",
        dict(encoder=dict(SMALL, arch="vit"), decoder_dim=12, decoder_heads=2, decoder_dim_head=6),
        masked((2, 3, 16, 16), 16, 12),
        keep=("blocks.1.attn", "decoder.blocks.0.attn", "mask", "loss", "prediction"),
    ),
    # decoder as wide as the encoder, one head without projection; pool 'mean': a table without a class token's row; a
    # grid that is no square
    Case(
        "mae_tails",
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
                pool="mean",
                channels=2,
            ),
            masking_ratio=0.5,
            decoder_dim=14,
            decoder_depth=2,
            decoder_heads=1,
            decoder_dim_head=14,
        ),
        masked((1, 2, 12, 15), 9, 4),
        keep=("*",),
    ),
    # smaller than image_size: first rows of both tables
    Case(
        "mae_smaller_image",
        dict(encoder=dict(SMALL, depth=1), decoder_dim=8, decoder_heads=1),
        masked((1, 3, 8, 12), 6, 2),
        keep=("loss", "*pos_embedding"),
    ),
    Case(
        "mae_document",
        dict(
            encoder=dict(STD, heads=8, dropout=0.1, emb_dropout=0.1),
            masking_ratio=0.75,
            decoder_dim=512,
            decoder_depth=6,
        ),
        masked((1, 3, 256, 256), 64, 48),
        parameters=62_062_080,
        q8="cosine",
    ),
    Case(
        "mae_document_few",
        dict(encoder=dict(STD, heads=8), masking_ratio=0.75, decoder_dim=512, decoder_depth=6),
        masked((1, 3, 256, 256), 64, 5),
    ),
]


def encoder(config):
    """A ViT whose tables have the dim in front that they had when the wrappers were written: these slice [:, 1:], and
    with a class token they do not run on today's. MAE runs on today's with pool 'mean'."""
    vit = vit_pytorch("vit").ViT(**{key: value for key, value in keywords(config).items() if key != "arch"})
    if vit.pool == "cls":
        for name in ("pos_embedding", "cls_token"):
            setattr(vit, name, torch.nn.Parameter(getattr(vit, name).detach()[None]))
    return vit


def build(config):
    return vit_pytorch("mae").MAE(
        encoder=encoder(config["encoder"]), **{key: value for key, value in config.items() if key != "encoder"}
    )


def layers(taps, transformer, prefix=""):
    for i, (attention, feed_forward) in enumerate(transformer.layers):
        taps.output(f"{prefix}blocks.{i}.attn", attention.attend)
        taps.output(f"{prefix}blocks.{i}", feed_forward, lambda y, x: x + y)


def reconstruct(model, taps, x, mask, draws):
    """The loss with these draws, and the picture with the hidden patches made up."""
    taps.output("patch_embed", model.patch_to_emb)
    layers(taps, model.encoder.transformer)
    taps.output("tokens", model.encoder.transformer)
    model.masking_ratio = (int(mask[0].sum()) + 0.5) / mask.shape[1]  # as many as the mask hides
    before = torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)  # of the zeros that the reference scatters into
    with Taps(lambda name: True) as own, mock.patch("torch.rand", lambda *_, **__: draws):
        own.output("prediction", model.to_pixels)
        loss = model(x)
    torch.set_default_dtype(before)
    patch = model.encoder.patch_size
    patches = model.to_patch(x).clone()
    patches[mask] = own["prediction"].flatten(0, 1)
    taps.update(own, loss=loss[None], mask=mask.to(x.dtype))
    table = model.encoder.pos_embedding.squeeze(0)
    taps["pos_embedding"] = table[model.encoder.pool == "cls" :][: patches.shape[1]]
    return rearrange(patches, "b (h w) (p q c) -> b c (h p) (w q)", h=x.shape[2] // patch[0], p=patch[0], q=patch[1])


def run(model, inputs, options, wants):
    assert not options
    mask = inputs["mask"] == 1
    place = torch.arange(mask.shape[1]).expand_as(mask)
    with Taps(wants) as taps:
        layers(taps, model.decoder, "decoder.")
        return reconstruct(model, taps, inputs["image"], mask, torch.where(mask, place, place + mask.shape[1])), taps
