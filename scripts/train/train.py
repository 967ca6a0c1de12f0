"""Trains the models of configs/, on one core, from a seed; a run that was stopped goes on where it was.

    python scripts/train/train.py vit-cifar10      starts or resumes one
    python scripts/train/train.py                  all that are not done: first those of a few minutes, then by hours
    python scripts/train/train.py --list           what there is, how far it is, how long it takes

Each model has a folder <cache>/train/<id>, <cache> being $TESSERAE_CACHE or ~/.cache/tesserae:

    last.pt, previous.pt   checkpoints: weights, optimizers, epoch, step, curve; at an epoch's end and every two minutes
    curve.jsonl            a line an epoch: loss, learning rate, seconds, and now and then the accuracy on the test set
    progress.json          now: epoch, step, loss, examples a second, hours left
    done.json              the last line of the curve, once the run has ended

Nothing but (config, seed, epoch, step) decides what a step sees, so a resumed run ends with the same bits as one that
was never stopped. Ctrl-C and SIGTERM save first; kill -9 and a power cut lose two minutes at most. kill -STOP and -CONT
pause and go on: the hours left count the core's time, not the clock's.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
import tomllib
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import optimizers  # noqa: E402
import paths  # noqa: E402
import storage  # noqa: E402
import tasks  # noqa: E402

SAVE_SECONDS, PROGRESS_SECONDS = 120, 30
SHORT = 0.25  # hours: models that take less are trained before the long ones
FREE = ("epochs", "hours", "evaluate_every")  # what may change while a run stands still
stopped = False


def stop(*_):
    global stopped
    stopped = True


def configs() -> list[dict]:
    """Every configs/<id>.toml, in the order of the queue."""
    found = [
        tomllib.loads(path.read_text()) | dict(id=path.stem) for path in sorted((paths.HERE / "configs").glob("*.toml"))
    ]
    return sorted(found, key=lambda c: (c["hours"] > SHORT, -c["hours"]))


class Run:
    """One model's way from its seed, or its last checkpoint, to its last epoch."""

    def __init__(self, config: dict, root: Path):
        self.config, self.folder = config, root / config["id"]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another process trains this model
        torch.manual_seed(config["seed"])
        self.task = tasks.make(config, self.folder)
        self.opts = optimizers.make(self.task.model, config["optimizer"])
        self.epoch = self.step = 0
        self.curve, self.loss_sum, self.seconds = [], 0.0, 0.0
        self.resume()

    def resume(self):
        for path in (self.folder / "last.pt", self.folder / "previous.pt"):
            if not path.exists():
                continue
            try:
                saved = torch.load(path, weights_only=True)
            except Exception as error:  # torn by a crash: the one before is whole
                print(f"{path}: {error}", flush=True)
                continue
            changed = [
                k
                for k in saved["config"].keys() | self.config.keys()
                if k not in FREE and saved["config"].get(k) != self.config.get(k)
            ]
            if changed:
                raise SystemExit(
                    f"{path} was made with another {', '.join(sorted(changed))}; move the folder away to begin anew"
                )
            self.task.model.load_state_dict(saved["model"])
            for opt, state in zip(self.opts, saved["opts"], strict=True):
                opt.load_state_dict(state)
            for name in ("epoch", "step", "curve", "loss_sum", "seconds"):
                setattr(self, name, saved[name])
            print(f"{self.config['id']}: goes on at epoch {self.epoch}, step {self.step}", flush=True)
            return

    def save(self):
        last = self.folder / "last.pt"
        if last.exists():
            last.replace(self.folder / "previous.pt")
        storage.save(
            dict(
                model=self.task.model.state_dict(),
                opts=[o.state_dict() for o in self.opts],
                epoch=self.epoch,
                step=self.step,
                curve=self.curve,
                loss_sum=self.loss_sum,
                seconds=self.seconds,
                config=self.config,
            ),
            last,
        )
        storage.write_json(self.curve, self.folder / "curve.jsonl", lines=True)

    def train(self) -> bool:
        """True when the last epoch is done, False when it was told to stop."""
        epochs = self.config["epochs"]
        self.saved = self.reported = time.monotonic()
        self.core, self.behind = time.process_time(), 0
        while self.epoch < epochs and not stopped:
            self.task.begin(self.epoch)
            while self.step < self.task.steps and not stopped:
                self.one_step()
            if self.step == self.task.steps:
                self.end_epoch()
        self.save()
        if self.epoch < epochs:
            return False
        storage.write_json(self.curve[-1] | dict(hours=round(self.seconds / 3600, 2)), self.folder / "done.json")
        return True

    def done(self) -> float:
        """Share of the run that is behind, by steps."""
        return (self.epoch * self.task.steps + self.step) / (self.config["epochs"] * self.task.steps)

    def one_step(self):
        began = time.process_time()
        lr = optimizers.rate(self.config["optimizer"], self.done())
        for opt in self.opts:
            opt.param_groups[0]["lr"] = lr
        torch.manual_seed(int(self.task.generator(3, self.epoch, self.step).initial_seed()))  # dropout and its like
        loss = self.task.loss(self.epoch, self.step)
        loss.backward()
        if "clip" in self.config["optimizer"]:
            torch.nn.utils.clip_grad_norm_(self.task.model.parameters(), self.config["optimizer"]["clip"])
        for opt in self.opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        self.step += 1
        self.behind += 1
        self.loss_sum += loss.item()
        self.task.after(self.done())
        self.seconds += time.process_time() - began
        if time.monotonic() - self.reported > PROGRESS_SECONDS:
            self.report(loss.item(), lr)
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self.save()
            self.saved = time.monotonic()

    def report(self, loss: float, lr: float):
        steps_left = (self.config["epochs"] - self.epoch) * self.task.steps - self.step
        core = (time.process_time() - self.core) / self.behind  # seconds of this core a step, pauses left out
        clock = time.monotonic() - self.reported
        line = dict(
            model=self.config["id"],
            epoch=self.epoch,
            of=self.config["epochs"],
            step=self.step,
            steps=self.task.steps,
            done=round(self.done(), 4),
            loss=round(loss, 4),
            lr=round(lr, 6),
            examples_per_core_second=round(self.task.batch / core, 1),
            core_hours_left=round(steps_left * core / 3600, 2),
            core_share=round((time.process_time() - self.at_report) / clock, 2) if hasattr(self, "at_report") else None,
            time=time.strftime("%Y-%m-%d %H:%M:%S"),
        )
        self.reported, self.at_report = time.monotonic(), time.process_time()
        print(json.dumps(line), flush=True)
        storage.write_json(line, self.folder / "progress.json")

    def end_epoch(self):
        line = dict(
            epoch=self.epoch + 1,
            loss=round(self.loss_sum / self.task.steps, 4),
            lr=round(optimizers.rate(self.config["optimizer"], self.done()), 6),
        )
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        if self.epoch % self.config.get("evaluate_every", 1) == 0 or self.epoch == self.config["epochs"]:
            line |= self.task.evaluate()
        self.curve.append(line | dict(seconds=round(self.seconds)))
        print(json.dumps(dict(model=self.config["id"]) | self.curve[-1]), flush=True)
        self.save()
        self.saved = time.monotonic()


