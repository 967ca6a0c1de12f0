"""The files that `make bench` compares: one model's weights as ours and as the peer's, and PyTorch's outputs for some
images.

    python scripts/bench/export.py MODEL FOLDER

Writes into the folder, from the model's description in scripts/bench/models.json:

    MODEL.safetensors    the weights as the reference initialises them, seed 0, with the config in the header
    MODEL.onnx           the same module by torch.onnx
    MODEL.int8.onnx      that, by onnxruntime's quantize_dynamic
    MODEL.inputs.f32     [PICTURES, ...input], MODEL.outputs.f32: PyTorch's outputs for them

scripts/bench/files.mjs calls this for what is not there yet.
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))
import references  # noqa: E402
from parity import pictures  # noqa: E402

PICTURES = 4
OPSET = 17  # the first with LayerNormalization


class Call(torch.nn.Module):
    """The module with its call's options fixed: what is exported takes the picture only."""

    def __init__(self, module, options):
        super().__init__()
        self.module, self.options = module, options

    def forward(self, image):
        return self.module(image, **self.options)


def write_onnx(call: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    # GLOM's mask becomes a constant: the peer has no EyeLike for booleans
    eye = mock.patch("torch.eye", lambda n, dtype=None, **_: torch.from_numpy(np.eye(int(n))).to(dtype))
    with warnings.catch_warnings(), eye:
        warnings.simplefilter("ignore")  # the tracer's, about sizes that become constants: they are constant here
        torch.onnx.export(
            call,
            (example,),
            str(path),
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
            input_names=["image"],
            output_names=["output"],
        )


def write_int8(source: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it recommends a preparation that the session does anyway
    # Unsigned weights, because they are as fast as signed ones in products, and three times as fast in convolutions
    # (CCT-14: 309 ms, signed 955 ms).
    quantize_dynamic(str(source), str(path), weight_type=QuantType.QUInt8)


@torch.no_grad()
def export(name: str, model: dict, folder: Path) -> None:
    torch.manual_seed(0)
    reference = references.architectures()[model["arch"]]
    module = reference.build(model["config"]).eval()
    state = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
    about = json.dumps(dict(arch=model["arch"], config=model["config"]))
    save_file(state, folder / f"{name}.safetensors", metadata=dict(format="pt", tesserae=about))
    call = Call(module, model.get("options", {}))
    images = np.concatenate([pictures(f"bench/{name}/{i}", "image", (1, *model["input"])) for i in range(PICTURES)])
    outputs = torch.cat([call(torch.from_numpy(images[i : i + 1])) for i in range(PICTURES)])
    images.tofile(folder / f"{name}.inputs.f32")
    outputs.numpy().tofile(folder / f"{name}.outputs.f32")
    write_onnx(call, torch.from_numpy(images[:1]), folder / f"{name}.onnx")
    if "q8" in model.get("dtypes", ["f32", "q8"]):
        write_int8(folder / f"{name}.onnx", folder / f"{name}.int8.onnx")


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    export(name, json.loads((Path(__file__).parent / "models.json").read_text())[name], Path(folder))
