"""T2T-ViT: vit_pytorch.t2t."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import image

ARCH = "t2t"
TINY = dict(
    image_size=16, num_classes=10, dim=16, depth=1, heads=2, mlp_dim=32, dim_head=8, t2t_layers=[[3, 4], [2, 2]]
)
CASES = [
    Case("t2t_tiny", TINY, image(2, 3, 16, 16), keep=("unfold.*", "embedding")),
    # windows of an even size, a border wider than half of one, three unfolds, an image smaller than the table, the mean
    Case(
        "t2t_tails",
        dict(
            TINY,
            image_size=21,
            num_classes=7,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            pool="mean",
            channels=1,
            t2t_layers=[[4, 3], [1, 1], [2, 2]],
        ),
        image(1, 1, 15, 15),
        keep=("unfold.?", "unfold.1.*", "pos_embedding", "blocks.0", "embedding"),
    ),
    # one unfold: no layer before the Linear
    Case("t2t_one_unfold", dict(TINY, t2t_layers=[[7, 4]]), image(1, 3, 16, 16), keep=("patch_embed",)),
    Case(
        "t2t_document",
        dict(
            image_size=224,
            num_classes=1000,
            dim=512,
            depth=5,
            heads=8,
            mlp_dim=512,
            t2t_layers=[[7, 4], [3, 2], [3, 2]],
        ),
        image(1, 3, 224, 224),
        parameters=23_465_986,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("t2t").T2TViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    steps = model.to_patch_embedding
    with Taps(wants) as taps:
        for i in range(len(steps) // 4):
            taps.output(f"unfold.{i}", steps[4 * i + 2])
            if i + 1 < len(steps) // 4:
                attention, feed_forward = steps[4 * i + 3].layers[0]
                taps.output(f"unfold.{i}.blocks.0.attn", attention.attend)
                taps.output(f"unfold.{i}.blocks.0", feed_forward, lambda y, x: x + y)
        taps.output("patch_embed", steps)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        tokens = []
        model.dropout.register_forward_hook(lambda _, args, y: tokens.append(y.shape[1]))
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding[0, : tokens[-1]]
    return output, taps
