"""The ViT of a tutorial. No package has it: the module below is written after the tutorial's description, with
its names of layers and keywords.

    patches of P x P, numbers in Unfold's order -> Linear -> a token of zeros in front -> + table of sines and cosines
    each encoder: x + proj(attention) + v, where q, k, v come from norm1(x);  x + fc2(GELU(fc1(norm2(x))))
    norm, and the head over the first token

The tutorial shows one encoder and does not say how many there are; `depth` does. Its `Patch_Tokenization` has patches
of 50 by default, which do not divide its image; the rest of it uses 20.
"""

import torch
from torch import nn
from references import Case, Taps, keywords

ARCH = "tutorial_vit"
DOCUMENT = dict(
    img_size=[1, 60, 100], patch_size=20, token_len=768, depth=1, num_heads=4, hidden_chan_mul=1.5, num_classes=1
)
TINY = dict(img_size=[1, 12, 20], patch_size=4, token_len=16, num_heads=2)


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("tutorial_vit_tiny", TINY, image(2, 1, 12, 20), keep=("*",)),
    # three channels, several encoders, a bias, a scale and a wider MLP, tails; an image of another size than the
    # config's
    Case(
        "tutorial_vit_colour",
        dict(
            TINY,
            img_size=[3, 8, 8],
            token_len=21,
            depth=2,
            num_heads=3,
            hidden_chan_mul=2.3,
            qkv_bias=True,
            qk_scale=0.5,
            num_classes=5,
        ),
        image(1, 3, 8, 12),
        keep=("patches", "pos_embedding", "blocks.*", "embedding"),
    ),
    Case("tutorial_vit_document", DOCUMENT, image(1, 1, 60, 100), parameters=4_444_801),
    # classes, so that 8 bits can be judged by them, and as deep as a ViT
    Case("tutorial_vit_classes", dict(DOCUMENT, depth=6, num_classes=10), image(1, 1, 60, 100), q8="top1"),
]


class PatchTokens(nn.Module):
    def __init__(self, channels, patch, dim):
        super().__init__()
        self.split = nn.Unfold(kernel_size=patch, stride=patch)
        self.project = nn.Linear(channels * patch * patch, dim)

    def forward(self, picture):
        return self.project(self.split(picture).transpose(1, 2))


class ValueSkipAttention(nn.Module):
    def __init__(self, dim, heads, qkv_bias, qk_scale):
        super().__init__()
        self.heads, self.scale = heads, qk_scale or (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.attend = nn.Softmax(dim=-1)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        by_head = [t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v)]
        weights = self.attend(self.scale * by_head[0] @ by_head[1].transpose(-2, -1))
        return self.proj((weights @ by_head[2]).transpose(1, 2).flatten(-2)) + v


class NeuralNet(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Encoder(nn.Module):
    def __init__(self, dim, heads, hidden, qkv_bias, qk_scale):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim), ValueSkipAttention(dim, heads, qkv_bias, qk_scale)
        self.norm2, self.neuralnet = nn.LayerNorm(dim), NeuralNet(dim, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.neuralnet(self.norm2(x))


def sinusoids(count, dim):
    """[count, dim] in double precision."""
    column = torch.arange(dim)
    angle = torch.arange(count)[:, None] / 10000.0 ** (2 * (column // 2).double() / dim)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


class TutorialViT(nn.Module):
    def __init__(
        self,
        img_size=(1, 60, 100),
        patch_size=20,
        token_len=768,
        depth=1,
        num_heads=4,
        hidden_chan_mul=1.5,
        qkv_bias=False,
        qk_scale=None,
        num_classes=1,
    ):
        super().__init__()
        self.patch_tokens = PatchTokens(img_size[0], patch_size, token_len)
        self.blocks = nn.ModuleList(
            Encoder(token_len, num_heads, int(token_len * hidden_chan_mul), qkv_bias, qk_scale) for _ in range(depth)
        )
        self.norm, self.head = nn.LayerNorm(token_len), nn.Linear(token_len, num_classes)

    def forward(self, picture):
        x = self.patch_tokens(picture)
        x = torch.cat((torch.zeros_like(x[:, :1]), x), dim=1)
        x = x + sinusoids(*x.shape[1:]).to(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def build(config):
    return TutorialViT(**keywords(config))


def run(model, inputs, options, wants):
    assert not options
    with Taps(wants) as taps:
        taps.output("patches", model.patch_tokens.split, lambda y, x: y.transpose(1, 2))
        taps.output("patch_embed", model.patch_tokens)
        for i, block in enumerate(model.blocks):
            taps.output(f"blocks.{i}.attn", block.attn.attend)
            taps.output(f"blocks.{i}", block)
        taps.output("tokens", model.norm)
        taps.input("embedding", model.head)
        output = model(inputs["image"])
        count = model.patch_tokens(inputs["image"]).shape[1] + 1
    taps["pos_embedding"] = sinusoids(count, model.head.in_features)
    return output, taps
