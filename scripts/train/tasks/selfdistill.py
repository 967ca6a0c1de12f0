"""DINO on CIFAR-10: a student that sees small parts of a picture is to answer as its own moving average does to large
ones.

Caron et al. 2021, arXiv 2104.14294; loss, projection, centring and moving average are vit_pytorch.dino's, crops are
made here: random part of the picture brought to its size, flip, brightness, contrast, saturation, and grey for one in
five. No label is used but in evaluate(): the k nearest of the training pictures vote. What ships is the teacher's ViT,
without a head.

    [crops]
    local = [0.2, 0.6]      share of the picture's area
    global = [0.5, 1.0]
    momentum = 0.99         of the teacher at the beginning, rising to 1 along a cosine
"""

import math

import torch
import torch.nn.functional as F

import paths
import pictures
import tasks

NEIGHBOURS, TEMPERATURE = 20, 0.07


def crop(x: torch.Tensor, area: list, generator) -> torch.Tensor:
    """[B,3,S,S] -> as many random parts of that share of the area, sides 3:4 to 4:3, brought to S x S, colours
    changed."""
    n = len(x)
    share, aspect, cx, cy, flip = torch.rand(5, n, generator=generator)
    share = area[0] + (area[1] - area[0]) * share
    aspect = ((aspect * 2 - 1) * math.log(4 / 3)).exp().sqrt()
    w, h = (share.sqrt() * aspect).clamp(max=1), (share.sqrt() / aspect).clamp(max=1)
    zero, sign = torch.zeros(n), torch.where(flip < 0.5, -1.0, 1.0)
    theta = torch.stack(
        [torch.stack([w * sign, zero, (cx * 2 - 1) * (1 - w)], 1), torch.stack([zero, h, (cy * 2 - 1) * (1 - h)], 1)], 1
    )
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False, padding_mode="border")
    bright, contrast, saturation = 0.6 + 0.8 * torch.rand(3, n, 1, 1, 1, generator=generator)
    saturation = torch.where(torch.rand(n, 1, 1, 1, generator=generator) < 0.2, torch.zeros(()), saturation)
    x = (x * contrast) + (bright - 1) * 2
    grey = x.mean(1, keepdim=True)
    return grey + (x - grey) * saturation


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.images, self.labels = pictures.load("train", config.get("images"))
        self.test = pictures.load("test", config.get("test_images"))
        self.steps = len(self.labels) // self.batch
        self.model = paths.reference("dino").build(config["model"])
        self.model.teacher_encoder.requires_grad_(False)

    def begin(self, epoch):
        self.order = torch.randperm(len(self.labels), generator=self.generator(1, epoch))

    def loss(self, epoch, step):
        generator, crops = self.generator(2, epoch, step), self.config["crops"]
        x = pictures.normalise(self.images[self.order[step * self.batch : (step + 1) * self.batch]])
        views = dict(
            image=crop(x, crops["local"], generator),
            local_image_two=crop(x, crops["local"], generator),
            global_image_one=crop(x, crops["global"], generator),
            global_image_two=crop(x, crops["global"], generator),
        )
        paths.reference("dino").hand_in(self.model, views)
        return self.model(x)

    def after(self, done):
        self.model.teacher_ema_updater.beta = 1 - (1 - self.config["crops"]["momentum"]) * (
            0.5 + 0.5 * math.cos(math.pi * done)
        )
        self.model.update_moving_average()

    @torch.no_grad()
    def evaluate(self):
        """Share of test pictures whose 20 nearest training pictures (cosine, exp(cos / 0.07) votes) name the right
        class."""
        net = self.model.teacher_encoder
        train, test = (
            F.normalize(pictures.outputs(Embedding(net), images), dim=1) for images in (self.images, self.test[0])
        )
        hits = 0
        for x, labels in zip(test.split(500), self.test[1].split(500)):
            near, at = (x @ train.T).topk(min(NEIGHBOURS, len(train)))
            votes = torch.zeros(len(x), 10).scatter_add_(1, self.labels[at], (near / TEMPERATURE).exp())
            hits += int((votes.argmax(1) == labels).sum())
        # A collapsed teacher answers the same to everything: features without spread.
        return dict(knn=round(hits / len(test), 4), spread=round(float(test.std(0).mean()) * test.shape[1] ** 0.5, 3))

    def about(self):
        net = {key: value for key, value in self.config["model"]["net"].items() if key != "arch"}
        return dict(
            arch="vit",
            config=net | dict(num_classes=0),
            preprocess=pictures.PREPROCESS,
            license="MIT",
            source=pictures.SOURCE,
        )

    def weights(self):
        return {
            name: value
            for name, value in self.model.teacher_encoder.net.state_dict().items()
            if not name.startswith("mlp_head.")
        }


class Embedding(torch.nn.Module):
    """The encoder's embedding as a module's answer."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return self.encoder(x, return_projection=False)
