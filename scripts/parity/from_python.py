"""The recipes of docs/from-python.md, run as they are written, and what they wrote loaded by the package.

    python=$(scripts/parity/pyenv.sh hub) && "$python" scripts/parity/from_python.py [HEADING ...]

Every block of Python on the page runs by itself in an empty folder. Replaced is the network alone: from_pretrained of
transformers and pretrained=True of timm give the same class with random weights (transformers' ViT with two small
layers). Then loadModel reads the folder or file (hub_run.mjs), and its logits for random pixels are within 1e-4 of the
largest of those of the block's own model.

test/from_python.test.js runs the page's other blocks, and needs no Python.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from hub import F32_TOLERANCE, ROOT, ours
from hub_cases.timm4 import shake

PAGE = ROOT / "docs/from-python.md"
SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, num_labels=10)
# A block's heading: what it wrote, and the name of its model.
WROTE = {
    "transformers": ("my-model", "model"),
    "timm": ("my-model", "model"),
    "vit-pytorch": ("vit.safetensors", "model"),
    "Lightning": ("my-model", "classifier.model"),
    "torch.compile": ("my-model", "model"),
}


def blocks():
    """The page's blocks of Python: (heading, code)."""
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:]:
        heading = part.split("\n", 1)[0]
        for code in re.findall(r"^```python\n(.*?)^```$", part, flags=re.M | re.S):
            yield heading, code


def without_network():
    """Random weights in place of downloads."""
    create = timm.create_model

    def of_transformers(cls, name, **_):
        with torch.no_grad():
            return shake(cls(cls.config_class(**SMALL)), seed=len(name))

    def of_timm(name, pretrained=False, **options):
        model = create(name, **options)
        with torch.no_grad():
            return shake(model, seed=len(name)) if pretrained else model

    transformers.PreTrainedModel.from_pretrained = classmethod(of_transformers)
    transformers.ViTImageProcessor.from_pretrained = classmethod(lambda cls, name: cls())
    timm.create_model = timm.models.create_model = of_timm


def run(heading, code):
    """Runs a block in the current folder; how far our logits are from its own."""
    wrote, attribute = WROTE[heading]
    names = {"__name__": "__main__"}
    exec(compile(code, f"{PAGE.name}, {heading}", "exec"), names)  # noqa: S102
    name, *more = attribute.split(".")
    model = names[name]
    for one in more:
        model = getattr(model, one)
    pixels = torch.rand((2, 3, 224, 224), generator=torch.Generator().manual_seed(5)) * 2 - 1
    with torch.no_grad():
        answer = model.eval()(pixels)
    expected = getattr(answer, "logits", answer).numpy()
    with tempfile.TemporaryDirectory() as job:
        values, said = ours(Path(wrote).resolve(), pixels, "f32", job)
    assert said["kind"] == "logits", said["kind"]
    return float(np.abs(values["output"].reshape(expected.shape) - expected).max() / np.abs(expected).max())


def main():
    chosen = [one for one in blocks() if one[0] in sys.argv[1:] or not sys.argv[1:]]
    failed = 0
    without_network()
    for heading, code in chosen:
        printed = io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    worst = run(heading, code)
                fault = f"off by more than {F32_TOLERANCE:.0e}" if worst > F32_TOLERANCE else ""
                line = f"{worst:.1e}"
            except Exception:  # noqa: BLE001  a block that breaks must not hide the others
                line, fault = "", printed.getvalue() + traceback.format_exc()
            os.chdir(ROOT)
        failed += bool(fault)
        print(f"{heading:16} {line}  {fault or 'pass'}", flush=True)
    missing = [] if sys.argv[1:] else sorted(WROTE.keys() - {heading for heading, _ in chosen})
    if missing:
        print(f"{PAGE.name} has no block of Python below {', '.join(missing)}")
    print(f"{len(chosen)} recipes, {len(chosen) - failed} pass")
    sys.exit(bool(failed or missing or not chosen))


if __name__ == "__main__":
    main()
