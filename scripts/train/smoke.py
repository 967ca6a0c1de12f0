"""A few steps of every model of configs/, on a few pictures: python scripts/train/smoke.py [id ...] (minutes)

Each is trained for two epochs of three steps in one go, and once more with a stop after the first step and another in
the second epoch: weights and curve must be the same bits. The weights that ship must fit the reference module under the
header's config. Last line: N passed, N failed.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import paths  # noqa: E402
import train  # noqa: E402


def small(config: dict) -> dict:
    """The config with 60 pictures, 20 a step, two epochs; sizes of models stay."""
    config = config | dict(images=60, test_images=40, batch=20, epochs=2, evaluate_every=1)
    if "steps" in config:
        config["steps"] = 3
    return config


def run(config: dict, root: Path, stops: tuple = ()) -> dict:
    """The last checkpoint, after stops when so many steps in all are done: a new Run each time."""
    while True:
        one = train.Run(config, root)
        steps = one.task.steps = min(one.task.steps, 3)
        original = one.one_step

        def step():
            original()
            if one.epoch * steps + one.step in stops[:1]:
                train.stopped = True

        one.one_step = step
        done = one.train()
        train.stopped = False
        one.lock.close()
        if done:
            return torch.load(root / config["id"] / "last.pt", weights_only=True), one.task
        stops = stops[1:]


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def check(config: dict, root: Path):
    whole, task = run(config, root / "whole")
    parts, _ = run(config, root / "parts", (1, 4))
    for key in ("model", "opts", "curve"):
        assert same(whole[key], parts[key]), f"{key} differs after two stops"
    assert all(v.isfinite().all() for v in whole["model"].values() if v.is_floating_point())
    about = task.about()
    module = paths.reference(about["arch"]).build(about["config"])
    module.load_state_dict(task.weights())
    if about["arch"] == "involution":  # two implementations: the same answers
        x = torch.rand(2, 3, 32, 32)
        ours, reference = task.model.eval()(x), module(x)
        assert torch.allclose(ours, reference, atol=1e-5), (ours - reference).abs().max()
    return whole["curve"][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    passed = failed = 0
    for config in train.configs():
        if args.models and config["id"] not in args.models:
            continue
        root, began = Path(tempfile.mkdtemp()), time.process_time()
        try:
            print(f"{config['id']}: {check(small(config), root)} {time.process_time() - began:.0f} s", flush=True)
            passed += 1
        except Exception as error:
            print(f"{config['id']}: {type(error).__name__}: {error}", flush=True)
            failed += 1
        shutil.rmtree(root)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
