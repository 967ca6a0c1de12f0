"""DistillWrapper over DistillableViT: vit_pytorch.distill. The teacher's logits are an input, and the teacher is a
module that returns them."""

import torch

from packages import vit_pytorch
from references import Case, keywords
from references.distillable_vit import run as run_student
from references.vit import STD, TINY, image

ARCH = "distill"
SMALL = dict(student=dict(TINY, depth=1, arch="distillable_vit"), temperature=3, alpha=0.5)
DOCUMENT = dict(student=dict(STD, heads=8), temperature=3, alpha=0.5)


def lesson(classes, *dims):
    """Labels as shares of each class, which the reference takes as well as numbers."""
    return dict(image=list(dims), labels=[dims[0], classes], teacher_logits=[dims[0], classes])


CASES = [
    Case("distill_tiny", SMALL, image(2, 3, 16, 16), keep=("blocks.*", "distill_*")),
    Case("distill_soft", SMALL, lesson(10, 2, 3, 16, 16), keep=("loss.*", "logits", "distill_logits")),
    Case(
        "distill_hard",
        dict(SMALL, student=dict(TINY, depth=1, channels=1), hard=True, alpha=0.25, mlp_layernorm=True),
        lesson(10, 3, 1, 16, 16),
        keep=("loss.*", "distill_logits"),
    ),
    Case("distill_options", SMALL, lesson(10, 1, 3, 16, 16), options=dict(temperature=2, alpha=0.75), keep=("loss.*",)),
    Case("distill_document", dict(DOCUMENT, hard=False), image(1, 3, 256, 256), parameters=43_073_488, q8="top1"),
    Case(
        "distill_document_soft",
        dict(DOCUMENT, student=dict(STD, heads=8, dropout=0.1, emb_dropout=0.1), hard=False),
        lesson(1000, 1, 3, 256, 256),
    ),
    Case("distill_document_hard", dict(DOCUMENT, hard=True), lesson(1000, 1, 3, 256, 256)),
]


class Teacher(torch.nn.Module):
    def forward(self, picture):
        return self.logits


def build(config):
    student = vit_pytorch("distill").DistillableViT(
        **{key: value for key, value in keywords(config["student"]).items() if key != "arch"}
    )
    return vit_pytorch("distill").DistillWrapper(**dict(config, teacher=Teacher(), student=student))


def run(model, inputs, options, wants):
    x = inputs["image"]
    logits, taps = run_student(model.student, dict(image=x, distill_token=model.distillation_token), {}, wants)
    taps["distill_logits"] = model.distill_mlp(taps["distill_token"])
    if "labels" not in inputs:
        assert not options
        return logits, taps
    model.teacher.logits, taps["logits"] = inputs["teacher_logits"], logits
    parts = {
        f"loss.{name}": model(x, inputs["labels"], **dict(options, alpha=alpha)).reshape(1)
        for name, alpha in (("labels", 0), ("teacher", 1))
    }
    return model(x, inputs["labels"], **options).reshape(1), taps | parts
