"""CIFAR-10 in batches: normalised floats, shifts and flips, and how many answers are right."""

import numpy as np
import torch
import torch.nn.functional as F

import cifar10

PREPROCESS = dict(size=[32, 32], resize="bicubic", fit="crop", crop_pct=1.0, mean=cifar10.MEAN, std=cifar10.STD)
SOURCE = "trained on CIFAR-10 (Krizhevsky 2009) by scripts/train of Tesserae"


def load(split: str, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [N,3,32,32] and int64 [N]: the first `count` of 'train' or 'test'."""
    images, labels = cifar10.load(split)
    images = np.ascontiguousarray(images[:count].transpose(0, 3, 1, 2))
    return torch.from_numpy(images), torch.from_numpy(labels[:count])


def normalise(images: torch.Tensor, mean=cifar10.MEAN, std=cifar10.STD) -> torch.Tensor:
    """uint8 [B,3,H,W] -> float, channel statistics removed."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (mean, std))
    return (images.float() / 255 - mean) / std


def shift_and_flip(x: torch.Tensor, dy: torch.Tensor, dx: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """[B,3,S,S] -> the same moved by dy-4, dx-4 (each 0..8; zeros come in) and mirrored where flip is true."""
    n, size = x.shape[0], x.shape[-1]
    padded = F.pad(x, (4, 4, 4, 4))
    there, back = torch.arange(size), torch.arange(size - 1, -1, -1)
    rows = dy[:, None] + there
    cols = dx[:, None] + torch.where(flip[:, None], back, there)
    return (
        padded[torch.arange(n)[:, None, None], :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2).contiguous()
    )


def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random shift of up to 4 pixels and a random flip of each."""
    n = len(x)
    return shift_and_flip(
        x,
        torch.randint(0, 9, (n,), generator=generator),
        torch.randint(0, 9, (n,), generator=generator),
        torch.rand(n, generator=generator) < 0.5,
    )


def resize(x: torch.Tensor, size: int) -> torch.Tensor:
    """[B,3,S,S] -> [B,3,size,size], by Pillow's bicubic."""
    return x if x.shape[-1] == size else F.interpolate(x, size, mode="bicubic", antialias=True)


@torch.no_grad()
def outputs(model, images: torch.Tensor, size: int = 32, batch: int = 250, **statistics) -> torch.Tensor:
    """float [N,...]: the model's answers to uint8 images, in eval mode; the mode is put back."""
    training = model.training
    model.eval()
    answers = [
        model(resize(normalise(images[i : i + batch], **statistics), size)) for i in range(0, len(images), batch)
    ]
    model.train(training)
    return torch.cat(answers)


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return round(float((logits.argmax(1) == labels).double().mean()), 4)
