"""Files that are whole or absent, however the machine stops."""

import json
import os
from pathlib import Path

import torch


def save(value, path: Path):
    """torch.save into a temporary beside `path`, on the disk before it takes the name."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_json(value, path: Path, lines: bool = False):
    """One JSON value, or with `lines` one a line."""
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in value) if lines else json.dumps(value, indent=1) + "\n")
    part.replace(path)
