"""Writes test/golden/hub/<case>.json: tiny checkpoints as transformers and timm write them, and what the libraries
answer.

    python=$(scripts/parity/pyenv.sh hub) && "$python" scripts/parity/hub_golden.py

A file has config.json as the library wrote it, each tensor's name, shape and dtype, the pixels' size and the expected
output; MAE's also which patches are hidden. Weights and pixels are drawn from their names, as in golden_models.py, so
that no file holds them;
test/web/hub_golden.test.js makes the folder again and loads it.
"""

import json
import tempfile
from pathlib import Path

import torch
from hub_cases import plain
from references import draw, uniform
from safetensors import safe_open
from safetensors.torch import save_file

OUT = Path(__file__).parents[2] / "test" / "golden" / "hub"
NAMES = (
    "vit vit_labels vit_mae_decoder deit_distilled dinov2_registers dinov3_gated beit clip siglip timm_vit_reg_gap "
    "timm_deit_distilled timm_eva02 timm_clip"
).split()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for case in plain.cases():
        name = case["name"]
        if name not in NAMES:
            continue
        tensors = []

        def redraw(folder):
            path = Path(folder, "model.safetensors")
            values = {}
            with safe_open(path, "pt") as file:
                for key in file.keys():
                    tensor = file.get_tensor(key)
                    tensors.append([key, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")])
                    values[key] = torch.from_numpy(draw(name, key, tuple(tensor.shape)))
            assert all(kind == "float32" for *_, kind in tensors), name
            save_file(values, path, {"format": "pt"})

        with tempfile.TemporaryDirectory() as folder:
            (kind, run), *_ = case["make"](Path(folder), redraw).items()
            config = json.loads(Path(folder, "config.json").read_text())
        size = [1, *case["size"]]
        pixels = torch.from_numpy(uniform(f"{name}/pixels", torch.Size(size).numel()).astype("float32")).reshape(size)
        with torch.no_grad():
            expected = run(pixels).float().flatten().tolist()
        if kind == "image":  # many numbers
            expected = [round(value, 6) for value in expected]
        golden = dict(name=name, kind=kind, dims=size, config=config, expected=expected)
        if "mask" in case:
            golden["mask"] = case["mask"]
        golden["tensors"] = [[key, shape] for key, shape, _ in tensors]
        path = OUT / f"{name}.json"
        path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
        print(f"{name:24} {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
