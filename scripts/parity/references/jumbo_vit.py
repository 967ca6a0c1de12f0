"""ViT with a jumbo class token: vit_pytorch.jumbo_vit. Its document is the example at the module's end; at the size of
others the MLP, which is dim * mlp_dim wide, would not fit into a file."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import image

ARCH = "jumbo_vit"
TINY = dict(
    image_size=16,
    patch_size=8,
    num_classes=10,
    dim=8,
    depth=2,
    heads=2,
    mlp_dim=2,
    dim_head=4,
    jumbo_cls_k=2,
    jumbo_ff_mult=1,
)
CASES = [
    Case("jumbo_vit_tiny", TINY, image(2, 3, 16, 16), keep=("*",)),
    # several jumbo tokens, no squares, a factor that is no whole number
    Case(
        "jumbo_vit_several",
        dict(
            TINY,
            image_size=[16, 12],
            patch_size=[8, 4],
            depth=1,
            num_classes=7,
            dim=12,
            heads=3,
            dim_head=5,
            channels=1,
            num_jumbo_cls=2,
            jumbo_cls_k=3,
            jumbo_ff_mult=0.2,
        ),
        image(1, 1, 16, 12),
        keep=("blocks.*", "embedding"),
    ),
    Case(
        "jumbo_vit_document",
        dict(
            image_size=64,
            patch_size=8,
            num_classes=1000,
            dim=16,
            depth=2,
            heads=2,
            mlp_dim=32,
            jumbo_cls_k=3,
            jumbo_ff_mult=2,
        ),
        image(1, 3, 64, 64),
        parameters=518_040,
        q8="top1",
    ),
]


def build(config):
    return vit_pytorch("jumbo_vit").JumboViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    jumbo = []
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.layers):
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        hook = model.jumbo_ff.register_forward_hook(lambda _, args, y: jumbo.append((args[0] + y).clone()))
        taps.output("embedding", model.norm)
        output = model(inputs["image"])
        hook.remove()
    taps.update((f"blocks.{i}.jumbo", value) for i, value in enumerate(jumbo))
    taps["pos_embedding"] = model.pos_embedding
    return output, taps
