"""NaViT: vit_pytorch.na_vit.

A list of images is the input "image" with all of their numbers, [sum of C*H*W], and the option "sizes". Taps are then
those of the last image, and "packing", which is of all."""

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "na_vit"
LIST = ((256, 256), (128, 128), (128, 256), (256, 128), (64, 256))  # the document's


def several(*sizes, channels=3):
    """Inputs and options of a list of pictures."""
    return (dict(image=[sum(channels * h * w for h, w in sizes)]), dict(sizes=[list(size) for size in sizes]))


SMALL = several((16, 8), (8, 8), (24, 16), (8, 24), (8, 16), (24, 24), (16, 16))

CASES = [
    Case("na_vit_tiny", dict(TINY, image_size=[16, 24], token_dropout_prob=0.1), image(1, 3, 16, 24), keep=("*",)),
    # seven: more than one concatenation takes; explicit groups, of which the second is longest
    Case(
        "na_vit_groups",
        dict(TINY, image_size=24, num_classes=3),
        SMALL[0],
        options=dict(SMALL[1], groups=[2, 4, 1]),
        keep=("packing", "blocks.0", "blocks.*.attn", "pool.*", "embedding", "pos_embedding"),
    ),
    Case(
        "na_vit_packed",
        dict(TINY, image_size=24, dim=20, heads=3, dim_head=5, mlp_dim=27, num_classes=7),
        SMALL[0],
        options=dict(SMALL[1], group_images=True, group_max_seq_len=9),
        keep=("packing", "tokens", "pool.weights"),
    ),
    Case(
        "na_vit_smaller",
        dict(TINY, image_size=24, channels=1),
        image(2, 1, 8, 16),
        keep=("patch_embed", "blocks.1", "packing"),
    ),
    Case(
        "na_vit_document",
        dict(STD, dropout=0.1, emb_dropout=0.1, token_dropout_prob=0.1),
        image(1, 3, 256, 256),
        parameters=58_766_336,
        q8="top1",
    ),
    Case("na_vit_document_groups", STD, several(*LIST)[0], options=dict(several(*LIST)[1], groups=[2, 2, 1])),
    Case(
        "na_vit_document_packed",
        STD,
        several(*LIST)[0],
        options=dict(several(*LIST)[1], group_images=True, group_max_seq_len=64),
    ),
]


def build(config):
    return vit_pytorch("na_vit").NaViT(**keywords(config))


def pictures_of(inputs, options, channels):
    x, sizes = inputs["image"], options.get("sizes")
    if not sizes:
        return list(x)
    parts = x.split([channels * h * w for h, w in sizes])
    return [part.reshape(channels, h, w) for part, (h, w) in zip(parts, sizes)]


def run(model, inputs, options, wants):
    pictures, patch = pictures_of(inputs, options, model.channels), model.patch_size
    batch = "sizes" not in options
    given, more = pictures, {}
    if options.get("group_images"):
        more = dict(group_images=True, group_max_seq_len=options["group_max_seq_len"])
    elif "groups" in options:
        rest = iter(pictures)
        given = [[next(rest) for _ in range(count)] for count in options["groups"]]
    packed = []
    layers = model.transformer.layers
    module = vit_pytorch("na_vit")
    group_images = module.group_images_by_max_seq_len

    def kept(*args, **kwargs):
        packed.extend(group_images(*args, **kwargs))
        return packed

    module.group_images_by_max_seq_len = kept
    try:
        with Taps(lambda name: True) as taps:
            taps.output("patch_embed", model.to_patch_embedding)
            for i, (attention, feed_forward) in enumerate(layers):
                taps.output(f"{i}.q", attention.q_norm)
                taps.output(f"{i}.k", attention.k_norm)
                taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
            taps.output("tokens", model.transformer)
            taps.output("pool.q", model.attn_pool.q_norm)
            taps.output("pool.k", model.attn_pool.k_norm)
            taps.input("embedding", model.mlp_head)
            output = model(given, **more)
    finally:
        module.group_images_by_max_seq_len = group_images

    groups = packed or (given if isinstance(given[0], list) else [given])
    lengths = [[x.shape[1] // patch * (x.shape[2] // patch) for x in group] for group in groups]
    packing = torch.full((len(groups), max(map(sum, lengths))), -1.0)
    number = 0
    for g, group in enumerate(lengths):
        at = 0
        for n in group:
            packing[g, at : at + n] = number
            at, number = at + n, number + 1
    # the last picture's; of a batch, which is one group, all
    n = lengths[-1][-1]
    spans = (
        [(0, i * n, i) for i in range(len(pictures))]
        if batch
        else [(len(groups) - 1, sum(lengths[-1][:-1]), len(lengths[-1]) - 1)]
    )

    def cut(x, axis=0):
        return torch.stack([x[g].narrow(axis, at, n) for g, at, _ in spans])

    result = {name: cut(taps[name]) for name in ("patch_embed", "tokens", *(f"blocks.{i}" for i in range(len(layers))))}
    for i in range(len(layers)):
        result[f"blocks.{i}.attn"] = (cut(taps[f"{i}.q"], 1) @ cut(taps[f"{i}.k"], 1).transpose(-1, -2)).softmax(-1)
    query = torch.stack([taps["pool.q"][g, :, i : i + 1] for g, _, i in spans])
    result["pool.attn"] = (query @ cut(taps["pool.k"], 1).transpose(-1, -2)).softmax(-1)
    result["pool.weights"] = result["pool.attn"].mean(1)[:, 0]
    h, w = pictures[-1].shape[1] // patch, pictures[-1].shape[2] // patch
    result["pos_embedding"] = (model.pos_embed_height[:h, None] + model.pos_embed_width[None, :w]).flatten(0, 1)
    result["embedding"] = taps["embedding"] if batch else taps["embedding"][-1:]
    return output, dict(result, packing=packing)