def table(root: Path):
    for config in configs():
        folder = root / config["id"]
        read = [p.read_text().split("\n") for p in (folder / "curve.jsonl",) if p.exists()]
        state = "done" if (folder / "done.json").exists() else "begun" if (folder / "last.pt").exists() else "waits"
        print(
            f"{config['id']:<20} {state:<6} {config['hours']:>6} hours  "
            f"{read[0][-2] if read and len(read[0]) > 1 else ''}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="ids, in the order given; all that are not done where none is given")
    parser.add_argument("--root", type=Path, default=paths.train_dir(), help="the folder of the models' folders")
    parser.add_argument("--failed", action="append", default=[], help="models that the queue leaves out")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        return table(args.root)
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    queue = {config["id"]: config for config in configs()}
    if unknown := [name for name in args.models if name not in queue]:
        raise SystemExit(f"no configs/{unknown[0]}.toml; there are {', '.join(queue)}")
    for name in args.models or queue:
        if name in args.failed or (args.root / name / "done.json").exists():
            continue
        try:
            Run(queue[name], args.root).train()
        except BlockingIOError:
            raise SystemExit(f"{name}: another process trains it")
        except Exception:  # one model's failure keeps no other waiting
            traceback.print_exc()
            args.failed.append(name)
        if stopped:
            return
        if not args.models:  # the queue begins anew, with the configs and the code of now; the process keeps its number
            failed = [part for name in args.failed for part in ("--failed", name)]
            os.execv(sys.executable, [sys.executable, __file__, "--root", str(args.root), *failed])
    if args.failed:
        raise SystemExit(f"failed: {', '.join(args.failed)}")


if __name__ == "__main__":
    main()
