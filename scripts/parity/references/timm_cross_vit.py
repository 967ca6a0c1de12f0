"""CrossViT as published: timm.models.crossvit, with timm's names."""

import torch

from packages import timm, without_torchvision
from references import Case, Softmaxes, Taps, keywords
from references.hf_cvt import image

ARCH = "timm_cross_vit"
CASES = [
    # the second branch sees the picture resized
    Case(
        "timm_cross_vit_tiny",
        dict(
            image_size=24,
            num_classes=10,
            branch_sizes=[[24, 24], [20, 20]],
            patch_size=[8, 10],
            embed_dim=[8, 12],
            num_heads=[2, 3],
            depths=[[1], [2], [0]],
        ),
        image(2, 3, 24, 24),
        keep=("sm.*", "lg.0", "lg.0.cross.*", "lg.patch_embed", "embedding"),
    ),
    # no squares; a picture of another size, cut for one branch and resized for the other; convolutions in place of
    # patches; blocks of several depths, two fusions; no bias, one channel, fractional widths, mean of the patches; no
    # classes: the embedding is the output
    Case(
        "timm_cross_vit_odd",
        dict(
            image_size=[48, 36],
            in_chans=1,
            num_classes=0,
            branch_sizes=[[48, 36], [32, 48]],
            patch_size=[12, 16],
            embed_dim=[8, 20],
            num_heads=[4, 2],
            depths=[[1, 1], [2, 1], [2, 0]],
            mlp_ratio=[2.7, 1.5],
            multi_conv=True,
            crop_scale=True,
            qkv_bias=False,
            global_pool="avg",
        ),
        image(1, 1, 53, 39),
        keep=("sm.patch_embed", "lg.patch_embed", "sm.1", "lg.0.cross.*", "embedding"),
    ),
    Case(
        "crossvit_tiny_240",
        dict(
            image_size=240,
            branch_sizes=[[240, 240], [224, 224]],
            patch_size=[12, 16],
            embed_dim=[96, 192],
            depths=[[1, 1, 1], [4, 4, 4], [0, 0, 0]],
            num_heads=[3, 3],
            mlp_ratio=[4, 4],
        ),
        image(1, 3, 240, 240),
        parameters=7_014_800,
        q8="top1",
    ),
    Case(
        "crossvit_9_dagger_240",
        dict(
            image_size=240,
            branch_sizes=[[240, 240], [224, 224]],
            patch_size=[12, 16],
            embed_dim=[128, 256],
            depths=[[1, 1, 1], [3, 3, 3], [0, 0, 0]],
            num_heads=[4, 4],
            mlp_ratio=[3, 3],
            multi_conv=True,
        ),
        image(1, 3, 240, 240),
        taps=("sm.?", "lg.?", "embedding"),
        parameters=8_776_592,
    ),
]


def build(config):
    """The reference has a factor for each branch's size, and lists the depths block by block."""
    config = keywords(config)
    size = config.pop("image_size")
    sizes = config.pop("branch_sizes", None)
    crossvit = timm("crossvit")
    without_torchvision("timm.layers").set_fused_attn(False)  # so that there are softmaxes to keep
    model = crossvit.CrossVit(
        img_size=size,
        depth=list(zip(*config.pop("depths"))),
        mlp_ratio=(*config.pop("mlp_ratio", (2.0, 2.0)), 1.0),
        **config,
    )
    if not sizes:
        return model
    # a factor is of both sides; where there is none that gives the sizes, they are set as the constructor would
    model.img_size_scaled = [tuple(size) for size in sizes]
    for d, (embed, (h, w)) in enumerate(zip(model.patch_embed, model.img_size_scaled)):
        embed.img_size = (h, w)
        tokens = 1 + (h // embed.patch_size[0]) * (w // embed.patch_size[1])
        setattr(model, f"pos_embed_{d}", torch.nn.Parameter(torch.zeros(1, tokens, model.embed_dim[d])))
    return model


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps, Softmaxes() as softmaxes:
        for d, name in enumerate(("sm", "lg")):
            taps.output(f"{name}.patch_embed", model.patch_embed[d])
            taps[f"{name}.pos_embedding"] = getattr(model, f"pos_embed_{d}")[0]
        names, blocks = [], []
        for k, block in enumerate(model.blocks):
            for d, name in enumerate(("sm", "lg")):
                for i, layer in enumerate(block.blocks[d]):
                    taps.output(f"{name}.{k}.blocks.{i}", layer)
                    names.append(f"{name}.{k}.blocks.{i}.attn")
            for d, name in enumerate(("sm", "lg")):
                fusion = block.fusion[d]
                count = len(fusion) if isinstance(fusion, torch.nn.Sequential) else 1
                names += [f"{name}.{k}.cross.{j}.attn" for j in range(count)]
            block.register_forward_hook(lambda _, args, y, k=k: blocks.append((k, [x.clone() for x in y])))
        features = model.forward_features(inputs["image"])
        output = model.forward_head(features)
    for k, ys in blocks:
        taps.update((f"{name}.{k}", y) for name, y in zip(("sm", "lg"), ys))
    assert len(names) == len(softmaxes.values)
    taps.update((name, value) for name, value in zip(names, softmaxes.values) if wants(name))
    pooled = [x[:, 1:].mean(1) if model.global_pool == "avg" else x[:, 0] for x in features]
    taps["sm.embedding"], taps["lg.embedding"] = pooled
    taps["embedding"] = torch.cat(pooled, 1)
    return output, taps
