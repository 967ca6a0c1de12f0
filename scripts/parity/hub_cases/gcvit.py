"""Checkpoints of GC ViT as timm writes them, with random weights; cases() as in fast.py. timm's names fix depths and
widths, so they are of full size, of small pictures."""

from hub_cases.fast import case


def cases():
    yield case("gcvit_ratio", "gcvit_xxtiny", [3, 64, 64], num_classes=5, img_size=64, window_ratio=(16, 16, 32, 32))
    # layer scale, no square, windows as the ratio makes them
    yield case(
        "gcvit_odd",
        "gcvit_small",
        [1, 64, 128],
        half=True,
        in_chans=1,
        num_classes=7,
        qkv_bias=False,
        img_size=(64, 128),
    )
    yield case(
        "gcvit_embedding",
        "gcvit_xxtiny",
        [3, 64, 64],
        "embedding",
        num_classes=0,
        mlp_ratio=1.5,
        img_size=64,
        window_size=(8, 4, 4, 2),
    )
    yield case("gcvit_xxtiny", "gcvit_xxtiny", [3, 224, 224])
