"""Pictures small enough to follow every number: cells of four colours, one question, a ViT that has to look at the
right cell.

    [puzzle]
    kind = "mirror"    the colour of the cell mirrored left-right from the marked one
           "marked"    the colour of the marked cell
           "place"     the colour of cell 5; no mark
           "majority"  the commonest colour; no mark
    grid = 3           cells a side, 4 px each

The colours are drawn evenly, every pixel gets normal noise of 0.05, the mark is a white spot of 2x2 px in a cell's
middle. For the majority four cells are set to one colour, and a tie is broken by one cell more.
"""

import torch
import torch.nn.functional as F

import paths
import tasks

COLOURS = dict(red=(0.85, 0.2, 0.2), green=(0.2, 0.7, 0.25), blue=(0.2, 0.35, 0.85), yellow=(0.95, 0.8, 0.2))
CELL, PLACE, NOISE = 4, 5, 0.05


def majority(cells: torch.Tensor, generator) -> torch.Tensor:
    """[B,N] colours, of which one is made the commonest; returns that one, [B]."""
    count, places = cells.shape
    chosen = torch.randint(0, 4, (count,), generator=generator)
    order = torch.rand(count, places, generator=generator).argsort(1)
    cells.scatter_(1, order[:, :4], chosen[:, None].expand(-1, 4))
    for more in range(4, places):  # one cell more where another colour is as common as the commonest
        counts = F.one_hot(cells, 4).sum(1)
        winner = counts.argmax(1)
        tied = (counts == counts.gather(1, winner[:, None])).sum(1) > 1
        at = order[:, more]
        cells[torch.arange(count), at] = torch.where(tied, winner, cells[torch.arange(count), at])
    return F.one_hot(cells, 4).sum(1).argmax(1)


def draw(kind: str, grid: int, count: int, generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """float [B,3,4 grid,4 grid] in 0..1 in steps of 1/255, the answer [B], the cell that holds it [B] (-1: no single
    one)."""
    cells = torch.randint(0, 4, (count, grid * grid), generator=generator)
    mark = torch.randint(0, grid * grid, (count,), generator=generator)
    if kind == "majority":
        answer, where = majority(cells, generator), torch.full((count,), -1)
    else:
        where = dict(
            marked=mark, mirror=mark - mark % grid + grid - 1 - mark % grid, place=torch.full((count,), PLACE)
        )[kind]
        answer = cells.gather(1, where[:, None])[:, 0]
    palette = torch.tensor(list(COLOURS.values()))
    x = palette[cells].view(count, grid, grid, 3).repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
    x = x + NOISE * torch.randn(x.shape, generator=generator)
    if kind in ("marked", "mirror"):
        row, col = mark // grid * CELL, mark % grid * CELL
        for y in (1, 2):
            for z in (1, 2):
                x[torch.arange(count), row + y, col + z] = 1.0
    return (x.clamp(0, 1) * 255).round().div(255).permute(0, 3, 1, 2).contiguous(), answer, where


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.steps = config["steps"]
        self.puzzle = config["puzzle"]
        self.model = paths.reference("vit").build(config["model"])

    def drawn(self, count, *path):
        x, answer, where = draw(self.puzzle["kind"], self.puzzle["grid"], count, self.generator(*path))
        return (x - 0.5) / 0.5, answer, where

    def loss(self, epoch, step):
        x, answer, _ = self.drawn(self.batch, 1, epoch, step)
        return F.cross_entropy(self.model(x), answer)

    @torch.no_grad()
    def evaluate(self):
        """Right answers to 1,000 puzzles that were not trained on; the class token's share on the answer's cell in each
        layer."""
        x, answer, where = self.drawn(1000, 2)
        rows, handles = [], []
        for attention, _ in self.model.transformer.layers:
            handles.append(attention.attend.register_forward_hook(lambda _, args, y: rows.append(y[:, :, 0].mean(1))))
        logits = self.model(x)
        for handle in handles:
            handle.remove()
        result = dict(right=int((logits.argmax(1) == answer).sum()))
        if where[0] >= 0:
            result["share"] = [round(float(row.gather(1, where[:, None] + 1).mean()), 4) for row in rows]
        return result

    def about(self):
        side = self.puzzle["grid"] * CELL
        return dict(
            arch="vit",
            config=self.config["model"],
            preprocess=dict(size=[side, side], resize="nearest", fit="squash", mean=[0.5] * 3, std=[0.5] * 3),
            labels=list(COLOURS),
            license="MIT",
            source=f"trained by scripts/train of Tesserae on generated puzzles of the kind '{self.puzzle['kind']}'",
        )
