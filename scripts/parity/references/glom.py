"""GLOM: glom_pytorch. Options iters and return_all, and an input "levels", are forward()'s own."""

import torch.nn.functional as F
from glom_pytorch import Glom

from references import Case, Softmaxes, Taps, keywords

ARCH = "glom"
DOCUMENT = dict(dim=512, levels=5, image_size=224, patch_size=14)
TINY = dict(dim=8, levels=3, image_size=12, patch_size=4)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    # iters left to its default, twice the levels
    Case(
        "glom_tiny",
        TINY,
        image(1, 3, 12, 12),
        keep=("patch_embed", "state.0", "state.3", "state.6", "iterations.5.*", "islands.6", "tokens"),
    ),
    Case(
        "glom_batch", TINY, image(2, 3, 12, 12), options=dict(iters=2), keep=("state.*", "iterations.1.*", "islands.*")
    ),
    Case(
        "glom_tails",
        dict(dim=7, levels=2, image_size=15, patch_size=5),
        image(1, 3, 15, 15),
        options=dict(iters=1),
        keep=("*",),
    ),
    Case(
        "glom_self",
        dict(TINY, consensus_self=True),
        image(1, 3, 12, 12),
        options=dict(iters=2),
        keep=("iterations.1.attn", "islands.2"),
    ),
    # columns further than the radius are masked: corner to corner of 3 x 3 is 2.83
    Case(
        "glom_local",
        dict(TINY, local_consensus_radius=2),
        image(1, 3, 12, 12),
        options=dict(iters=2),
        keep=("iterations.1.attn", "islands.2"),
    ),
    Case(
        "glom_local_self",
        dict(TINY, local_consensus_radius=1, consensus_self=True),
        image(2, 3, 12, 12),
        options=dict(iters=2),
        keep=("iterations.1.attn",),
    ),
    Case("glom_return_all", TINY, image(1, 3, 12, 12), options=dict(iters=3, return_all=True), keep=("state.2",)),
    Case(
        "glom_levels",
        TINY,
        dict(image(2, 3, 12, 12), levels=[2, 9, 3, 8]),
        options=dict(iters=2),
        keep=("state.0", "state.1"),
    ),
    Case("glom_no_iterations", TINY, image(1, 3, 12, 12), options=dict(iters=0), keep=("islands.0",)),
    Case("glom_document", DOCUMENT, image(1, 3, 224, 224), options=dict(iters=12), parameters=19_332_608, q8="cosine"),
    Case("glom_document_return_all", DOCUMENT, image(1, 3, 224, 224), options=dict(iters=12, return_all=True)),
    Case("glom_document_levels", DOCUMENT, dict(image(1, 3, 224, 224), levels=[1, 256, 5, 512]), options=dict(iters=2)),
    Case("glom_document_self", dict(DOCUMENT, consensus_self=True), image(1, 3, 224, 224), options=dict(iters=2)),
    Case("glom_document_local", dict(DOCUMENT, local_consensus_radius=2), image(1, 3, 224, 224), options=dict(iters=2)),
]


def build(config):
    return Glom(**keywords(config))


def islands(state, grid):
    """[B,N,L,D] -> [B,N,L,2]: cosine similarity of each column's level vector with the one to its right and the one
    below, 0 at the border. GLOM parses an image into islands of agreement. Defined here, not in the reference."""
    b, _, levels, dim = state.shape
    field = state.reshape(b, *grid, levels, dim)
    result = state.new_zeros(b, *grid, levels, 2)
    result[:, :, :-1, :, 0] = F.cosine_similarity(field[:, :, :-1], field[:, :, 1:], dim=-1)
    result[:, :-1, :, :, 1] = F.cosine_similarity(field[:, :-1], field[:, 1:], dim=-1)
    return result.reshape(b, -1, levels, 2)


def run(model, inputs, options, wants):
    options = dict(options)
    return_all = options.pop("return_all", False)
    image = inputs["image"]
    parts = dict(bottom_up=model.bottom_up, top_down=model.top_down, consensus=model.attention)
    seen = {name: [] for name in parts}
    handles = [
        part.register_forward_hook(lambda _, args, y, name=name: seen[name].append(y.detach().clone()))
        for name, part in parts.items()
    ]
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        taps.output("patch_embed", model.image_to_tokens)
        states = model(image, levels=inputs.get("levels"), return_all=True, **options)
    for handle in handles:
        handle.remove()
    tokens = states.shape[2]
    # the top level, which the reference's page takes for the image's representation
    taps["tokens"] = states[-1][:, :, -1]
    columns = round((image.shape[-1] * tokens / image.shape[-2]) ** 0.5)
    grid = (tokens // columns, columns)
    taps["pos_embedding"] = model.pos_emb.weight
    for t, state in enumerate(states):
        taps[f"state.{t}"] = state
        taps[f"islands.{t}"] = islands(state, grid)
    for t in range(len(states) - 1):
        taps[f"iterations.{t}.bottom_up"] = seen["bottom_up"][t]
        # zeros in the last place: nothing comes down to the top level
        taps[f"iterations.{t}.top_down"] = F.pad(seen["top_down"][t], (0, 0, 0, 1))
        taps[f"iterations.{t}.consensus"] = seen["consensus"][t]
        taps[f"iterations.{t}.attn"] = softmaxes.values[t]
    return (states if return_all else states[-1]), taps
