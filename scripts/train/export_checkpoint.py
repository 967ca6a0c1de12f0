"""A training checkpoint -> the model files that ship, and their card.

    python scripts/train/export_checkpoint.py [--run cct4] [--out models] [--note "..."]

Writes into models/: cct_4_cifar10_f32.safetensors (the weights as trained), cct_4_cifar10.safetensors (q8, made from it
by `node web/cli/cli.js quantize`; needs `make wasm`) and cct_4_cifar10.md, the model card, with the accuracy that this
run measures on the test set (scripts/train/accuracy.py; some minutes).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
import accuracy  # noqa: E402
import cifar10  # noqa: E402
import references  # noqa: E402
from packages import cache_dir  # noqa: E402
from train_cct import TOKENIZER  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "cct_4_cifar10"
F32_LIMIT = (
    2_000_000  # the unquantized file ships too, so that `make accuracy` needs no training; larger ones would not
)


def about(model: str) -> dict:
    """The model file's header (docs/format.md). The config is what train_cct.py's build passes, less what only training
    uses."""
    return dict(
        arch="cct",
        config=dict(preset=model, **TOKENIZER, num_classes=len(cifar10.CLASSES), positional_embedding="learnable"),
        preprocess=dict(size=[32, 32], resize="bicubic", fit="crop", crop_pct=1.0, mean=cifar10.MEAN, std=cifar10.STD),
        labels=cifar10.CLASSES,
        license="MIT",
        source="trained from scratch on CIFAR-10 (Krizhevsky 2009) by scripts/train/train_cct.py of Tesserae",
    )


def export(checkpoint: dict, header: dict, path: Path) -> int:
    """Writes the f32 file, after the reference has taken the weights under the header's config; returns the parameter
    count."""
    module = references.architectures()[header["arch"]].build(header["config"])
    module.load_state_dict(checkpoint["model"])
    state = {name: tensor.contiguous().float() for name, tensor in module.state_dict().items()}
    save_file(state, path, metadata=dict(format="pt", tesserae=json.dumps(header, separators=(",", ":"))))
    return sum(p.numel() for p in module.parameters())


CARD = """# {name}

A compact convolutional transformer, CCT-4/3x2, that names what a 32x32 picture shows: {labels}.
Written by `scripts/train/export_checkpoint.py`, its accuracy by `make accuracy`; do not edit by hand.

| | |
|---|---|
| files | `{name}.safetensors` (q8, {q8_bytes:,} bytes), `{name}_f32.safetensors` ({f32_bytes:,} bytes) |
| architecture | `cct`, preset `{model}`: Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", \
2021, arXiv 2104.05704 |
| parameters | {parameters:,} |
| input | RGB, 32x32, bicubic, mean {mean}, std {std} |
| licence of the weights | MIT |

## Accuracy
Top-1 on the {images:,} test images, measured and written by `make accuracy`:

<!-- accuracy: written by make accuracy -->
{accuracy}
<!-- /accuracy -->

## Training
`python scripts/train/train_cct.py --model {model} --epochs {total} --lr {lr} --run {run}`: from scratch on the 50,000
training images, {epochs} of {total} epochs, batches of {batch}, random crop and flip, label smoothing 0.1, no dropout,
no pre-training. Matrices and filters by Muon, everything else by AdamW; learning rate {lr} warmed up over a tenth of
the run, then falling to zero. Seed {seed}, {hours:.1f} hours on two CPU cores. The test images were looked at after
each epoch to watch the run; the weights are those of the last epoch, not of the best one.{note}

## Data
CIFAR-10: Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; 60,000 pictures of ten
classes collected from the web. Its authors state no licence for the pictures and ask for that citation. None of them
is in these files.

## Limits
- It knows ten classes and gives one of them to every picture, to a cup of coffee too, and the score may well be high:
  there is no class for "none of these".
- It sees 32x32 pixels. A photo is cropped to its central square and shrunk to that; what is small in it is gone.
- The classes are what the data set's collectors found under these names on the web before 2009, no more.
- Scores are not calibrated probabilities. Not for decisions about people, safety or property; it is an example.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="cct4", help="the run's folder under <cache>/checkpoints")
    parser.add_argument("--out", type=Path, default=ROOT / "models")
    parser.add_argument("--images", type=int, default=10_000, help="test images for the card; fewer for a trial only")
    parser.add_argument(
        "--note", default="", help="a sentence for the card's section on training, say about an interruption"
    )
    args = parser.parse_args()
    folder = cache_dir() / "checkpoints" / args.run
    checkpoint = torch.load(folder / "last.pt", weights_only=True, map_location="cpu")
    trained = checkpoint["args"]
    args.out.mkdir(parents=True, exist_ok=True)
    f32, q8 = args.out / f"{NAME}_f32.safetensors", args.out / f"{NAME}.safetensors"
    header = about(trained["model"])
    parameters = export(checkpoint, header, f32)
    if f32.stat().st_size > F32_LIMIT:
        sys.exit(f"{f32} has {f32.stat().st_size:,} bytes, over {F32_LIMIT:,}")
    subprocess.run(["node", ROOT / "web" / "cli" / "cli.js", "quantize", f32, q8], check=True)
    print(
        f"{f32.name} {f32.stat().st_size:,} bytes, {q8.name} {q8.stat().st_size:,} bytes, "
        f"epoch {checkpoint['epoch']} of {trained['epochs']}"
    )
    result = accuracy.measure(f32, q8, args.images)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    share = {name: result[name] / result["images"] for name in ("pytorch", "f32", "q8")}
    (args.out / f"{NAME}.md").write_text(
        CARD.format(
            name=NAME,
            labels=", ".join(cifar10.CLASSES),
            parameters=parameters,
            f32_bytes=f32.stat().st_size,
            q8_bytes=q8.stat().st_size,
            mean=cifar10.MEAN,
            std=cifar10.STD,
            epochs=checkpoint["epoch"],
            total=trained["epochs"],
            hours=sum(line["seconds"] for line in log[: checkpoint["epoch"]]) / 3600,
            note=f" {args.note}" if args.note else "",
            accuracy=accuracy.card_part(result),
            images=result["images"],
            **{key: trained[key] for key in ("model", "run", "batch", "lr", "seed")},
        )
    )
    print(f"top-1: pytorch f32 {share['pytorch']:.4f}, tesserae f32 {share['f32']:.4f}, tesserae q8 {share['q8']:.4f}")


if __name__ == "__main__":
    main()
