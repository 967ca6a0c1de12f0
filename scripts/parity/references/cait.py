"""CaiT: vit_pytorch.cait."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "cait"
SMALL = dict(TINY, cls_depth=1)
CASES = [
    Case("cait_tiny", SMALL, image(2, 3, 16, 16), keep=("*",)),
    # no width a multiple of 4, three heads; 2 x 3 patches of a table of 4 x 4
    Case(
        "cait_tails",
        dict(SMALL, image_size=32, num_classes=7, dim=20, depth=1, cls_depth=2, heads=3, dim_head=5, mlp_dim=27),
        image(1, 3, 16, 24),
        keep=("blocks.0.*", "cls.*", "embedding"),
    ),
    Case(
        "cait_document",
        dict(STD, depth=12, cls_depth=2, dropout=0.1, emb_dropout=0.1, layer_dropout=0.05),
        image(1, 3, 256, 256),
        parameters=121_839_592,
        q8="top1",
        least=0.85,
        why="the roundings alone, in the reference, change as many; the random mixing of heads before softmax makes "
        "half of the squared error",
    ),
]


def build(config):
    return vit_pytorch("cait").CaiT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    for part in (model.patch_transformer, model.cls_transformer):
        part.layer_dropout = 0.0  # the reference drops layers even in eval()
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        taps.input("embedding", model.mlp_head)
        taps.output("tokens", model.patch_transformer)
        for name, part in (("blocks", model.patch_transformer), ("cls", model.cls_transformer)):
            for i, (attention, feed_forward) in enumerate(part.layers):
                taps.output(f"{name}.{i}.attn", attention.fn.attend)
                mix = attention.fn.mix_heads_post_attn
                taps.output(
                    f"{name}.{i}.mixed",
                    attention.fn.dropout,
                    lambda y, x, mix=mix: (y.transpose(1, 3) @ mix).transpose(1, 3),
                )
                taps.output(f"{name}.{i}", feed_forward, lambda y, x: x + y)
        output = model(inputs["image"])
    h, w = (side // model.to_patch_embedding[0].axes_lengths["p1"] for side in inputs["image"].shape[2:])
    taps["pos_embedding"] = model.pos_embedding[0, : h * w]
    return output, taps
