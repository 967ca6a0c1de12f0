"""A classifier of CIFAR-10 that learns from the labels and from what a larger model answers.

target = (1 - share) onehot(label) + share softmax(teacher(x) / T), loss = cross entropy of the student's logits with
it. The soft part is Hinton et al. 2015 (arXiv 1503.02531) with T = 1, because the teacher was trained with smoothed
labels and is soft already.

The training set is kept in K fixed augmented copies, copy k = epoch mod K: random shift and flip, and in every third
copy a box of another picture as well (CutMix, Yun et al. 2019, arXiv 1905.04899). The teacher sees the very same pixels
(Beyer et al. 2021, arXiv 2106.05237), once a copy: its logits are kept in the model's folder.

    [distill]
    teacher = "cct_4_cifar10_f32.safetensors"   in models/
    share = 0.7
    copies = 12
    size = 64       (at the top of the file) side of the pictures that the student gets, the teacher has 32; 32 where
                    left out
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open

import cifar10
import paths
import pictures
import starts
import tasks


def teacher(path: Path) -> torch.nn.Module:
    """The reference module with the weights of a model file."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["tesserae"])
        state = {name: file.get_tensor(name) for name in file.keys()}
    model = paths.reference(about["arch"]).build(about["config"])
    model.load_state_dict(state)
    return model.eval().to(memory_format=torch.channels_last)


def table(path: Path, shape: tuple) -> np.ndarray:
    """f32 values in a file, written as they become known: it survives the process. A row of zeros is not known yet."""
    if not path.exists() or path.stat().st_size != 4 * math.prod(shape):
        with open(path, "wb") as file:
            file.truncate(4 * math.prod(shape))
    return np.memmap(path, np.float32, "r+", shape=shape)


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.options = config["distill"]
        self.size = config.get("size", 32)
        self.images, self.labels = pictures.load("train", config.get("images"))
        self.test = pictures.load("test", config.get("test_images"))
        self.steps = len(self.labels) // self.batch
        self.teacher = teacher(paths.MODELS / self.options["teacher"])
        self.known = table(folder / "teacher.f32", (self.options["copies"], len(self.labels), 10))
        self.model = paths.reference(config["arch"]).build(config["model"])
        if config.get("start") == "mimetic":
            starts.mimetic(self.model)

    def drawn(self, copy: int) -> dict:
        """What is drawn for each picture of a copy."""
        n, g = len(self.labels), self.generator(1, copy)
        draw = dict(
            dy=torch.randint(0, 9, (n,), generator=g),
            dx=torch.randint(0, 9, (n,), generator=g),
            flip=torch.rand(n, generator=g) < 0.5,
        )
        if copy % 3 == 2:
            side = (torch.rand(n, generator=g).sqrt() * 32).round().long()  # the area of the box is uniform
            draw |= dict(
                partner=torch.randperm(n, generator=g),
                side=side,
                y=(torch.rand(n, generator=g) * (33 - side)).long(),
                x=(torch.rand(n, generator=g) * (33 - side)).long(),
            )
        return draw

    def view(self, draw: dict, pick: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float [B,3,32,32] and the mixed labels [B,10] of the copy's pictures `pick`."""

        def moved(index):
            return pictures.shift_and_flip(
                pictures.normalise(self.images[index]), *(draw[k][index] for k in ("dy", "dx", "flip"))
            )

        x, y = moved(pick), F.one_hot(self.labels[pick], 10).float()
        if "partner" not in draw:
            return x, y
        other, side, at = draw["partner"][pick], draw["side"][pick, None], torch.arange(32)
        rows, cols = ((at >= draw[k][pick, None]) & (at < draw[k][pick, None] + side) for k in ("y", "x"))
        box = (rows[:, :, None] & cols[:, None, :])[:, None]
        part = (side / 32) ** 2
        return torch.where(box, moved(other), x), (1 - part) * y + part * F.one_hot(self.labels[other], 10)

    def begin(self, epoch):
        self.copy = epoch % self.options["copies"]
        self.draw = self.drawn(self.copy)
        self.order = torch.randperm(len(self.labels), generator=self.generator(2, epoch))

    @torch.no_grad()
    def soft(self, x: torch.Tensor, pick: torch.Tensor) -> torch.Tensor:
        """[B,10]: what the teacher answers to x, the copy's pictures `pick`: asked once, then read."""
        logits = torch.from_numpy(self.known[self.copy, pick.numpy()])
        if not logits.any(1).all():
            logits = self.teacher(x.contiguous(memory_format=torch.channels_last))
            self.known[self.copy, pick.numpy()] = logits.numpy()
        return logits.softmax(1)

    def loss(self, epoch, step):
        pick = self.order[step * self.batch : (step + 1) * self.batch]
        x, hard = self.view(self.draw, pick)
        share = self.options["share"]
        return F.cross_entropy(
            self.model(pictures.resize(x, self.size)), (1 - share) * hard + share * self.soft(x, pick)
        )

    def evaluate(self):
        return dict(top1=pictures.accuracy(pictures.outputs(self.model, self.test[0], self.size), self.test[1]))

    def about(self):
        return dict(
            arch=self.config["arch"],
            config=self.config["model"],
            preprocess=pictures.PREPROCESS | dict(size=[self.size, self.size]),
            labels=cifar10.CLASSES,
            license="MIT",
            source=pictures.SOURCE,
        )
