"""Where the weights of a ViT of vit_pytorch begin, when a run is short: these starts cost nothing and save epochs."""

import torch


def sincos(rows: int, cols: int, dim: int) -> torch.Tensor:
    """[rows cols, dim]: sines and cosines of y, then of x, dim / 4 frequencies each: what is near is alike."""
    omega = 1 / 100 ** torch.linspace(0, 1, dim // 4)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    y, x = y.reshape(-1, 1) * omega, x.reshape(-1, 1) * omega
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()], 1)


def halves(product: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A [C,rank] and B [rank,C] with A B next to the product [C,C]."""
    u, s, v = torch.linalg.svd(product)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


@torch.no_grad()
def mimetic(vit: torch.nn.Module):
    """Positions as sincos, and attention as trained ViTs have it: a token looks at what is like it, so at its
    neighbours.

    Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers", 2023, arXiv 2305.09828: W_q^T W_k = 0.7 Z +
    0.7 I for each head, W_out W_v = 0.4 Z - 0.4 I, with Z normal of variance 1/C.
    """
    patches = vit.pos_embedding.shape[0] - len(vit.cls_token)
    dim, side = vit.pos_embedding.shape[1], round(patches**0.5)
    assert side * side == patches, "the grid of patches must be a square"
    vit.pos_embedding[-patches:] = sincos(side, side, dim)
    for attention, _ in vit.transformer.layers:
        q, k, v = attention.to_qkv.weight.view(3, attention.heads, -1, dim)  # [H,D,C] each, views
        for head in range(attention.heads):
            left, right = halves(0.7 * torch.randn(dim, dim) / dim**0.5 + 0.7 * torch.eye(dim), q.shape[1])
            q[head], k[head] = left.T, right
        inner = v.shape[0] * v.shape[1]
        out, value = halves(0.4 * torch.randn(dim, dim) / dim**0.5 - 0.4 * torch.eye(dim), min(inner, dim))
        assert inner <= dim, "the heads together are wider than the model"
        v.view(inner, dim).copy_(value)
        attention.to_out[0].weight.copy_(out)
