"""nViT: vit_pytorch.normalized_vit. The document is the example at the module's end."""

import torch
from packages import vit_pytorch
from references import Case, Taps, keywords
from references.simple_vit import TINY, image

ARCH = "normalized_vit"

CASES = [
    Case("normalized_vit_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # no square, a hidden width that is no whole number, fewer patches than places
    Case(
        "normalized_vit_tails",
        dict(TINY, image_size=[16, 24], channels=1, dim=10, depth=1, heads=3, dim_head=5, mlp_dim=13),
        image(1, 1, 16, 8),
        keep=("blocks.*", "embedding", "pos_embedding"),
    ),
    Case(
        "normalized_vit_document",
        dict(image_size=256, patch_size=16, num_classes=1000, dim=1024, depth=6, heads=8, mlp_dim=2048),
        image(1, 3, 256, 256),
        parameters=39_850_980,
    ),
]


class Probabilities(torch.overrides.TorchFunctionMode):
    """What scaled_dot_product_attention, which does not give them, looks at."""

    def __init__(self):
        super().__init__()
        self.values = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") == "scaled_dot_product_attention":
            self.values.append((args[0] @ args[1].transpose(-1, -2) * kwargs["scale"]).softmax(-1).detach().clone())
        return function(*args, **kwargs)


def build(config):
    return vit_pytorch("normalized_vit").nViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    tokens = []
    handles = [
        layer.to_q.register_forward_pre_hook(lambda _, args: tokens.append(args[0].detach().clone()))
        for layer, _ in model.layers[1:]
    ]
    with Taps(wants) as taps, Probabilities() as looks:
        taps.output("patch_embed", model.to_patch_embedding)
        taps.input("embedding", model.to_pred)
        last, module = [], vit_pytorch("normalized_vit")
        reduce = module.reduce  # of the tokens as the last layer leaves them
        module.reduce = lambda x, *rest: (last.append(x.detach().clone()), reduce(x, *rest))[1]
        try:
            output = model(inputs["image"])
        finally:
            module.reduce = reduce
    for handle in handles:
        handle.remove()
    for i, (x, probabilities) in enumerate(zip([*tokens, *last], looks.values)):
        taps[f"blocks.{i}"], taps[f"blocks.{i}.attn"] = x, probabilities
    taps["tokens"] = last[0]
    taps["pos_embedding"] = model.abs_pos_emb.weight[: last[0].shape[1]]
    return output, taps
