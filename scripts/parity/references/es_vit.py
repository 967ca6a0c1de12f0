"""EsViTTrainer over CvT: vit_pytorch.es_vit. Crops are inputs, as in dino.py."""

from packages import vit_pytorch
from references import Case, keywords
from references.cvt import DOCUMENT as CVT, run as run_cvt
from references.dino import NAMES, PREFIXES, crops, hand_in, wrap

ARCH = "es_vit"
NET = dict(
    num_classes=3,
    s1_emb_dim=4,
    s1_depth=0,
    s1_mlp_mult=1,
    s2_emb_dim=4,
    s2_heads=1,
    s2_depth=0,
    s2_mlp_mult=1,
    s3_emb_dim=6,
    s3_heads=1,
    s3_depth=1,
    s3_mlp_mult=1,
)
TINY = dict(net=NET, image_size=32, projection_hidden_size=6, num_classes_K=10)
TAPS = ("*.tokens", "*.view", "*centers", "loss.*")

CASES = [
    Case("es_vit_tiny", TINY, crops(2, 3, 32, 32), keep=("student.one.*", "*.view", "*centers", "loss.*")),
    # what update_moving_average does, before the loss; local crops have fewer regions than global ones; two layers;
    # temperatures of a run
    Case(
        "es_vit_update",
        dict(TINY, moving_average_decay=0.75, center_moving_average_decay=0.5, projection_layers=2),
        dict(
            image=[1, 3, 16, 32],
            local_image_two=[1, 3, 16, 32],
            global_image_one=[1, 3, 32, 48],
            global_image_two=[1, 3, 32, 48],
        ),
        options=dict(update=True, student_temp=0.3, teacher_temp=0.1),
        keep=("*centers", "loss.*", "teacher.one.regions"),
    ),
    # all regions' logits would be 270 MB
    Case(
        "es_vit_document",
        dict(
            net={key: value for key, value in CVT.items() if key != "image_size"},
            image_size=256,
            projection_hidden_size=256,
            projection_layers=4,
            num_classes_K=65336,
            student_temp=0.9,
            teacher_temp=0.04,
        ),
        crops(1, 3, 256, 256),
        parameters=104_026_416,
        taps=(*TAPS, "student.two.regions", "teacher.one.stages.*.embed"),
    ),
]


def build(config):
    return wrap(
        "es_vit",
        "EsViTTrainer",
        dict(config, net=vit_pytorch("cvt").CvT(**keywords(config["net"])), hidden_layer="layers"),
    )


def run(model, inputs, options, wants):
    options = dict(options)
    if options.pop("update", False):
        model.update_moving_average()
    learns, taps, seen = len(inputs) == 4, {}, []
    encoders = [model.student_encoder] * 2 + [model.teacher_encoder] * 2
    for name, prefix, encoder in zip(NAMES, PREFIXES, encoders):
        if name not in inputs:
            continue
        view, regions, tokens = encoder(inputs[name])
        seen.append((view, regions, tokens))
        taps |= {f"{prefix}view": view, f"{prefix}regions": regions, f"{prefix}tokens": tokens}
        inside = run_cvt(encoder.net, dict(image=inputs[name]), {}, lambda tap, prefix=prefix: wants(prefix + tap))[1]
        taps |= {prefix + tap: value for tap, value in inside.items()}
    if not learns:
        assert not options
        return seen[0][2].mean(dim=1), taps
    # the two losses by the reference's own functions, which its forward adds up
    module, parts = vit_pytorch("es_vit"), {"loss.view": [], "loss.region": []}
    kept = module.view_loss_fn, module.region_loss_fn
    spy = lambda name, fn: lambda *args, **more: parts[name].append(fn(*args, **more)) or parts[name][-1]
    module.view_loss_fn, module.region_loss_fn = spy("loss.view", kept[0]), spy("loss.region", kept[1])
    hand_in(model, inputs)
    loss = model(inputs["image"], **options)
    module.view_loss_fn, module.region_loss_fn = kept
    taps |= {name: (sum(values) / 2).reshape(1) for name, values in parts.items()}
    taps |= {name: buffer for name, buffer in model.named_buffers() if "centers" in name}
    return loss.reshape(1), {tap: value.detach().clone() for tap, value in taps.items()}
