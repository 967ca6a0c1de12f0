"""CrossFormer: vit_pytorch.crossformer. The reference's attention is a softmax on a tensor, in no module of its own."""

from packages import vit_pytorch
from references import Case, Softmaxes, Taps, keywords

ARCH = "crossformer"
DOCUMENT = dict(
    num_classes=1000, dim=[64, 128, 256, 512], depth=[2, 2, 8, 2], global_window_size=[8, 4, 2, 1], local_window_size=7
)
TINY = dict(
    image_size=32,
    num_classes=10,
    dim=32,
    depth=[1, 1, 0, 1],
    global_window_size=[4, 2, 1, 1],
    local_window_size=[2, 2, 2, 1],
    cross_embed_kernel_sizes=[[4, 8], [4, 2], [2], [2, 4]],
)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case(
        "crossformer_tiny",
        TINY,
        image(2, 3, 32, 32),
        keep=("stages.*_attn", "stages.*_bias", "stages.3.*", "embedding"),
    ),
    # no square, windows of 3, dims that are no multiple of 32, three scales
    Case(
        "crossformer_odd",
        dict(
            TINY,
            image_size=[24, 48],
            dim=[36, 32, 70, 40],
            depth=[1, 0, 1, 0],
            global_window_size=[3, 1, 1, 1],
            local_window_size=[2, 1, 3, 1],
            cross_embed_kernel_sizes=[[2, 6, 4], [2], [2, 4], [2]],
            cross_embed_strides=[2, 2, 2, 1],
            channels=1,
        ),
        image(1, 1, 24, 48),
        keep=("stages.2.blocks.0", "stages.*_bias", "stages.2.*_attn", "embedding"),
    ),
    Case("crossformer_document", DOCUMENT, image(1, 3, 224, 224), parameters=28_780_740, q8="top1"),
]


def build(config):
    return vit_pytorch("crossformer").CrossFormer(
        **{key: value for key, value in keywords(config).items() if key != "image_size"}
    )


def last(y):
    return y.permute(0, 2, 3, 1)


def run(model, inputs, options, wants):
    assert not options
    names = []
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        for s, (embed, transformer) in enumerate(model.layers):
            taps.output(f"stages.{s}.embed", embed, lambda y, x: last(y))
            for i, (short, _, long, ff) in enumerate(transformer.layers):
                for kind, attention in (("short", short), ("long", long)):
                    # the reference makes its positions f32, whatever the weights are
                    taps.handles.append(
                        attention.dpb[0].register_forward_pre_hook(lambda module, args: args[0].to(module.weight.dtype))
                    )
                    names.append(f"stages.{s}.blocks.{i}.{kind}_attn")
                    taps.output(
                        f"{names[-1]}_bias",
                        attention.dpb,
                        lambda y, x, attention=attention: y[attention.rel_pos_indices][None],
                    )
                taps.output(f"stages.{s}.blocks.{i}", ff, lambda y, x: last(x + y))
        taps.input("embedding", model.to_logits[1])
        output = model(inputs["image"])
    for name, value in zip(names, softmaxes.values, strict=True):
        taps[name] = value
    return output, taps
