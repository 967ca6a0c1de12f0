"""ViT with shifted patches and locality self-attention: vit_pytorch.vit_for_small_dataset,
and its shifted patch tokenization alone."""

from packages import vit_pytorch
from references import Case, Taps, keywords
from references.vit import STD, TINY, image

ARCH = "vit_for_small_dataset"
CASES = [
    Case("vit_for_small_dataset_tiny", TINY, image(2, 3, 16, 16), keep=("blocks.*", "embedding")),
    # no width a multiple of 4; an odd patch, a picture smaller than the table, which is not square
    Case(
        "vit_for_small_dataset_tails",
        dict(
            TINY,
            image_size=[15, 10],
            patch_size=5,
            depth=1,
            num_classes=7,
            dim=20,
            heads=3,
            dim_head=5,
            mlp_dim=27,
            pool="mean",
            channels=1,
        ),
        image(1, 1, 10, 10),
        keep=("*",),
    ),
    # the tokenization alone
    Case(
        "spt_tiny",
        {"class": "SPT", "dim": 10, "patch_size": 3, "channels": 2, "image_size": 6},
        image(2, 2, 6, 9),
        keep=("*",),
    ),
    Case(
        "spt_document",
        {"class": "SPT", "dim": 1024, "patch_size": 16, "channels": 3},
        image(1, 3, 256, 256),
        parameters=3_940_864,
    ),
    Case(
        "vit_for_small_dataset_document",
        dict(STD, patch_size=16, dropout=0.1, emb_dropout=0.1),
        image(1, 3, 256, 256),
        parameters=55_612_910,
        q8="top1",
    ),
]


def build(config):
    kwargs = keywords(config)
    module = vit_pytorch("vit_for_small_dataset")
    if kwargs.pop("class", "ViT") == "ViT":
        return module.ViT(**kwargs)
    kwargs.pop("image_size", None)  # the usual picture, which the tokenization does not know
    return module.SPT(**kwargs)


def run(model, inputs, options, wants):
    assert not options
    if hasattr(model, "to_patch_tokens"):
        with Taps(wants) as taps:
            taps.output("shifted_patches", model.to_patch_tokens[0])
            taps.output("patch_embed", model)
            return model(inputs["image"]), taps
    with Taps(wants) as taps:
        taps.output("shifted_patches", model.to_patch_embedding.to_patch_tokens[0])
        taps.output("patch_embed", model.to_patch_embedding)
        for i, (attention, feed_forward) in enumerate(model.transformer.layers):
            taps[f"blocks.{i}.temperature"] = attention.temperature.reshape(1)
            taps.output(f"blocks.{i}.attn", attention.attend)
            taps.output(f"blocks.{i}", feed_forward, lambda y, x: x + y)
        taps.output("tokens", model.transformer)
        taps.input("embedding", model.mlp_head)
        output = model(inputs["image"])
    patch_height, patch_width = model.patch_size
    h, w = inputs["image"].shape[2:]
    taps["pos_embedding"] = model.pos_embedding[0, : h // patch_height * (w // patch_width) + 1]
    return output, taps
