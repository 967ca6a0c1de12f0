"""LookupViT: vit_pytorch.look_vit. The document is the example at the module's end."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.simple_vit import image

ARCH = "look_vit"
UNUSED = ("pos_embedding",)  # what is added is the table of sines and cosines

TINY = dict(
    image_size=16,
    patch_size=8,
    highres_patch_size=4,
    num_classes=10,
    dim=16,
    depth=2,
    heads=2,
    dim_head=8,
    mlp_factor=2,
    highres_mlp_factor=1,
    cross_attn_heads=2,
    cross_attn_dim_head=8,
    patch_conv_kernel_size=3,
)

CASES = [
    Case("look_vit_tiny", TINY, image(2, 3, 16, 16), keep=("*.attn", "blocks.1*", "tokens", "embedding")),
    # 5 places a side from 7, so that shares are no halves; hidden widths that are no multiples; the default kernel, and
    # heads that differ
    Case(
        "look_vit_tails",
        dict(
            TINY,
            image_size=35,
            patch_size=7,
            highres_patch_size=5,
            channels=1,
            dim=12,
            depth=1,
            heads=3,
            dim_head=5,
            mlp_factor=1.3,
            highres_mlp_factor=0.45,
            cross_attn_heads=2,
            cross_attn_dim_head=7,
            patch_conv_kernel_size=5,
        ),
        image(1, 1, 35, 35),
        keep=("blocks.0", "blocks.0.highres", "embedding"),
    ),
    Case(
        "look_vit_flat",
        dict(TINY, depth=0, dropout=0.1),
        image(1, 3, 16, 16),
        keep=("patch_embed", "pos_embedding", "*tokens"),
    ),
    Case(
        "look_vit_document",
        dict(
            image_size=256,
            num_classes=1000,
            dim=512,
            depth=2,
            heads=8,
            dim_head=64,
            patch_size=32,
            highres_patch_size=8,
            highres_mlp_factor=2,
            cross_attn_heads=8,
            cross_attn_dim_head=64,
            dropout=0.1,
        ),
        image(1, 3, 256, 256),
        parameters=16_880_640,
        q8="top1",
        least=0.9,
        why="near ties",
    ),
]


def build(config):
    return vit_pytorch("look_vit").LookViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    module = vit_pytorch("look_vit")
    sincos = []
    posemb = module.posemb_sincos_2d
    module.posemb_sincos_2d = lambda x, *rest: sincos.append(posemb(x, *rest)) or sincos[0]
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patches, lambda y, x: y.flatten(1, 2))
        for i, (attention, mlp, lookup, highres, _, highres_mlp) in enumerate(model.layers):
            taps.output(f"blocks.{i}.lookup.attn", lookup.attend)
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}.highres.attn", highres.attend)
            taps.output(f"blocks.{i}", mlp, lambda y, x: x + y)
            taps.output(f"blocks.{i}.highres", highres_mlp, lambda y, x: x + y)
        taps.output("tokens", model.norm)
        taps.output("highres.tokens", model.highres_norm)
        taps.input("embedding", model.to_logits)
        try:
            output = model(inputs["image"])
        finally:
            module.posemb_sincos_2d = posemb
    taps["pos_embedding"] = sincos[0]
    return output, taps
