"""What can be trained: one module a task, each with a class Task that train.py drives.

Task(config, folder)       config: the whole TOML file; folder: this model's, for what the task wants to keep
.model                     nn.Module; parameters with requires_grad are trained, its state_dict is the checkpoint
.steps, .batch             steps an epoch, examples a step
.begin(epoch)              before the first step of an epoch, and again when a run resumes in its middle
.loss(epoch, step)         scalar tensor. Depends on config, weights, epoch and step alone: that makes a run resumable
.after(done)               after each step of the optimizer; done: share of the run
.evaluate()                {name: number} on data that was not trained on
.about()                   header of the model file: arch, config, preprocess, labels, license, source
.weights()                 the state_dict that ships
"""

import importlib

import torch


class Task:
    def __init__(self, config: dict):
        self.config = config
        self.seed = config["seed"]
        self.batch = config["batch"]

    def begin(self, epoch: int):
        pass

    def after(self, done: float):
        pass

    def generator(self, *path: int) -> torch.Generator:
        """A generator of its own for (epoch), (epoch, step), ...: no state has to be saved."""
        seed = self.seed
        for part in path:
            seed = (seed * 1_000_003 + part + 1) % (1 << 62)
        return torch.Generator().manual_seed(seed)

    def weights(self) -> dict:
        return self.model.state_dict()


def make(config: dict, folder) -> Task:
    return importlib.import_module(f"tasks.{config['task']}").Task(config, folder)
