"""What this folder takes from outside it: the only file here that knows where other folders lie."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent
MODELS = SCRIPTS.parent / "models"
sys.path[:0] = [str(HERE), str(SCRIPTS / "parity")]
from packages import cache_dir, timm, vit_pytorch  # noqa: E402, F401


def reference(arch: str):
    """The module of scripts/parity/references that builds `arch` from a config as it stands in a model file."""
    return importlib.import_module(f"references.{arch}")


def train_dir() -> Path:
    """Where checkpoints and curves lie, a folder a model: outside the checkout, so that nothing is lost with it."""
    return cache_dir() / "train"
