"""MAE on CIFAR-10: three quarters of the patches are hidden, the rest has to tell them (He et al. 2021, arXiv
2111.06377)."""

import torch

import paths
import pictures
import tasks


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.images, labels = pictures.load("train", config.get("images"))
        self.test, _ = pictures.load("test", config.get("test_images"))
        self.steps = len(labels) // self.batch
        self.model = paths.reference("mae").build(config["model"])

    def begin(self, epoch):
        self.order = torch.randperm(len(self.images), generator=self.generator(1, epoch))

    def loss(self, epoch, step):
        x = pictures.normalise(self.images[self.order[step * self.batch : (step + 1) * self.batch]])
        return self.model(
            pictures.augment(x, self.generator(2, epoch, step))
        )  # its mask: the global generator, seeded for the step

    @torch.no_grad()
    def evaluate(self):
        """Mean squared error of hidden pixels, and its share of the error of two fills: what is seen, averaged, and the
        data set's mean."""
        self.model.eval()
        error = seen = zero = 0.0
        for i, images in enumerate(self.test.split(250)):
            x = pictures.normalise(images)
            torch.manual_seed(i)
            error += float(self.model(x)) * len(x)
            torch.manual_seed(i)  # the same draw as the model's first
            patches = self.model.to_patch(x)
            order = torch.rand(patches.shape[:2]).argsort(-1)
            hidden = int(self.model.masking_ratio * patches.shape[1])
            pixels = patches.unflatten(-1, (-1, 3)).gather(
                1, order[:, :, None, None].expand(-1, -1, patches.shape[2] // 3, 3)
            )
            masked, visible = pixels[:, :hidden], pixels[:, hidden:]
            seen += float((masked - visible.mean((1, 2), keepdim=True)).square().mean()) * len(x)
            zero += float(masked.square().mean()) * len(x)
        self.model.train()
        return dict(
            error=round(error / len(self.test), 4),
            of_mean_of_seen=round(error / seen, 4),
            of_mean_of_data=round(error / zero, 4),
        )

    def about(self):
        return dict(
            arch="mae",
            config=self.config["model"],
            preprocess=pictures.PREPROCESS,
            license="MIT",
            source=pictures.SOURCE,
        )
