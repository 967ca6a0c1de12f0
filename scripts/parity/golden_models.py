"""Writes test/golden/models/<case>.json: what the reference gives for each tiny case of scripts/parity/references/.

    python scripts/parity/golden_models.py [CASE ...]

The reference runs in double precision and its results are rounded to f32 once, so that the files are the same on every
machine and half of the tolerance is not spent on the expected values. Weights and inputs are not in the files: the test
draws them again (test/parity/weights.js) and checks their SHA-256 against the one written here. Tensors that are not
floating point (masks) are kept as the state_dict has them. `keep` says which taps a file has: all whose names match one
of these patterns. The test asks the program for its taps, so that one that a file lacks is noticed.

An output or tap of n values, f32 little-endian in base64 everywhere:

    n <= 64  dims, data: all values
    else     dims, largest, probes, sums
             largest  max |x|, to nine digits
             probes   the values at positions order[:64]
             sums     of each eight further positions of the order (the last sum may have fewer): sum of sign[i] x[i],
                      rounded to f32 once

    u = uniform("<case>/golden/<output or the tap's name>", 2 n)    references/__init__.py
    order = argsort(u[:n])    sign[i] = -1 where u[n + i] < 0, else 1

So every value is either compared by itself or part of exactly one sum. Errors that are independent grow in a signed sum
by the root of eight, and so does its tolerance (test/parity/golden.js). test/parity/golden.test.js shows what is found:
one wrong value that is off by four times the tolerance, many that are off by one and a half times. A digest of results
would not do, because they may differ by rounding.
"""

import argparse
import base64
import hashlib
import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import references  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent.parent / "test" / "golden" / "models"
BUDGET = 2_000_000  # of everything in test/golden; test/parity/golden.test.js has the same limit
PROBES, GROUP = 64, 8
DTYPES = {torch.float32: "F32", torch.bool: "BOOL", torch.int64: "I64"}


def base64_of(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def packed(tensor: torch.Tensor, case: str, name: str) -> dict:
    """What a golden file keeps of an output or a tap: see the top."""
    values = tensor.detach().numpy().astype("<f4")
    dims, values, n = list(values.shape), values.ravel(), values.size
    assert np.isfinite(values).all(), f"{case}: {name} is not finite"
    if n <= PROBES:
        return dict(dims=dims, data=base64_of(values))
    u = references.uniform(f"{case}/golden/{name}", 2 * n)
    order = np.argsort(u[:n], kind="stable")
    signed = np.where(u[n:] < 0, -1.0, 1.0) * values
    sums = [math.fsum(signed[order[at : at + GROUP]]) for at in range(PROBES, n, GROUP)]
    return dict(
        dims=dims,
        largest=float(f"{np.abs(values).max():.9g}"),
        probes=base64_of(values[order[:PROBES]]),
        sums=base64_of(np.array(sums)),
    )


def golden(module, case) -> dict:
    model = module.build(case.config).eval()
    state = references.fill(model, case.name)
    tensors, digest = [], hashlib.sha256()
    for name, tensor in state.items():
        data = tensor.numpy().tobytes()
        digest.update(data)
        entry = [name, list(tensor.shape)]
        if not tensor.is_floating_point():
            entry += [DTYPES[tensor.dtype], base64.b64encode(data).decode()]
        tensors.append(entry)
    inputs = {
        name: torch.from_numpy(references.draw_input(case.name, name, dims)) for name, dims in case.inputs.items()
    }
    for tensor in inputs.values():
        digest.update(tensor.numpy().tobytes())
    with torch.no_grad():
        output, taps = module.run(
            model.double(), {name: x.double() for name, x in inputs.items()}, case.options, case.compares
        )
    kept = {name: packed(taps[name], case.name, name) for name in sorted(taps) if case.compares(name)}
    for pattern in case.keep:
        assert any(references.fnmatch.fnmatchcase(name, pattern) for name in taps), f"{case.name}: no tap is {pattern}"
    return dict(
        name=case.name,
        arch=module.ARCH,
        config=case.config,
        inputs=case.inputs,
        options=case.options,
        keep=case.keep,
        parameters=references.parameters(module, model),
        sha256=digest.hexdigest(),
        tensors=tensors,
        output=packed(output, case.name, "output"),
        taps=kept,
    )


def text(entry: dict) -> str:
    """JSON with a line per key, tensor and tap: differences between two versions stay readable."""
    lines = []
    for key, value in entry.items():
        if key == "tensors":
            body = ",\n".join("    " + json.dumps(t) for t in value)
            lines.append(f'  "tensors": [\n{body}\n  ]')
        elif key == "taps":
            body = ",\n".join(f"    {json.dumps(name)}: {json.dumps(tap)}" for name, tap in value.items())
            lines.append(f'  "taps": {{\n{body}\n  }}')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="names; all when none is given")
    wanted = set(parser.parse_args().cases)
    torch.set_num_threads(1)
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "vit-pytorch", "glom-pytorch", "numpy")))
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = set()
    for module in references.architectures().values():
        for case in module.CASES:
            if case.tiny and (not wanted or case.name in wanted):
                path = FOLDER / f"{case.name}.json"
                path.write_text(text(golden(module, case)))
                written.add(path)
                print(f"{case.name:28} {path.stat().st_size:7,} bytes")
    if not wanted:
        for stale in set(FOLDER.glob("*.json")) - written:
            stale.unlink()
    total = sum(path.stat().st_size for path in FOLDER.parent.rglob("*") if path.is_file())
    print(f"{len(written)} written; test/golden has {total:,} bytes in all")
    if total > BUDGET:
        sys.exit(f"over the budget of {BUDGET:,} bytes")


if __name__ == "__main__":
    main()
