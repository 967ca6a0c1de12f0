"""The shipped model on all 10,000 test images of CIFAR-10: PyTorch in f32, then ours in f32 and q8 (`make accuracy`).

    python scripts/train/accuracy.py [--images N]

PyTorch runs vit_pytorch's own module, with the weights of models/cct_4_cifar10_f32.safetensors and pixels normalised
here. Ours gets the 8-bit pixels, so that its preprocessing is measured too: scripts/train/accuracy_run.mjs, through the
public API. Exits with 1 unless ours in f32 is within 3 images of PyTorch (near-ties that rounding decides) and q8
within 30 (below the standard error of the measurement itself, sqrt(p (1 - p) 10,000): 36 images at 85 %). With --images
the same shares are allowed. A full run of the shipped files writes the figures into README.md and the model's card.
Last line:

    top-1: pytorch f32 0.xxxx, tesserae f32 0.xxxx, tesserae q8 0.xxxx
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
import cifar10  # noqa: E402
import references  # noqa: E402

SCRIPTS = Path(__file__).resolve().parent
MODELS = SCRIPTS.parent.parent / "models"
F32 = MODELS / "cct_4_cifar10_f32.safetensors"
Q8 = MODELS / "cct_4_cifar10.safetensors"
ALLOWED = dict(f32=3 / 10_000, q8=30 / 10_000)


def reference(path: Path):
    """The reference module with the file's weights, and what the file's header says."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["tesserae"])
        state = {name: file.get_tensor(name) for name in file.keys()}
    model = references.architectures()[about["arch"]].build(about["config"])
    model.load_state_dict(state)
    return model.eval(), about


@torch.no_grad()
def pytorch(path: Path, images: np.ndarray) -> np.ndarray:
    """int [N]: the reference's winners."""
    model, about = reference(path)
    mean, std = (torch.tensor(about["preprocess"][key])[:, None, None] for key in ("mean", "std"))
    winners = []
    for batch in np.array_split(images, math.ceil(len(images) / 250)):
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        winners.append(model((x - mean) / std).argmax(1))
    return torch.cat(winners).numpy()


def ours(path: Path, images: np.ndarray) -> np.ndarray:
    """int [N]: the winners of our side, one wasm thread."""
    with tempfile.TemporaryDirectory() as folder:
        pixels, winners = Path(folder) / "pixels", Path(folder) / "winners"
        images.tofile(pixels)
        height, width = images.shape[1:3]
        subprocess.run(
            ["node", SCRIPTS / "accuracy_run.mjs", path, pixels, str(width), str(height), winners], check=True
        )
        return np.fromfile(winners, dtype="<i4")


def measure(f32: Path = F32, q8: Path = Q8, count: int = 10_000) -> dict:
    """Correct answers of the three, how many images, and how often ours names another class than PyTorch."""
    images, labels = cifar10.load("test")
    images, labels = np.array(images[:count]), labels[:count]
    print(f"pytorch f32: {len(labels)} images", flush=True)
    runs = dict(pytorch=pytorch(f32, images))
    for name, path in (("f32", f32), ("q8", q8)):
        print(f"tesserae {name}: {path.name}", flush=True)
        runs[name] = ours(path, images)
        assert len(runs[name]) == len(labels), f"{len(runs[name])} answers to {len(labels)} images"
    result = {name: int((winners == labels).sum()) for name, winners in runs.items()}
    result |= {f"{name}_differs": int((runs[name] != runs["pytorch"]).sum()) for name in ("f32", "q8")}
    return result | dict(images=len(labels))


def card_part(r: dict) -> str:
    """The part `accuracy` of the model's card, from what `measure` returns."""
    share = {name: r[name] / r["images"] for name in ("pytorch", "f32", "q8")}
    differs = {name: r[f"{name}_differs"] for name in ("f32", "q8")}
    return f"""| PyTorch f32 | Tesserae f32 | Tesserae q8 |
|---|---|---|
| {share["pytorch"]:.4f} | {share["f32"]:.4f} | {share["q8"]:.4f} |

Of the {r["images"]:,} images f32 names another class than PyTorch on {differs["f32"]}, q8 on {differs["q8"]}."""


def readme_part(r: dict) -> str:
    """The part `accuracy` of README.md."""
    percent = {name: f"{100 * r[name] / r['images']:.2f} %" for name in ("pytorch", "f32", "q8")}
    return (
        f"Of the {r['images']:,} test images it names {percent['q8']} right in 8 bits and {percent['f32']} in f32; "
        f"PyTorch names {percent['pytorch']} right."
    )


def write_pages(r: dict) -> None:
    pages = {"README.md": dict(accuracy=readme_part(r)), f"models/{Q8.stem}.md": dict(accuracy=card_part(r))}
    subprocess.run(
        ["node", SCRIPTS.parent / "build" / "docs_marks.mjs"], input=json.dumps(pages), text=True, check=True
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000, help="the first so many of the test images")
    parser.add_argument("--f32", type=Path, default=F32)
    parser.add_argument("--q8", type=Path, default=Q8)
    args = parser.parse_args()
    for path in (args.f32, args.q8):
        if not path.exists():
            sys.exit(f"{path} is not there; scripts/train/export_checkpoint.py makes it from a training run")
    r = measure(args.f32, args.q8, args.images)
    good = True
    for name in ("f32", "q8"):
        off, allowed = abs(r[name] - r["pytorch"]), round(ALLOWED[name] * r["images"])
        good &= off <= allowed
        print(
            f"{name}: {r[name]} right, {off} from PyTorch's {r['pytorch']} (allowed {allowed}); "
            f"names another class on {r[f'{name}_differs']} of {r['images']}"
        )
    share = {name: r[name] / r["images"] for name in ("pytorch", "f32", "q8")}
    if good and (args.f32, args.q8) == (F32, Q8) and r["images"] == 10_000:
        write_pages(r)
    print(f"top-1: pytorch f32 {share['pytorch']:.4f}, tesserae f32 {share['f32']:.4f}, tesserae q8 {share['q8']:.4f}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
