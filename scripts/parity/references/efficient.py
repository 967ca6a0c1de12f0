"""ViT around a Nystromformer: vit_pytorch.efficient and nystrom_attention."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import image

ARCH = "efficient"
OUTER = ("image_size", "patch_size", "num_classes", "dim", "pool", "channels")
TINY = dict(image_size=16, patch_size=4, num_classes=10, dim=12, depth=2, heads=2, dim_head=8, num_landmarks=4)

CASES = [
    # 17 tokens over 4 landmarks: three rows of zeros in front; two pictures share what the inverse starts from
    Case("efficient_tiny", TINY, image(2, 3, 16, 16), keep=("blocks.0.*", "blocks.1", "embedding")),
    # 9 tokens over 3 landmarks fit; no width a multiple of 4, the mean, no convolution, fewer iterations
    Case(
        "efficient_plain",
        dict(
            TINY,
            image_size=[16, 32],
            patch_size=8,
            dim=10,
            heads=3,
            dim_head=5,
            num_landmarks=3,
            pinv_iterations=2,
            pool="mean",
            depth=1,
            attn_values_residual=False,
            channels=1,
            num_classes=7,
        ),
        image(1, 1, 16, 32),
        keep=("*",),
    ),
    # fewer tokens than landmarks, fewer patches than the table has rows, a short kernel
    Case(
        "efficient_short",
        dict(TINY, depth=1, num_landmarks=6, attn_values_residual_conv_kernel=3),
        image(1, 3, 8, 8),
        keep=("blocks.*.attn",),
    ),
    # Q K^T of all tokens would be 2 GB for all layers
    Case(
        "efficient_document",
        dict(image_size=2048, patch_size=32, num_classes=1000, dim=512, depth=12, heads=8, num_landmarks=256),
        image(1, 3, 2048, 2048),
        taps=(
            "patch_embed",
            "pos_embedding",
            "blocks.?",
            "blocks.1?",
            "blocks.*.landmarks.inverse",
            "blocks.0.landmarks.*",
            "blocks.11.landmarks.*",
            "tokens",
            "embedding",
        ),
        parameters=42_006_088,
    ),
]


def build(config):
    from nystrom_attention import Nystromformer

    inner = {key: value for key, value in config.items() if key not in OUTER}
    outer = {key: value for key, value in keywords(config).items() if key in OUTER}
    return vit_pytorch("efficient").ViT(**outer, transformer=Nystromformer(dim=config["dim"], **inner))


def run(model, inputs, options, wants):
    assert not options
    x = inputs["image"]
    with Taps(wants) as taps:
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            names = [f"blocks.{i}.landmarks.{part}" for part in ("queries", "inverse", "keys")] + [f"blocks.{i}.attn"]
            if any(map(wants, names)):

                def look(_, args, y, names=names, nystrom=attention.fn):
                    if nystrom.looking:  # the module calls itself
                        return
                    nystrom.looking, count = True, args[0].shape[1]
                    parts = nystrom(args[0], return_attn_matrices=True)[1]
                    nystrom.looking = False
                    taps.update({name: part for name, part in zip(names, parts) if wants(name)})
                    if wants(names[3]):
                        taps[names[3]] = (parts[0] @ parts[1] @ parts[2])[..., -count:, -count:]

                attention.fn.looking = False
                taps.handles.append(attention.fn.register_forward_hook(look))
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(x)
    patch = model.to_patch_embedding[0].axes_lengths["p1"]
    taps["pos_embedding"] = model.pos_embedding[0, : x.shape[2] // patch * (x.shape[3] // patch) + 1]
    return output, taps
