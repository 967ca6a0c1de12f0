"""ViT that adapters with learnable memories are trained for: vit_pytorch.learnable_memory_vit (row 31 of the zoo)."""
from reference_packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "learnable_memory_vit"
CASES = [
    Case("learnable_memory_vit_tiny", TINY, image(2, 3, 16, 16), keep=("blocks.*", "embedding")),
    # no width a multiple of 4; the mean is asked for and the class token answers
    Case("learnable_memory_vit_tails", dict(TINY, image_size=[16, 8], num_classes=7, dim=20, depth=1, heads=3, dim_head=5, mlp_dim=27, pool="mean", channels=1),
         image(1, 1, 16, 8), keep=("*",)),

    Case("learnable_memory_vit_document", dict(STD, patch_size=16, heads=8, dropout=0.1, emb_dropout=0.1), image(1, 3, 256, 256), parameters=39_880_168,
         q8="top1"),
]


def build(config):
    return vit_pytorch("learnable_memory_vit").ViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    taps["pos_embedding"] = model.pos_embedding[0]
    return output, taps
