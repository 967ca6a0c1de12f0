"""NaViT over nested tensors: vit_pytorch.na_vit_nested_tensor. Lists and taps as in na_vit.py."""

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.na_vit import LIST, SMALL, pictures_of, several
from references.vit import STD, TINY, image

ARCH = "na_vit_nested_tensor"

CASES = [
    Case("na_vit_nested_tensor_tiny", dict(TINY, image_size=[16, 24]), image(2, 3, 16, 24), keep=("*",)),
    Case(
        "na_vit_nested_tensor_list",
        dict(TINY, image_size=24, dim=20, heads=3, dim_head=5, mlp_dim=27, num_classes=7, qk_rmsnorm=False),
        SMALL[0],
        options=SMALL[1],
        keep=("blocks.*", "pool.weights"),
    ),
    Case(
        "na_vit_nested_tensor_document",
        dict(STD, dropout=0.0, emb_dropout=0.0, token_dropout_prob=0.1),
        image(1, 3, 256, 256),
        parameters=58_756_992,
        q8="top1",
        least=0.93,
        why="near ties",
    ),
    Case("na_vit_nested_tensor_document_list", STD, several(*LIST)[0], options=several(*LIST)[1]),
]


def build(config):
    return vit_pytorch("na_vit_nested_tensor").NaViT(**dict(dict(token_dropout_prob=0.0), **keywords(config)))


def run(model, inputs, options, wants):
    pictures, patch = pictures_of(inputs, options, model.channels), model.patch_size
    layers = model.transformer.layers
    with Taps(lambda name: True) as taps:
        seen = {}

        def keep(name, module):
            taps.handles.append(
                module.register_forward_hook(lambda _, args, y: seen.__setitem__(name, [t.clone() for t in y.unbind()]))
            )

        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(layers):
            keep(f"{i}.q", attention.query_norm)
            keep(f"{i}.k", attention.key_norm)
            taps.handles.append(
                feed_forward.register_forward_hook(
                    lambda _, args, y, name=f"blocks.{i}": seen.__setitem__(
                        name, [a + b for a, b in zip(args[0].unbind(), y.unbind())]
                    )
                )
            )
        keep("tokens", model.transformer)
        keep("pool.q", model.attn_pool.query_norm)
        keep("pool.k", model.attn_pool.key_norm)
        taps.input("embedding", model.mlp_head)
        output = model(pictures)
    lengths = [x.shape[1] // patch * (x.shape[2] // patch) for x in pictures]
    seen["patch_embed"] = list(taps["patch_embed"].split(lengths))
    chosen = slice(-1, None) if "sizes" in options else slice(None)
    scale = model.attn_pool.dim_head**-0.5

    def attention(name):
        q, k = (torch.stack(seen[f"{name}.{of}"][chosen]).transpose(1, 2) for of in "qk")
        return (scale * q @ k.transpose(-1, -2)).softmax(-1)

    result = {
        name: torch.stack(seen[name][chosen])
        for name in ("patch_embed", "tokens", *(f"blocks.{i}" for i in range(len(layers))))
    }
    for i in range(len(layers)):
        result[f"blocks.{i}.attn"] = attention(i)
    result["pool.attn"] = attention("pool")
    result["pool.weights"] = result["pool.attn"].mean(1)[:, 0]
    h, w = pictures[-1].shape[1] // patch, pictures[-1].shape[2] // patch
    result["pos_embedding"] = (model.pos_embed_height[:h, None] + model.pos_embed_width[None, :w]).flatten(0, 1)
    result["embedding"] = taps["embedding"][chosen]
    return output, result
