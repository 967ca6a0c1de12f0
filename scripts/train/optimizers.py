"""Optimizers, and the learning rate as a function of the share of the run that is done.

[optimizer]
kind = "muon" | "adamw" | "adam"    muon: matrices and filters by Muon, everything else by AdamW
lr = 3e-3
weight_decay = 0.05                 0 where it is left out
betas = [0.9, 0.99]                 of Adam; [0.9, 0.99] where left out
eps = 1e-8
schedule = "linear" | "cosine" | "constant"
warmup = 0.05                       share of the run in which the rate rises from 0
final = 0.0                         share of lr at the end
clip = 1.0                          largest norm of the gradient; none where it is left out
"""

import math

import torch

# Tables, tokens and the last layer are no matrices between two hidden spaces: AdamW's.
NO_MATRIX = (
    "positional_emb",
    "pos_embedding",
    "pos_emb.weight",
    "cls_token",
    "init_levels",
    "mask_token",
    "attention_pool.weight",
    "fc.weight",
    "head.weight",
    "mlp_head.weight",
    "decoder_pos_emb.weight",
)


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is replaced by the nearest orthogonal one, scaled to AdamW's usual step size.

    Jordan et al., 2024. Filters [O,I,K,K] count as matrices [O, I K K].
    """

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.05):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def orthogonalise(g: torch.Tensor) -> torch.Tensor:
        """[S,R,C] -> per matrix, U V^T of its singular value decomposition, to within the Newton-Schulz error."""
        a, b, c = 3.4445, -4.7750, 2.0315
        tall = g.shape[1] > g.shape[2]
        x = g.transpose(1, 2) if tall else g
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            s = x @ x.transpose(1, 2)
            x = a * x + (b * s + c * (s @ s)) @ x
        return x.transpose(1, 2) if tall else x

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault((p.shape[0], p.numel() // p.shape[0]), []).append(p)
            for (rows, cols), params in by_shape.items():
                updates = []
                for p in params:
                    state = self.state[p]
                    m = state.setdefault("momentum", torch.zeros_like(p.grad))
                    m.mul_(group["momentum"]).add_(p.grad)
                    updates.append((p.grad + group["momentum"] * m).reshape(rows, cols))
                updates = self.orthogonalise(torch.stack(updates)) * (0.2 * max(rows, cols) ** 0.5)
                for p, u in zip(params, updates):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(u.reshape(p.shape), alpha=-group["lr"])


def make(model: torch.nn.Module, config: dict) -> list:
    """The optimizers of the parameters that want a gradient."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rest = dict(
        lr=config["lr"],
        weight_decay=config.get("weight_decay", 0.0),
        betas=tuple(config.get("betas", (0.9, 0.99))),
        eps=config.get("eps", 1e-8),
    )
    if config["kind"] == "adam":
        assert not rest["weight_decay"], "adam here has no weight decay; adamw has"
        return [torch.optim.Adam([p for _, p in named], **rest)]
    if config["kind"] == "adamw":
        return [torch.optim.AdamW([p for _, p in named], **rest)]
    assert config["kind"] == "muon", config["kind"]
    matrix = [p for name, p in named if p.ndim >= 2 and not name.endswith(NO_MATRIX)]
    chosen = {id(p) for p in matrix}
    other = [p for _, p in named if id(p) not in chosen]
    return [Muon(matrix, config["lr"], weight_decay=rest["weight_decay"]), torch.optim.AdamW(other, **rest)]


def rate(config: dict, done: float) -> float:
    """The learning rate when the share `done` (0..1) of the run is behind."""
    warmup, final, schedule = config.get("warmup", 0.0), config.get("final", 0.0), config.get("schedule", "linear")
    if done < warmup:
        return config["lr"] * done / warmup
    t = (done - warmup) / (1 - warmup)
    shape = dict(linear=1 - t, cosine=0.5 + 0.5 * math.cos(math.pi * t), constant=1.0)[schedule]
    return config["lr"] * (final + (1 - final) * shape)
