"""Checkpoints as transformers and timm write them, loaded by the package without conversion, against the libraries.

    python=$(scripts/parity/pyenv.sh hub) && "$python" scripts/parity/hub.py [NAME ...]
      --list     the cases      --small    leave out those of full size
      --keep DIR keep the folders there

A case builds a model with the real library and random weights, saves it as the library does (config.json,
model.safetensors), and runs it on random pixels. Our side (hub_run.mjs) loads the folder, in f32 and in 8 bits:

  f32    logits or embedding within 1e-4 of the largest: the sums' order differs, nothing else; and the same five best
         classes in the same order, but for scores that differ by less than that
  q8     the cosine with the f32 result of ours is shown (hub_q8.py measures every family); with random weights that
         have outliers as trained ones do (outliers_*) that of all tokens together is at least 0.995

The cases are in scripts/parity/hub_cases/, a file for each group of families. Preprocessing has its own script,
hub_preprocess.py.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
F32_TOLERANCE = 1e-4
LEAST_COSINE = 0.995
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")


def all_cases():
    for path in sorted((Path(__file__).parent / "hub_cases").glob("*.py")):
        if not path.stem.startswith("_"):
            yield from importlib.import_module(f"hub_cases.{path.stem}").cases()


def ours(folder, pixels, dtype, job, **more):
    """Our outputs for a folder: {name: array}, and what info says. more: keys of hub_run.mjs's request."""
    Path(job, "pixels.f32").write_bytes(pixels.numpy().astype("<f4").tobytes())
    request = dict(
        folder=str(folder), pixels=str(Path(job, "pixels.f32")), dims=list(pixels.shape), dtype=dtype, out=job, **more
    )
    run = subprocess.run(
        ["node", str(ROOT / "scripts/parity/hub_run.mjs"), json.dumps(request)], capture_output=True, text=True
    )
    if run.returncode:
        raise RuntimeError(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no answer")
    said = json.loads(run.stdout)
    values = {
        name: np.fromfile(Path(job, f"{i}.f32"), "<f4").reshape(dims) for i, (name, dims) in enumerate(said["outputs"])
    }
    return values, said


def input_size(folder):
    """The size [C,H,W] that our side takes a folder's pictures in."""
    run = subprocess.run(
        ["node", str(ROOT / "scripts/parity/hub_run.mjs"), json.dumps(dict(folder=str(folder)))],
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no answer")
    return json.loads(run.stdout)["dims"][1:]


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def five_best(expected, found):
    """Whether the five best classes are the same, but for scores closer than the tolerance."""
    size = np.abs(expected).max()
    for row, other in zip(expected, found):
        for place, index in enumerate(np.argsort(-row, kind="stable")[:5]):
            there = np.argsort(-other, kind="stable")[place]
            if index != there and abs(row[index] - row[there]) > F32_TOLERANCE * size:
                return False
    return True


def try_case(case, where):
    folder = where / case["name"]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    (kind, reference), *_ = case["make"](folder).items()
    generator = torch.Generator().manual_seed(5)
    size = case.get("size") or input_size(folder)
    if len(size) == 2:
        size = (case.get("channels", 3), *size)
    pixels = torch.rand((2, *size), generator=generator) * 2 - 1
    with torch.no_grad():
        expected = reference(pixels).float().numpy()
    with tempfile.TemporaryDirectory() as job:
        values, said = ours(folder, pixels, "f32", job, mask=case.get("mask"))
    found = values["output"].reshape(expected.shape)
    worst = float(np.abs(found - expected).max() / np.abs(expected).max())
    faults = []
    if worst > F32_TOLERANCE:
        faults.append(f"off by {worst:.2e} of the largest")
    if kind == "logits" and not five_best(expected, found):
        faults.append("other classes are the five best")
    if (kind == "logits") != (said["kind"] == "logits"):
        faults.append(f"the output is {said['kind']}, expected {kind}")
    with tempfile.TemporaryDirectory() as job:
        narrow, _ = ours(folder, pixels, "q8", job, mask=case.get("mask"))
    close = cosine(narrow["output"], values["output"])
    tokens = cosine(narrow["tokens"], values["tokens"]) if "tokens" in values else close
    if case.get("outliers") and tokens < LEAST_COSINE:
        faults.append(f"q8: the tokens' cosine is {tokens:.4f}")
    return worst, close, tokens, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--keep")
    options = parser.parse_args()
    cases = [case for case in all_cases() if not (options.small and case.get("full"))]
    if options.list:
        return print("\n".join(case["name"] for case in cases))
    chosen = [case for case in cases if not options.names or case["name"] in options.names]
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for case in chosen:
            try:
                worst, close, tokens, faults = try_case(case, Path(options.keep or temporary))
                line = f"f32 {worst:.1e}  q8 {close:.5f}  tokens {tokens:.5f}"
            except Exception as error:  # noqa: BLE001  a case that breaks must not hide the others
                line, faults = "", [f"{type(error).__name__}: {error}"]
            failed += bool(faults)
            print(f"{case['name']:24} {line}  {'; '.join(faults) or 'pass'}", flush=True)
    print(f"{len(chosen)} checkpoints, {len(chosen) - failed} pass")
    sys.exit(bool(failed or not chosen))


if __name__ == "__main__":
    main()
