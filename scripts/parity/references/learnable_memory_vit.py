"""ViT with adapters that have learnable memories: vit_pytorch.learnable_memory_vit. Adapters are inputs; the reference
runs one at a time, so it runs the backbone for each."""

import torch

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "learnable_memory_vit"
NAMES = (
    "memory_cls_token",
    "memories_per_layer",
    "mlp_head.0.weight",
    "mlp_head.0.bias",
    "mlp_head.1.weight",
    "mlp_head.1.bias",
)


def adapters(dims, config, *kinds):
    """kinds: (classes, memories a layer) of each."""
    dim, given = config["dim"], image(*dims)
    for k, (classes, memories) in enumerate(kinds):
        shapes = ([dim], [config["depth"], memories, dim], [dim], [dim], [classes, dim], [classes])
        given |= {f"adapters.{k}.{name}": shape for name, shape in zip(NAMES, shapes)}
    return given


CASES = [
    Case("learnable_memory_vit_tiny", TINY, image(2, 3, 16, 16), keep=("blocks.*", "embedding")),
    # no width a multiple of 4; the mean is asked for and the class token answers
    Case(
        "learnable_memory_vit_tails",
        dict(
            TINY,
            image_size=[16, 8],
            num_classes=7,
            dim=20,
            depth=1,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            pool="mean",
            channels=1,
        ),
        image(1, 1, 16, 8),
        keep=("*",),
    ),
    Case(
        "learnable_memory_vit_adapter",
        dict(TINY, depth=1),
        adapters((2, 3, 16, 16), dict(TINY, depth=1), (2, 5)),
        keep=("*",),
    ),
    Case(
        "learnable_memory_vit_adapters",
        TINY,
        adapters((2, 3, 16, 16), TINY, (2, 5), (4, 10)),
        keep=("adapters.*", "logits"),
    ),
    Case(
        "learnable_memory_vit_document_adapters",
        dict(STD, patch_size=16, heads=8),
        adapters((1, 3, 256, 256), STD, (2, 5), (4, 10)),
    ),
    Case(
        "learnable_memory_vit_document",
        dict(STD, patch_size=16, heads=8, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=39_880_168,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("learnable_memory_vit").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    x, count = inputs["image"], sum(name.endswith("memory_cls_token") for name in inputs)
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(x)
    taps["pos_embedding"] = model.pos_embedding[0]
    if not count:
        return output, taps
    taps["logits"], outputs = output, []
    for k in range(count):
        state = {name: inputs[f"adapters.{k}.{name}"] for name in NAMES}
        adapter = (
            vit_pytorch("learnable_memory_vit")
            .Adapter(
                vit=model,
                num_memories_per_layer=state["memories_per_layer"].shape[1],
                num_classes=len(state["mlp_head.1.bias"]),
            )
            .to(x.dtype)
            .eval()
        )
        adapter.load_state_dict(state, strict=False)
        with Taps(wants) as own:
            for i, (attention, _) in enumerate(model.transformer.layers):
                own.output(f"adapters.{k}.blocks.{i}.attn", attention.attend, lambda y, x: y[:, :, :1])
            own.input(f"adapters.{k}.embedding", adapter.mlp_head)
            outputs.append(adapter(x))
        taps.update(own)
    return torch.cat(outputs, dim=1), taps
