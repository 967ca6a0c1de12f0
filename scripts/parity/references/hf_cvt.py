"""CvT as published: transformers.models.cvt. Weights have the names of CvtForImageClassification."""

from packages import transformers
from references import Case, Softmaxes, Taps

ARCH = "hf_cvt"
TINY = dict(
    image_size=32,
    num_classes=10,
    embed_dim=[8, 12],
    num_heads=[1, 3],
    depth=[0, 2],  # the reference looks up stage s in a list of depth[s] numbers
    mlp_ratio=[2, 2],
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("hf_cvt_tiny", TINY, image(2, 3, 32, 32), keep=("stages.0.embed", "stages.*.attn", "embedding")),
    # strides that do not divide the picture, other kernels and paddings, one channel, no bias, a fractional width of
    # the MLP, tails
    Case(
        "hf_cvt_odd",
        dict(
            image_size=[29, 43],
            num_channels=1,
            num_classes=7,
            embed_dim=[10],
            num_heads=[5],
            depth=[1],
            mlp_ratio=[2.7],
            patch_sizes=[5],
            patch_stride=[6],
            patch_padding=[0],
            kernel_qkv=[5],
            stride_kv=[3],
            padding_kv=[1],
            qkv_bias=False,
        ),
        image(1, 1, 29, 43),
        keep=("stages.*", "embedding"),
    ),
    # no class token: the mean over pixels; no classes: the embedding is the output; a size that the config lacks
    Case(
        "hf_cvt_mean",
        dict(num_classes=0, embed_dim=[8], num_heads=[2], depth=[1], mlp_ratio=[3], cls_token=False),
        image(1, 3, 20, 16),
        keep=("stages.0.blocks.0", "embedding"),
    ),
    Case(
        "hf_cvt_13",
        dict(depth=[1, 2, 10]),
        image(1, 3, 224, 224),
        parameters=19_997_480,
        q8="top1",
        least=0.9,
        why="random weights leave a fifth of the inputs as near ties",
    ),
]


def build(config):
    """The reference has a number for each stage, also where all stages have ours."""
    config = dict(config)
    config.pop("image_size", None)
    stages = len(config["depth"])
    defaults = dict(patch_sizes=[7, 3, 3], patch_stride=[4, 2, 2], patch_padding=[2, 1, 1], kernel_qkv=[3] * 3)
    defaults.update(stride_kv=[2] * 3, padding_kv=[1] * 3, embed_dim=[64, 192, 384], num_heads=[1, 3, 6])
    defaults["mlp_ratio"] = [4.0] * 3
    keys = {key: config.pop(key, value[:stages]) for key, value in defaults.items()}
    keys["padding_q"] = [kernel // 2 for kernel in keys["kernel_qkv"]]
    keys["cls_token"] = [False] * (stages - 1) + [config.pop("cls_token", True)]
    keys["qkv_bias"] = [config.pop("qkv_bias", True)] * stages
    keys["qkv_projection_method"], keys["stride_q"] = ["dw_bn"] * stages, [1] * stages
    for key in ("drop_rate", "drop_path_rate", "attention_drop_rate"):
        keys[key] = [0.0] * stages
    keys["mlp_ratio"] = [float(ratio) for ratio in keys["mlp_ratio"]]
    keys["num_labels"] = config.pop("num_classes", 1000)
    library = transformers("cvt.modeling_cvt")
    return library.CvtForImageClassification(library.CvtConfig(**keys, **config))


def run(model, inputs, options, wants):
    assert not options
    stages = model.cvt.encoder.stages
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        for s, stage in enumerate(stages):
            taps.output(f"stages.{s}.embed", stage.embedding, lambda y, x: y.permute(0, 2, 3, 1))
            for i, layer in enumerate(stage.layers):
                taps.output(f"stages.{s}.blocks.{i}", layer)
        taps.output("tokens", stages[-1].layers[-1])
        taps.input("embedding", model.classifier)
        # without a class token the reference fails unless it has hidden states to give
        output = model(inputs["image"], output_hidden_states=True).logits
    names = [f"stages.{s}.blocks.{i}.attn" for s, stage in enumerate(stages) for i in range(len(stage.layers))]
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    return output, taps
