"""CCT for video: vit_pytorch.cct_3d, its class and its presets. A config with the key "preset" means that
function with the other keys as its keywords."""

from packages import vit_pytorch
from references import Case, Taps, keywords

ARCH = "cct_3d"
DOCUMENT = dict(
    img_size=224,
    num_frames=8,
    embedding_dim=384,
    n_conv_layers=2,
    frame_kernel_size=3,
    kernel_size=7,
    stride=2,
    padding=3,
    pooling_kernel_size=3,
    pooling_stride=2,
    pooling_padding=1,
    num_layers=14,
    num_heads=6,
    mlp_ratio=3.0,
    num_classes=1000,
    positional_embedding="learnable",
)
TINY = dict(
    img_size=[8, 12],
    num_frames=4,
    embedding_dim=8,
    n_conv_layers=1,
    kernel_size=3,
    stride=2,
    padding=1,
    num_layers=1,
    num_heads=2,
    mlp_ratio=1,
    num_classes=5,
    positional_embedding="learnable",
)


def video(*dims):
    return dict(video=list(dims))


CASES = [
    # 4 frames of 2 x 3 tokens
    Case("cct_3d_tiny", TINY, video(2, 3, 4, 8, 12), keep=("*",)),
    # strides, even kernels and padding of frames, and windows over them: 7 frames -> 4 -> 2; the sine table, which is a
    # buffer here
    Case(
        "cct_3d_windows",
        dict(
            TINY,
            num_frames=7,
            n_input_channels=1,
            frame_kernel_size=4,
            frame_stride=2,
            frame_padding=2,
            frame_pooling_kernel_size=3,
            frame_pooling_stride=2,
            positional_embedding="sine",
        ),
        video(1, 1, 7, 8, 12),
        keep=("conv.*", "pos_embedding", "pool.weights"),
    ),
    # two layers; without a table other sizes run
    Case(
        "cct_3d_none",
        dict(TINY, n_conv_layers=2, stride=1, positional_embedding="none"),
        video(1, 3, 5, 8, 16),
        keep=("conv.1", "pool.weights"),
    ),
    Case(
        "cct_3d_document",
        DOCUMENT,
        video(1, 3, 8, 224, 224),
        parameters=25_321_385,
        q8="top1",
        least=0.9,
        why="near ties; the roundings alone, in the reference, are off as far",
        taps=("conv.*", "blocks.1?", "tokens", "pool.weights", "embedding", "blocks.13.attn"),
    ),
    Case(
        "cct_3d_2_32",
        dict(preset="cct_2", img_size=32, num_classes=10, n_conv_layers=2, positional_embedding="learnable"),
        video(1, 3, 8, 32, 32),
    ),
]


def build(config):
    kwargs = keywords(config)
    preset = kwargs.pop("preset", None)
    package = vit_pytorch("cct_3d")
    return getattr(package, preset)(**kwargs) if preset else package.CCT(**kwargs)


def run(model, inputs, options, wants):
    assert not options
    classifier = model.classifier
    with Taps(wants) as taps:
        for i, layer in enumerate(model.tokenizer.conv_layers):
            taps.output(f"conv.{i}", layer, lambda y, x: y.permute(0, 2, 3, 4, 1))
        taps.output("patch_embed", model.tokenizer)
        for i, block in enumerate(classifier.blocks):
            taps.output(f"blocks.{i}.attn", block.self_attn.attn_drop)
            taps.output(f"blocks.{i}", block)
        taps.output("tokens", classifier.norm)
        taps.output("pool.weights", classifier.attention_pool, lambda y, x: y[..., 0].softmax(dim=1))
        taps.input("embedding", classifier.fc)
        output = model(inputs["video"])
    if classifier.positional_emb is not None:
        taps["pos_embedding"] = classifier.positional_emb[0]
    return output, taps
