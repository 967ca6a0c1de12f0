"""XCiT: vit_pytorch.xcit."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "xcit"
SMALL = dict(TINY, image_size=24, cls_depth=1)
CASES = [
    Case("xcit_tiny", SMALL, image(2, 3, 24, 24), keep=("blocks.*", "cls.*", "embedding")),
    # no width a multiple of 4, three heads, a wide window; 2 x 3 patches of a table of 3 x 3
    Case(
        "xcit_tails",
        dict(
            SMALL,
            num_classes=7,
            dim=20,
            depth=1,
            cls_depth=2,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            local_patch_kernel_size=5,
        ),
        image(1, 3, 16, 24),
        keep=("*",),
    ),
    Case(
        "xcit_document",
        dict(STD, depth=12, cls_depth=2, local_patch_kernel_size=3, dropout=0.1, emb_dropout=0.1, layer_dropout=0.05),
        image(1, 3, 256, 256),
        parameters=122_141_864,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("xcit").XCiT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    flat = lambda y, x=None: y.flatten(1, -2)
    for part in (model.xcit_transformer, model.cls_transformer):
        part.layer_dropout = 0.0  # the reference drops layers even in eval()
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding, flat)
        for i, (attention, _, feed_forward) in enumerate(model.xcit_transformer.layers):
            taps.output(f"blocks.{i}.xca", attention.fn.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: flat(x + y))
        taps.output("tokens", model.final_norm, flat)
        for i, (attention, feed_forward) in enumerate(model.cls_transformer.layers):
            taps.output(f"cls.{i}.attn", attention.fn.attend)
            taps.output(f"cls.{i}", feed_forward, lambda y, x: x + y)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    h, w = (side // model.to_patch_embedding[0].axes_lengths["p1"] for side in inputs["image"].shape[2:])
    taps["pos_embedding"] = model.pos_embedding[0, : h * w]
    return output, taps
