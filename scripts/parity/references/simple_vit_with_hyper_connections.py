"""SimpleViT with hyper-connections: vit_pytorch.simple_vit_with_hyper_connections."""

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.simple_vit import STD, TINY, image

ARCH = "simple_vit_with_hyper_connections"

CASES = [
    Case(
        "simple_vit_with_hyper_connections_tiny", dict(TINY, num_residual_streams=3), image(2, 3, 16, 16), keep=("*",)
    ),
    Case(
        "simple_vit_with_hyper_connections_odd",
        dict(
            TINY,
            image_size=[16, 12],
            patch_size=[8, 4],
            channels=1,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            num_register_tokens=3,
            num_residual_streams=5,
        ),
        image(1, 1, 16, 12),
        keep=("blocks.1*", "embedding"),
    ),
    Case(
        "simple_vit_with_hyper_connections_document",
        dict(STD, num_residual_streams=4),
        image(1, 3, 256, 256),
        parameters=54_647_072,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("simple_vit_with_hyper_connections").SimpleViT(**keywords(config))


@torch.no_grad()
def settle(model):
    """Connections near those that training starts from. Random ones saturate tanh and cancel streams: the reference in
    f32 is then off by up to 1e-3 from itself in double, on single tokens."""
    for i, (of_attention, _, of_feed_forward, _) in enumerate(model.transformer.layers):
        for connection in (of_attention, of_feed_forward):
            streams, dim = connection.num_residual_streams, len(connection.dynamic_beta_fn)
            first = torch.nn.functional.one_hot(torch.tensor(i % streams), streams)[:, None]
            connection.static_alpha.mul_(0.2).add_(torch.cat((first, torch.eye(streams)), dim=1))
            connection.static_beta.mul_(0.2).add_(1)
            for name in ("alpha", "beta"):
                getattr(connection, f"dynamic_{name}_fn").mul_((3 / dim) ** 0.5)
                getattr(connection, f"dynamic_{name}_scale").mul_(0.2)


def run(model, inputs, options, wants):
    assert not options
    layers = model.transformer.layers
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (connection, attention, *_) in enumerate(layers):
            taps.input(f"blocks.{i}.streams", connection.norm)
            taps.output(f"blocks.{i}.attn", attention.attend)
            if i:
                taps.output(f"blocks.{i - 1}", connection.norm, lambda _, streams: streams.sum(dim=2))
        taps.input(f"blocks.{len(layers) - 1}", model.transformer.norm)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.linear_head)
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding
    return output, taps
