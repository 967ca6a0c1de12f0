"""The reference packages, imported so that they run without what we do not use of them.

vit_pytorch imports torchvision for the augmentations of its self-supervised trainers only, and the torchvision on the
package index is built for CUDA; with the CPU build of PyTorch its extension does not load. A stand-in module that
holds nothing lets the import pass; any use of it fails loudly with AttributeError.
"""
import importlib
import os
import sys
import types
from pathlib import Path


def cache_dir() -> Path:
    """Where data sets, checkpoints and the Python environment live: $TESSERAE_CACHE, or ~/.cache/tesserae."""
    path = Path(os.environ.get("TESSERAE_CACHE") or Path.home() / ".cache" / "tesserae")
    path.mkdir(parents=True, exist_ok=True)
    return path


def vit_pytorch(module: str):
    """The module `vit_pytorch.<module>` of the installed package."""
    if "torchvision" not in sys.modules:
        torchvision = types.ModuleType("torchvision")
        torchvision.transforms = types.ModuleType("torchvision.transforms")
        sys.modules["torchvision"] = torchvision
        sys.modules["torchvision.transforms"] = torchvision.transforms
    return importlib.import_module(f"vit_pytorch.{module}")
