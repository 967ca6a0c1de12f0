"""CCT: vit_pytorch.cct, its class and its presets cct_2 .. cct_16.

A config with the key "preset" means that function with the other keys as its keywords. "seq_pool": false has no
keyword in the reference's CCT, which fixes it to true; the classifier inside it takes it, so that one is exchanged.
"""

import inspect

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "cct"
DOCUMENT = dict(
    img_size=[224, 448],
    embedding_dim=384,
    n_conv_layers=2,
    kernel_size=7,
    stride=2,
    padding=3,
    pooling_kernel_size=3,
    pooling_stride=2,
    pooling_padding=1,
    num_layers=14,
    num_heads=6,
    mlp_ratio=3.0,
    num_classes=1000,
    positional_embedding="learnable",
)
TINY = dict(
    img_size=12,
    embedding_dim=16,
    n_conv_layers=1,
    kernel_size=3,
    stride=2,
    padding=1,
    num_layers=2,
    num_heads=2,
    mlp_ratio=2,
    num_classes=10,
    positional_embedding="learnable",
)
SMALL = dict(img_size=32, num_classes=10, n_conv_layers=2, positional_embedding="learnable")
PRESETS = (2, 4, 6, 7, 8, 14, 16)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("cct_tiny", TINY, image(2, 3, 12, 12), keep=("*",)),
    # embedding_dim / heads = 5, hidden width 30, 7 classes
    Case(
        "cct_tails",
        dict(TINY, embedding_dim=20, num_heads=4, mlp_ratio=1.5, num_classes=7),
        image(1, 3, 12, 12),
        keep=("*",),
    ),
    # 12 x 8 -> 6 x 4 -> 3 x 2 by two layers, the first of 64 channels
    Case(
        "cct_two_convs",
        dict(TINY, img_size=[12, 8], n_conv_layers=2, stride=1),
        image(1, 3, 12, 8),
        keep=("conv.*", "blocks.1", "pool.weights"),
    ),
    Case(
        "cct_sine",
        dict(TINY, positional_embedding="sine"),
        image(1, 3, 12, 12),
        keep=("pos_embedding", "blocks.0", "pool.weights"),
    ),
    Case(
        "cct_none",
        dict(TINY, positional_embedding="none"),
        image(2, 3, 12, 12),
        keep=("blocks.0", "tokens", "pool.weights"),
    ),
    Case(
        "cct_class_token",
        dict(TINY, seq_pool=False),
        image(2, 3, 12, 12),
        keep=("pos_embedding", "blocks.*", "embedding"),
    ),
    Case(
        "cct_class_token_none",
        dict(TINY, seq_pool=False, positional_embedding="none"),
        image(1, 3, 12, 12),
        keep=("tokens", "embedding"),
    ),
    # an even kernel, padding beyond the half, a pooling window that overlaps nothing, one input channel
    Case(
        "cct_odd_windows",
        dict(
            TINY,
            img_size=[15, 13],
            n_input_channels=1,
            kernel_size=4,
            stride=3,
            padding=2,
            pooling_kernel_size=2,
            pooling_stride=2,
            pooling_padding=0,
        ),
        image(1, 1, 15, 13),
        keep=("conv.*", "pool.weights"),
    ),
    Case(
        "cct_preset",
        dict(SMALL, preset="cct_2", kernel_size=3, stride=1, padding=1),
        image(1, 3, 32, 32),
        keep=("pool.weights", "embedding"),
    ),
    Case("cct_document", DOCUMENT, image(1, 3, 224, 448), parameters=22_442_537, q8="top1"),
    Case("cct_document_sine", dict(DOCUMENT, positional_embedding="sine", num_layers=2), image(1, 3, 224, 448)),
    Case("cct_document_none", dict(DOCUMENT, positional_embedding="none", num_layers=2), image(1, 3, 224, 448)),
    Case("cct_document_class_token", dict(DOCUMENT, seq_pool=False, num_layers=2), image(1, 3, 224, 448)),
    # the document's second example: 3136 tokens, whose attention in all layers and heads would take 3.3 GB
    Case(
        "cct_14_document",
        dict(
            preset="cct_14",
            img_size=224,
            n_conv_layers=1,
            kernel_size=7,
            stride=2,
            padding=3,
            pooling_kernel_size=3,
            pooling_stride=2,
            pooling_padding=1,
            num_classes=1000,
            positional_embedding="learnable",
        ),
        image(1, 3, 224, 224),
        taps=("conv.*", "tokens", "pool.weights", "embedding", "pos_embedding"),
    ),
    # kernel, stride and padding left to the presets' defaults
    *[
        Case(f"cct_{n}_32", dict(SMALL, preset=f"cct_{n}"), image(1, 3, 32, 32), q8="top1" if n == 7 else "")
        for n in PRESETS
    ],
]


def build(config):
    kwargs = keywords(config)
    preset, seq_pool = kwargs.pop("preset", None), kwargs.pop("seq_pool", True)
    package = vit_pytorch("cct")
    model = getattr(package, preset)(**kwargs) if preset else package.CCT(**kwargs)
    if not seq_pool:
        assert not preset
        takes = inspect.signature(package.TransformerClassifier).parameters
        model.classifier = package.TransformerClassifier(
            **{key: value for key, value in kwargs.items() if key in takes},
            seq_pool=False,
            sequence_length=model.classifier.sequence_length,
        )
    return model


def run(model, inputs, options, wants):
    assert not options
    classifier = model.classifier
    with Taps(wants) as taps:
        for i, layer in enumerate(model.tokenizer.conv_layers):
            taps.output(f"conv.{i}", layer, lambda y, x: y.permute(0, 2, 3, 1))
        taps.output("patch_embed", model.tokenizer)
        for i, block in enumerate(classifier.blocks):
            taps.output(f"blocks.{i}.attn", block.self_attn.attn_drop)
            taps.output(f"blocks.{i}", block)
        taps.output("tokens", classifier.norm)
        if classifier.seq_pool:
            taps.output("pool.weights", classifier.attention_pool, lambda y, x: y[..., 0].softmax(dim=1))
        taps.input("embedding", classifier.fc)
        output = model(inputs["image"])
    if classifier.positional_emb is not None:
        taps["pos_embedding"] = classifier.positional_emb[0]
    return output, taps
