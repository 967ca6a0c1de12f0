"""The involution document's two networks as it trains them: pixels / 255, cross entropy, Adam, no augmentation."""

import torch
import torch.nn.functional as F

import cifar10
import involution_net
import pictures
import tasks

RAW = dict(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Task(tasks.Task):
    def __init__(self, config, folder):
        super().__init__(config)
        self.images, self.labels = pictures.load("train", config.get("images"))
        self.test = pictures.load("test", config.get("test_images"))
        self.steps = -(
            -len(self.labels) // self.batch
        )  # the last batch of an epoch is a smaller one, as in the document
        self.model = involution_net.Net(**config["model"])

    def begin(self, epoch):
        self.order = torch.randperm(len(self.labels), generator=self.generator(1, epoch))

    def loss(self, epoch, step):
        pick = self.order[step * self.batch : (step + 1) * self.batch]
        return F.cross_entropy(self.model(pictures.normalise(self.images[pick], **RAW)), self.labels[pick])

    def evaluate(self):
        return dict(top1=pictures.accuracy(pictures.outputs(self.model, self.test[0], **RAW), self.test[1]))

    def about(self):
        return dict(
            arch="involution",
            config=self.config["model"],
            preprocess=pictures.PREPROCESS | RAW,
            labels=cifar10.CLASSES,
            license="MIT",
            source=pictures.SOURCE,
        )
