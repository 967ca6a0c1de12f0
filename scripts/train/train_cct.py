"""Train a CCT on CIFAR-10, on the CPU, from a seed; resumes from its last checkpoint by itself.

    python scripts/train/train_cct.py --model cct_4 --epochs 21 --lr 6e-3 --run cct4

The model is vit_pytorch.cct's (Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021,
arXiv 2104.05704), unchanged. The loop: random crop (4 px of padding) and flip, label smoothing 0.1, learning rate
warmed up over a tenth of the run and then falling to zero along a line. Matrices and convolution filters are updated by
Muon (momentum, orthogonalised by five Newton-Schulz steps; Jordan et al. 2024), everything else by AdamW. The learning
rate was chosen by one short trial each (cct_4, one epoch of 25,000 images): 44 % top-1 at 1e-3, 59 % at 3e-3, 66 % at
8e-3; a long run takes a little less than the best of a short one.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
import cifar10  # noqa: E402
from optimizers import Muon  # noqa: E402
from packages import cache_dir, vit_pytorch  # noqa: E402

TOKENIZER = dict(
    img_size=32,
    n_conv_layers=2,
    kernel_size=3,
    stride=1,
    padding=1,
    pooling_kernel_size=3,
    pooling_stride=2,
    pooling_padding=1,
)


def build(name: str) -> torch.nn.Module:
    """vit_pytorch's `name` (cct_2, cct_4, ...) for 32x32 images and ten classes, without dropout."""
    make = getattr(vit_pytorch("cct"), name)
    return make(
        **TOKENIZER,
        num_classes=10,
        positional_embedding="learnable",
        dropout_rate=0.0,
        attention_dropout=0.0,
        stochastic_depth_rate=0.0,
    )


def normalise(images: np.ndarray) -> torch.Tensor:
    """uint8 [N,32,32,3] -> float [N,3,32,32], channel statistics removed."""
    x = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255)
    x = (x - torch.tensor(cifar10.MEAN)) / torch.tensor(cifar10.STD)
    return x.permute(0, 3, 1, 2)


def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[B,3,32,32] -> the same after a random shift of up to 4 pixels (zero padding) and a random flip."""
    n = x.shape[0]
    padded = F.pad(x, (4, 4, 4, 4))
    dy = torch.randint(0, 9, (n,), generator=generator)
    dx = torch.randint(0, 9, (n,), generator=generator)
    flip = torch.rand(n, generator=generator) < 0.5
    rows = dy[:, None] + torch.arange(32)
    cols = dx[:, None] + torch.where(flip[:, None], torch.arange(31, -1, -1), torch.arange(32))
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


@torch.no_grad()
def correct(model, images, labels, batch=500) -> int:
    """How many of the images get their own label."""
    model.eval()
    hits = 0
    for i in range(0, len(labels), batch):
        hits += int((model(images[i : i + batch]).argmax(1) == labels[i : i + batch]).sum())
    model.train()
    return hits


def optimisers(model, args):
    matrix, other = [], []
    for name, p in model.named_parameters():
        is_matrix = p.ndim >= 2 and not name.endswith(("positional_emb", "fc.weight", "attention_pool.weight"))
        (matrix if is_matrix else other).append(p)
    return [Muon(matrix, lr=args.lr), torch.optim.AdamW(other, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01)]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--model", default="cct_4")
    ap.add_argument("--epochs", type=int, default=32)
    ap.add_argument("--batch", type=int, default=100)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--images", type=int, default=50000, help="train on the first so many images (for trials)")
    ap.add_argument("--run", default="cct", help="name of the run: its folder under <cache>/checkpoints")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    folder = cache_dir() / "checkpoints" / args.run
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.pt"

    images, labels = cifar10.load("train")
    images, labels = normalise(images[: args.images]), torch.from_numpy(labels[: args.images])
    test_images, test_labels = cifar10.load("test")
    test_images, test_labels = normalise(test_images), torch.from_numpy(test_labels)

    model = build(args.model).to(memory_format=torch.channels_last)
    # max(relu(x)) = relu(max(x)): pooling first leaves a quarter of the values to rectify. Same function, same names.
    first = model.tokenizer.conv_layers[0]
    first[1], first[2] = first[2], first[1]
    opts = optimisers(model, args)
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        # How long a run is may change while it stands still: the schedule is a function of the share that is done.
        free = ("epochs", "threads")
        if any(saved["args"][k] != v for k, v in vars(args).items() if k not in free):
            sys.exit(f"{checkpoint} is of another run {saved['args']}; choose another --run")
        model.load_state_dict(saved["model"])
        for opt, state in zip(opts, saved["opts"]):
            opt.load_state_dict(state)
        start = saved["epoch"]
        print(f"resuming after epoch {start}", flush=True)

    steps = len(labels) // args.batch
    total = steps * args.epochs
    for epoch in range(start, args.epochs):
        generator = torch.Generator().manual_seed(args.seed * 100003 + epoch)
        order = torch.randperm(len(labels), generator=generator)
        began, loss_sum = time.time(), 0.0
        for i in range(steps):
            t = (epoch * steps + i) / total
            scale = min(t / 0.1, (1 - t) / 0.9)
            for opt in opts:
                opt.param_groups[0]["lr"] = args.lr * scale
            pick = order[i * args.batch : (i + 1) * args.batch]
            x = augment(images[pick], generator).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(x), labels[pick], label_smoothing=0.1)
            loss.backward()
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            loss_sum += float(loss)
        hits = correct(model, test_images, test_labels)
        line = dict(
            epoch=epoch + 1,
            loss=round(loss_sum / steps, 4),
            top1=hits / len(test_labels),
            seconds=round(time.time() - began, 1),
        )
        print(json.dumps(line), flush=True)
        with open(folder / "log.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")
        part = checkpoint.with_suffix(".part")
        torch.save(
            dict(model=model.state_dict(), opts=[o.state_dict() for o in opts], epoch=epoch + 1, args=vars(args)), part
        )
        part.rename(checkpoint)


if __name__ == "__main__":
    main()
