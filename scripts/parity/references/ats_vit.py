"""ATS-ViT: vit_pytorch.ats_vit. Its random draws are inputs, so that both sides have the same."""

import torch
import torch.nn.functional as F

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY

ARCH = "ats_vit"


def config(base, keep, **more):
    return dict(base, depth=len(keep), max_tokens_per_depth=list(keep), **more)


def inputs(batch, side, patches, keep):
    """The picture, and draws for each layer that can have more tokens than it keeps."""
    given, n = dict(image=[batch, 3, side, side]), patches
    for i, k in enumerate(keep):
        if n > k:
            given[f"noise.{i}"] = [batch, k, patches]
            n = k
    return given


CASES = [
    # sampled three times; the first layer keeps all
    Case(
        "ats_vit_tiny",
        config(TINY, (16, 9, 5, 2), image_size=16, patch_size=4),
        inputs(2, 16, 16, (16, 9, 5, 2)),
        keep=("*",),
    ),
    # from the first layer on; widths that are no multiples of 4; draws that may leave fewer than the next layer keeps
    Case(
        "ats_vit_tails",
        config(TINY, (12, 11, 3), image_size=16, patch_size=4, dim=20, heads=3, dim_head=5, mlp_dim=27, num_classes=7),
        inputs(3, 16, 16, (12, 11, 3)),
        keep=("blocks.2", "blocks.*.attn", "blocks.*.sampled_token_ids"),
    ),
    # fewer patches than the config's, one channel's worth of layers that never sample
    Case(
        "ats_vit_smaller",
        config(TINY, (9, 4), image_size=32),
        dict(image=[1, 3, 16, 24], **{"noise.1": [1, 4, 6]}),
        keep=("*",),
    ),
    Case(
        "ats_vit_document",
        config(STD, (256, 128, 64, 32, 16, 8), patch_size=16, dropout=0.1, emb_dropout=0.1),
        inputs(1, 256, 256, (256, 128, 64, 32, 16, 8)),
        parameters=52_463_080,
        q8="top1",
        least=0.85,
        why="another patch is drawn now and then",
    ),
]


def build(config):
    return vit_pytorch("ats_vit").ViT(**keywords(config))


def run(model, inputs, options, wants):
    """Taps have the shapes of ours: the most tokens that can stay, zeros (ids: -1) behind those that do. Attention has
    a column for each patch of the image, 0 for those that are gone."""
    assert not options
    module = vit_pytorch("ats_vit")
    x, layers = inputs["image"], model.transformer.layers
    patches = x.shape[2] // model.patch_size[0] * (x.shape[3] // model.patch_size[1])
    ids = torch.arange(patches + 1).expand(len(x), -1)
    # ids [B,N]: 1 + the patch that each of the layer's tokens is; 0 for the class token and behind the last
    state = dict(layer=0, ids=ids)
    rows = []  # of each layer: which patches its tokens are, which it lets go on, and which of these are there

    def sample_gumbel(shape, device, dtype, eps=1e-6):
        noise = inputs[f"noise.{state['layer']}"].abs().to(dtype)
        columns = (state["ids"][:, 1:] - 1).clamp(min=0)
        noise = noise.gather(2, columns[:, None].expand(-1, noise.shape[1], -1))
        assert noise.shape == shape
        return -module.log(-module.log(noise, eps), eps)

    def leaving(_, args, y):
        _, there, chosen = y
        before = state["ids"]
        if chosen is not None:
            state["ids"] = before.gather(1, chosen)
        state["layer"] += 1
        rows.append((before, state["ids"], there))

    handles = [attention.register_forward_hook(leaving) for attention, _ in layers]
    own, module.sample_gumbel = module.sample_gumbel, sample_gumbel
    try:
        with Taps(lambda name: True) as taps:
            taps.output("patch_embed", model.to_patch_embedding)
            for i, (attention, feed_forward) in enumerate(layers):
                taps.output(f"attend.{i}", attention.attend)
                taps.output(f"ats.{i}", attention.ats, lambda y, x: y[0])
                taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
            taps.input("embedding", model.mlp_head)
            output, sampled = model(x, return_sampled_token_ids=True)
    finally:
        module.sample_gumbel = own
        for handle in handles:
            handle.remove()

    most = patches
    for i, (columns, ids, there) in enumerate(rows):
        most = min(most, layers[i][0].output_num_tokens)
        attn = taps.pop(f"ats.{i}", taps[f"attend.{i}"])
        taps.pop(f"attend.{i}")
        wide = attn.new_zeros(*attn.shape[:3], patches + 1).scatter_add_(
            3, columns[:, None, None].expand_as(attn), attn
        )
        short = most + 1 - there.shape[1]
        taps[f"blocks.{i}.attn"] = F.pad(wide * there[:, None, :, None], (0, 0, 0, short))
        taps[f"blocks.{i}"] = F.pad(taps[f"blocks.{i}"] * there[..., None], (0, 0, 0, short))
        taps[f"blocks.{i}.sampled_token_ids"] = F.pad((ids * there)[:, 1:] - 1, (0, short), value=-1)
    taps["tokens"] = taps[f"blocks.{len(layers) - 1}"]
    taps["sampled_token_ids"] = F.pad(sampled, (0, short), value=-1)
    taps["pos_embedding"] = model.pos_embedding[0, : patches + 1]
    return output, {name: tap.to(output.dtype) for name, tap in taps.items()}
