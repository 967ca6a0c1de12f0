"""The sample pictures of the demos: demos/samples/, made again from their sources.

    python scripts/dev/make_samples.py

- <class>_<1..3>.png: for each of CIFAR-10's ten classes the first three *test* images of that class, in the order of
  the file. The rule is fixed, so that nobody chose them by looking at a prediction; a wrong answer on one is an honest
  one.
- photos: images that scikit-image carries as test data and that are CC0 or in the public domain, at most 640 px.

README.md in that folder lists every file with source and licence; it is written here too.
"""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "train"))
import cifar10  # noqa: E402
from packages import cache_dir  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent.parent / "demos" / "samples"
PER_CLASS = 3
LARGEST_SIDE = 640
BUDGET = 1_000_000
SCIKIT_IMAGE = "scikit-image==0.26.0"
# name here, file in the wheel, its sha256, what it shows and who gave it away (skimage/data/_fetchers.py says so)
PHOTOS = [
    (
        "photo_cat.jpg",
        "chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "Chelsea the cat",
        "Stefan van der Walt",
        "CC0",
    ),
    (
        "photo_coffee.jpg",
        "coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "a coffee cup, courtesy of Pikolo Espresso Bar",
        "Rachel Michetti",
        "CC0",
    ),
    (
        "photo_astronaut.jpg",
        "astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "the astronaut Eileen Collins",
        "NASA Great Images database",
        "public domain",
    ),
    (
        "photo_rocket.jpg",
        "rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "a Falcon 9 launching DSCOVR",
        "SpaceX",
        "public domain",
    ),
]


def wheel() -> Path:
    """scikit-image's wheel, fetched on first use; only its data files are read, it is never installed."""
    folder = cache_dir() / "scikit-image"
    found = sorted(folder.glob("*.whl"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                str(folder),
                SCIKIT_IMAGE,
            ],
            check=True,
        )
        found = sorted(folder.glob("*.whl"))
    return found[0]


def photos() -> list[str]:
    rows = []
    with zipfile.ZipFile(wheel()) as archive:
        for name, member, digest, subject, author, licence in PHOTOS:
            data = archive.read(f"skimage/data/{member}")
            if hashlib.sha256(data).hexdigest() != digest:
                sys.exit(f"skimage/data/{member} is not the file that was reviewed: {hashlib.sha256(data).hexdigest()}")
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
            picture.save(FOLDER / name, quality=88, optimize=True)
            rows.append(
                f"| {name} | {subject} | {author}, by way of scikit-image 0.26.0 (`skimage/data/{member}`) "
                f"| {licence} |"
            )
    return rows


def thumbnails() -> list[str]:
    images, labels = cifar10.load("test")
    rows = []
    for index, name in enumerate(cifar10.CLASSES):
        picks = np.flatnonzero(labels == index)[:PER_CLASS]
        for i, pick in enumerate(picks, 1):
            Image.fromarray(images[pick]).save(FOLDER / f"{name}_{i}.png", optimize=True)
        rows.append(
            f"| {name}_1.png .. {name}_{PER_CLASS}.png | {name} | CIFAR-10 test images "
            f"{', '.join(str(p) for p in picks)} | see below |"
        )
    return rows


README = """# Sample pictures

Made by `scripts/dev/make_samples.py`; do not edit by hand.

| file | shows | source | licence |
|---|---|---|---|
{rows}

The 32x32 pictures are the first {per_class} of each class in CIFAR-10's test set, counted from 0 in the order of the
file, chosen by that rule alone. Data set: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
2009; its authors state no licence and ask for that citation. None of them was trained on.

The photos are **out of domain** for the CIFAR-10 model that ships: it knows ten classes at 32x32 pixels, and it will
give one of its ten names to a cup of coffee as well. They show resizing, cropping and attention on a real picture.
Of the four only the cat has a class of its own.
"""


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = thumbnails() + photos()
    (FOLDER / "README.md").write_text(README.format(rows="\n".join(rows), per_class=PER_CLASS))
    total = sum(f.stat().st_size for f in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir()))} files, {total:,} bytes in {FOLDER}")
    if total > BUDGET:
        sys.exit(f"over the budget of {BUDGET:,} bytes")


if __name__ == "__main__":
    main()
