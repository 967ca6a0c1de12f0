"""Islands of agreement: neighbouring columns whose vectors of one level point the same way."""

import torch
import torch.nn.functional as F


def figures(state: torch.Tensor, side: int, tau: float = 0.9) -> list[dict]:
    """[B,N,L,D] -> for each level: mean cosine of neighbours, islands a picture, the largest one's share of the
    columns."""
    field = state.unflatten(1, (side, side))
    right = F.cosine_similarity(field[:, :, :-1], field[:, :, 1:], dim=-1)  # [B,S,S-1,L]
    down = F.cosine_similarity(field[:, :-1], field[:, 1:], dim=-1)
    rows = []
    for level in range(state.shape[2]):
        sizes = [island_sizes(r > tau, d > tau) for r, d in zip(right[..., level], down[..., level])]
        rows.append(
            dict(
                cosine=round(float(torch.cat([right[..., level].flatten(), down[..., level].flatten()]).mean()), 3),
                islands=round(sum(len(s) for s in sizes) / len(sizes), 1),
                largest=round(sum(max(s) for s in sizes) / len(sizes) / side**2, 3),
            )
        )
    return rows


def island_sizes(right: torch.Tensor, down: torch.Tensor) -> list[int]:
    """bool [S,S-1] and [S-1,S]: which neighbours are joined -> sizes of the connected parts."""
    side = right.shape[0]
    parent = list(range(side * side))

    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for y, x in right.nonzero().tolist():
        parent[find(y * side + x)] = find(y * side + x + 1)
    for y, x in down.nonzero().tolist():
        parent[find(y * side + x)] = find((y + 1) * side + x)
    sizes = {}
    for i in range(side * side):
        sizes[find(i)] = sizes.get(find(i), 0) + 1
    return list(sizes.values())
