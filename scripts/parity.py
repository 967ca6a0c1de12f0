"""Every case of the source documents' own size against its reference implementation (`make parity`).

    python scripts/parity.py [CASE ...] [--q8-inputs 200] [--list]

Per case: the reference is built from the config and given random weights (norms, biases and tables too, none left at 0 or 1),
saved as a model file outside the tree, and run by both sides: with batch 1, comparing the output and every tap, and
with batch 2, comparing the output. A row says max |difference| over max |reference value| of each; 1e-4 is the
limit. Where a case asks for it, q8 is judged on random inputs:

    top1    the winner is the reference's on at least 95 % of the inputs
    cosine  no classes: the cosine of our output and the reference's is at least 0.99 on every input; a tenth of the inputs,
            as nothing is counted and such a model costs a hundred times more

Weights are random, so logits lie closer together than a trained model's do; the row also says by how much the winner leads
the second, and how far q8's logits are off, both relative to the largest logit. Exits with 1 if a case fails.
Last line: N cases, N pass
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
import references  # noqa: E402

RUNNER = Path(__file__).resolve().parent / "parity_run.mjs"
TOLERANCE = 1e-4
TOP1_SHARE = 0.95
COSINE = 0.99
Q8_BATCH = 5


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """max |got - want| / max |want|; infinite where dims differ or something is not finite."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    worst = float(np.abs(got - want).max(initial=0))
    return worst / float(np.abs(want).max(initial=0)) if worst else 0.0


