"""GLOM on CIFAR-10 by denoising, as in the reference's README: noise is added, the top level after some iterations is
to give the clean patches.

    [denoise]
    sigma = 0.7          of the noise, in units of the data's deviation
    iters = 8
    read = 8             the iteration whose top level is read while training, 1..iters
    label_weight = 0.1   share of the cross entropy of a linear head on the top level's mean over columns; 0: the head
                         alone learns from it

The linear head and the way to pixels are not the model's: the file that ships has GLOM's weights, the head lies beside
them.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

import islands
import paths
import pictures
import tasks


class Denoiser(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.glom = paths.reference("glom").build(config)
        self.to_pixels = nn.Linear(config["dim"], 3 * config["patch_size"] ** 2)
        self.head = nn.Linear(config["dim"], 10)


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.options = config["denoise"]
        self.images, self.labels = pictures.load("train", config.get("images"))
        self.test = pictures.load("test", config.get("test_images"))
        self.steps = len(self.labels) // self.batch
        self.model = Denoiser(config["model"])
        self.untrained = copy.deepcopy(self.model.glom).requires_grad_(False)

    def begin(self, epoch):
        self.order = torch.randperm(len(self.labels), generator=self.generator(1, epoch))

    def patches(self, x):
        return self.model.glom.image_to_tokens[0](x)

    def loss(self, epoch, step):
        pick, generator, options = (
            self.order[step * self.batch : (step + 1) * self.batch],
            self.generator(2, epoch, step),
            self.options,
        )
        x = pictures.augment(pictures.normalise(self.images[pick]), generator)
        noisy = x + options["sigma"] * torch.randn(x.shape, generator=generator)
        top = self.model.glom(noisy, iters=options["read"])[:, :, -1]
        error = F.mse_loss(self.model.to_pixels(top), self.patches(x))
        pooled, weight = top.mean(1), options["label_weight"]
        label = F.cross_entropy(self.model.head(pooled if weight else pooled.detach()), self.labels[pick])
        return error + (weight or 1.0) * label

    @torch.no_grad()
    def evaluate(self):
        """Head's accuracy on clean pictures; the denoised pixels' error; islands of 200 pictures, beside an untrained
        model's and a grey picture's."""
        glom, iters = self.model.glom, self.options["iters"]
        hits = error = 0.0
        for i, (images, labels) in enumerate(zip(self.test[0].split(250), self.test[1].split(250))):
            x = pictures.normalise(images)
            noise = self.options["sigma"] * torch.randn(x.shape, generator=self.generator(3, i))
            hits += int((self.model.head(glom(x, iters=iters)[:, :, -1].mean(1)).argmax(1) == labels).sum())
            top = glom(x + noise, iters=self.options["read"])[:, :, -1]
            error += float(F.mse_loss(self.model.to_pixels(top), self.patches(x))) * len(x)
        x = pictures.normalise(self.test[0][:200])
        side = round(x.shape[-1] / self.config["model"]["patch_size"])
        return dict(
            top1=round(hits / len(self.test[1]), 4),
            error=round(error / len(self.test[1]), 4),
            islands=islands.figures(glom(x, iters=iters), side),
            untrained=islands.figures(self.untrained(x, iters=iters), side),
            grey=islands.figures(glom(torch.zeros_like(x[:1]), iters=iters), side),
        )

    def about(self):
        return dict(
            arch="glom",
            config=self.config["model"],
            preprocess=pictures.PREPROCESS,
            license="MIT",
            source=pictures.SOURCE,
        )

    def weights(self):
        return self.model.glom.state_dict()
