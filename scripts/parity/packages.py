"""The reference packages, imported so that they run without what we do not use of them.

vit_pytorch and timm import torchvision for augmentations, which only their trainers use, and the torchvision on the
package index is built for CUDA; with the CPU build of PyTorch its extension does not load. A stand-in, whose every name
is an empty class, lets the imports pass; any use of it fails loudly.
"""

import enum
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from pathlib import Path


def cache_dir() -> Path:
    """Where data sets, checkpoints and the Python environment live: $TESSERAE_CACHE, or ~/.cache/tesserae."""
    path = Path(os.environ.get("TESSERAE_CACHE") or Path.home() / ".cache" / "tesserae")
    path.mkdir(parents=True, exist_ok=True)
    return path


class Nothing:
    """What a stand-in's names are: good as a base class or for isinstance, and for nothing else."""


class InterpolationMode(enum.Enum):
    """timm and transformers look these up by name when they are imported."""

    NEAREST, BILINEAR, BICUBIC, BOX, HAMMING, LANCZOS = "nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"
    NEAREST_EXACT = "nearest-exact"


class StandIn(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return InterpolationMode if name == "InterpolationMode" else Nothing


class StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """torchvision and every module below it."""

    def find_spec(self, name, path=None, target=None):
        return (
            importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None
        )

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


def without_torchvision(module: str):
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, StandInFinder())
    return importlib.import_module(module)


def vit_pytorch(module: str):
    """The module `vit_pytorch.<module>` of the installed package."""
    return without_torchvision(f"vit_pytorch.{module}")


def timm(module: str):
    """The module `timm.models.<module>` of the installed package."""
    return without_torchvision(f"timm.models.{module}")


def transformers(module: str):
    """The module `transformers.models.<module>`: installed beside the others, or in the environment of the checks of
    the Hub, hubenv. It brings more than the other references need, so pyenv.sh does not install it."""
    if importlib.util.find_spec("transformers") is None:
        found = sorted((cache_dir() / "hubenv" / "lib").glob("python*/site-packages/transformers"))
        if not found:
            raise ModuleNotFoundError(f"transformers is in neither environment; install it in {cache_dir()}/hubenv")
        sys.path.append(str(found[-1].parent))  # behind the others, whose versions are pinned
    return without_torchvision(f"transformers.models.{module}")


def keras():
    """Keras on PyTorch, whatever the user's own settings say."""
    os.environ["KERAS_BACKEND"] = "torch"
    return importlib.import_module("keras")