def pictures(case: str, name: str, dims) -> np.ndarray:
    """f32: noise over coarse patches over a colour of the picture's own. Of noise alone every picture has the same mean, which is
    most of what a model with random weights sees: all of them would have one winner."""
    x = references.draw_input(case, name, dims)
    if len(dims) == 4 and name == "image":
        h, w = dims[2:]
        coarse = references.draw_input(case, f"{name}/coarse", (*dims[:2], 4, 4))
        coarse = coarse.repeat(-(-h // 4), axis=2)[:, :, :h].repeat(-(-w // 4), axis=3)[..., :w]
        x = 0.5 * x + coarse + 2 * references.draw_input(case, f"{name}/colour", (*dims[:2], 1, 1))
    return np.ascontiguousarray(x, dtype=np.float32)


class Bench:
    """One case in its temporary folder: the reference, the model file, and runs of both sides."""

    def __init__(self, module, case, folder: Path):
        self.module, self.case, self.folder = module, case, folder
        self.model = module.build(case.config).eval()
        self.parameters = sum(p.numel() for p in self.model.parameters())
        references.fill(self.model, case.name)
        references.settle(self.model, torch.from_numpy(self.inputs("settle", 24)["image"]))
        state = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        about = json.dumps(dict(arch=module.ARCH, config=case.config))
        save_file(state, folder / "model.safetensors", metadata=dict(format="pt", tesserae=about))

    def inputs(self, label: str, batch: int) -> dict:
        given = self.case.inputs  # a batch stands first, and is 1 there; what has another first dim is the same for all pictures
        return {name: pictures(f"{self.case.name}/{label}", name, (batch, *dims[1:]) if dims[0] == 1 else dims) for name, dims in given.items()}

    @torch.no_grad()
    def reference(self, inputs: dict, wants=lambda tap: False):
        given = {name: torch.from_numpy(x.copy()) for name, x in inputs.items()}
        output, taps = self.module.run(self.model, given, self.case.options, wants)
        return output.numpy(), {name: tap.detach().numpy() for name, tap in taps.items() if wants(name)}

    def ours(self, dtype: str, runs: list) -> dict:
        """runs: [(inputs, captured taps)]. The runner's report, each result as {name: array}."""
        job = dict(model=str(self.folder / "model.safetensors"), dtype=dtype, runs=[])
        for i, (inputs, capture) in enumerate(runs):
            out = self.folder / f"{dtype}{i}"
            out.mkdir()
            files = {}
            for name, x in inputs.items():
                x.tofile(out / f"{name}.in")
                files[name] = dict(path=str(out / f"{name}.in"), dims=x.shape)
            job["runs"].append(dict(inputs=files, options=self.case.options, capture=capture, out=str(out)))
        (self.folder / "job.json").write_text(json.dumps(job))
        done = subprocess.run(["node", RUNNER, self.folder / "job.json"], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(next((line for line in done.stderr.splitlines() if "Error" in line), done.stderr[-2000:]))
        report = json.loads(done.stdout.splitlines()[-1])
        for run in report["runs"]:
            run["values"] = {r["name"]: np.fromfile(r["path"], dtype="<f4").reshape(r["dims"]) for r in run["results"]}
        for i in range(len(runs)):
            shutil.rmtree(self.folder / f"{dtype}{i}")
        return report

    def f32(self) -> tuple[bool, str]:
        one, two = self.inputs("batch1", 1), self.inputs("batch2", 2)
        want, taps = self.reference(one, self.case.compares)
        report = self.ours("f32", [(one, sorted(taps)), (two, [])])
        first, second = (run["values"] for run in report["runs"])
        errors = {name: difference(first[name], tap) for name, tap in taps.items()}
        worst = max(errors, key=errors.get)
        batch1 = difference(first["output"], want)
        batch2 = difference(second["output"], self.reference(two)[0])
        good = max(batch1, batch2, errors[worst]) <= TOLERANCE and report["parameters"] == self.parameters
        note = "" if report["parameters"] == self.parameters else f", {report['parameters']:,} parameters of {self.parameters:,}"
        return good, (f"batch 1 {batch1:.1e}, batch 2 {batch2:.1e}, {len(taps)} taps {errors[worst]:.1e} ({worst}), "
                      f"{report['runs'][1]['ms'] / 2:.0f} ms an image{note}")

    def q8(self, count: int) -> tuple[bool, str]:
        if self.case.q8 == "cosine":
            count = max(1, count // 10)
        batches = [self.inputs(f"q8/{i}", min(Q8_BATCH, count - i)) for i in range(0, count, Q8_BATCH)]
        want = np.concatenate([self.reference(batch)[0] for batch in batches])
        report = self.ours("q8", [(batch, []) for batch in batches])
        got = np.concatenate([run["values"]["output"] for run in report["runs"]])
        off = difference(got, want)
        if self.case.q8 == "cosine":
            a, b = got.reshape(count, -1), want.reshape(count, -1)
            cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            return bool(cosines.min() >= COSINE), f"cosine >= {cosines.min():.5f} on {count} inputs (off by {off:.1e})"
        same = int((got.argmax(1) == want.argmax(1)).sum())
        top = np.sort(want, axis=1)[:, -2:]
        lead = np.median(top[:, 1] - top[:, 0]) / np.abs(want).max()
        return same >= TOP1_SHARE * count, (f"top-1 same on {same} of {count} ({len(set(want.argmax(1)))} different winners; "
                                            f"median lead {lead:.1e}, off by {off:.1e})")


def run(module, case, folder: Path, q8_inputs: int) -> bool:
    began = time.time()
    bench = Bench(module, case, folder)
    if case.parameters and bench.parameters != case.parameters:
        print(f"{case.name:28} FAIL {bench.parameters:,} parameters, the document's config has {case.parameters:,}", flush=True)
        return False
    rows = []
    for dtype, judge in (("f32", bench.f32), ("q8", lambda: bench.q8(q8_inputs))):
        if dtype == "q8" and (not case.q8 or not q8_inputs):
            continue
        try:
            rows.append((dtype, *judge()))
        except (RuntimeError, KeyError, ValueError) as error:
            rows.append((dtype, False, f"{type(error).__name__}: {error}"))
    for i, (dtype, good, text) in enumerate(rows):
        left = f"{case.name:28}" if i == 0 else " " * 28
        print(f"{left} {'pass' if good else 'FAIL'} {dtype:3} {text}", flush=True)
    print(f"{'':28} {bench.parameters:,} parameters, {time.time() - began:.0f} s", flush=True)
    return all(good for _, good, _ in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="names, or an architecture's; all of the documents' size when none is given")
    parser.add_argument("--q8-inputs", type=int, default=20, help="random inputs for the 8-bit comparison (the zoo asks for 200)")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="torch.meshgrid")  # glom_pytorch's own call
    every = [(module, case) for module in references.architectures().values() for case in module.CASES]
    chosen = [(m, c) for m, c in every if (c.name in args.cases or m.ARCH in args.cases and not c.tiny or not args.cases and not c.tiny)]
    unknown = set(args.cases) - {c.name for _, c in every} - {m.ARCH for m, _ in every}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; --list names them")
    if args.list:
        print("\n".join(f"{c.name:28} {'tiny' if c.tiny else 'document'}" for _, c in every))
        return
    passed = 0
    for module, case in chosen:
        with tempfile.TemporaryDirectory(prefix="tesserae-parity-") as folder:
            passed += run(module, case, Path(folder), args.q8_inputs)
    print(f"{len(chosen)} cases, {passed} pass")
    sys.exit(0 if passed == len(chosen) and chosen else 1)


if __name__ == "__main__":
    main()
