"""Dino over ViT: vit_pytorch.dino. Crops are inputs: augmentation and cropping are taken out of the reference, which
calls them four times in a forward: for the student's two crops, then for the teacher's two."""

import torch

from packages import vit_pytorch
from references import Case, keywords
from references.vit import STD, run as run_vit

ARCH = "dino"
NAMES = ("image", "local_image_two", "global_image_one", "global_image_two")
PREFIXES = ("student.one.", "student.two.", "teacher.one.", "teacher.two.")
NET = dict(image_size=16, patch_size=8, num_classes=3, dim=8, depth=1, heads=2, mlp_dim=12, dim_head=4)
TINY = dict(net=dict(NET, arch="vit"), image_size=16, projection_hidden_size=6, num_classes_K=10)
DOCUMENT = dict(net=dict(STD, heads=8), image_size=256)


def crops(*dims):
    return {name: list(dims) for name in NAMES}


CASES = [
    Case("dino_tiny", TINY, crops(2, 3, 16, 16), keep=("*",)),
    # what update_moving_average does, before the loss; other temperatures; the student's crops are smaller than the
    # teacher's
    Case(
        "dino_update",
        dict(TINY, moving_average_decay=0.75, center_moving_average_decay=0.5, student_temp=0.5, teacher_temp=0.2),
        dict(
            image=[2, 3, 8, 16],
            local_image_two=[2, 3, 8, 8],
            global_image_one=[2, 3, 16, 16],
            global_image_two=[2, 3, 16, 8],
        ),
        options=dict(update=True),
        keep=("*embedding", "*projection", "*centers"),
    ),
    # another network; two layers; temperatures of a run
    Case(
        "dino_simple_vit",
        dict(TINY, net=dict(NET, arch="simple_vit"), projection_layers=2, hidden_layer="to_latent"),
        crops(1, 3, 16, 16),
        options=dict(student_temp=0.3, teacher_temp=0.1),
        keep=("student.one.embedding", "teacher.two.projection"),
    ),
    Case(
        "dino_document",
        dict(
            DOCUMENT,
            projection_hidden_size=256,
            projection_layers=4,
            num_classes_K=65336,
            student_temp=0.9,
            teacher_temp=0.04,
        ),
        crops(1, 3, 256, 256),
        parameters=118_465_600,
    ),
    Case(
        "dino_document_update",
        DOCUMENT,
        crops(1, 3, 256, 256),
        options=dict(update=True),
        taps=("*embedding", "*projection", "*centers"),
    ),
]


class Augmentation:
    """In place of torchvision.transforms: modules that pass pictures on; crops are plain objects, to be replaced."""

    RandomResizedCrop = staticmethod(lambda *args, **kwargs: lambda picture: picture)

    def __getattr__(self, name):
        return lambda *args, **kwargs: torch.nn.Identity()


def wrap(module, wrapper, config):
    """The wrapper around a net, with the config's other keys."""
    reference = vit_pytorch(module)
    reference.T = Augmentation()
    return getattr(reference, wrapper)(augment_fn=torch.nn.Identity(), augment_fn2=torch.nn.Identity(), **config)


def hand_in(model, inputs):
    """The next forward sees these crops; as many as there are."""
    queue = [inputs[name] for name in NAMES if name in inputs]
    model.local_crop = model.global_crop = lambda _: queue.pop(0)


def build(config):
    names, net = dict(vit="ViT", simple_vit="SimpleViT"), dict(config["net"])
    arch = net.pop("arch", "vit")
    return wrap(
        "dino",
        "Dino",
        dict(config, net=getattr(vit_pytorch(arch), names[arch])(**keywords(net)), hidden_layer="to_latent"),
    )


def run(model, inputs, options, wants):
    options = dict(options)
    if options.pop("update", False):
        model.update_moving_average()
    learns, taps, projections = len(inputs) == 4, {}, []
    encoders = [model.student_encoder] * 2 + [model.teacher_encoder] * 2
    for name, prefix, encoder in zip(NAMES, PREFIXES, encoders):
        if name not in inputs:
            continue
        projection, embedding = encoder(inputs[name])
        if not learns:
            assert not options
            output = embedding
        taps |= {f"{prefix}projection": projection, f"{prefix}embedding": embedding}
        if any(wants(f"{prefix}{tap}") for tap in ("tokens", "patch_embed", "blocks.0")) and hasattr(
            encoder.net, "cls_token"
        ):
            inside = run_vit(encoder.net, dict(image=inputs[name]), {}, lambda tap, prefix=prefix: wants(prefix + tap))[
                1
            ]
            taps |= {prefix + tap: value for tap, value in inside.items()}
    if not learns:
        return output, taps
    hand_in(model, inputs)
    loss = model(inputs["image"], **options)
    taps |= dict(teacher_centers=model.teacher_centers, last_teacher_centers=model.last_teacher_centers)
    return loss.reshape(1), {tap: value.detach().clone() for tap, value in taps.items()}
