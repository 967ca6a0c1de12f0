"""Writes test/c/resize_cases.inc: what torch.nn.functional.interpolate makes of small maps.

python=$(scripts/parity/pyenv.sh) && "$python" scripts/parity/golden_ops.py
"""

from pathlib import Path

import torch

# batch, height, width, channels; to height, width; way
WAYS = dict(
    BILINEAR=dict(mode="bilinear"),
    CORNERS=dict(mode="bilinear", align_corners=True),
    BICUBIC=dict(mode="bicubic"),
    ANTIALIAS=dict(mode="bicubic", antialias=True),
)
CASES = [
    (1, 3, 4, 2, 5, 3, "BILINEAR"),
    (2, 4, 3, 1, 2, 7, "BILINEAR"),
    (1, 3, 4, 2, 5, 1, "CORNERS"),
    (2, 4, 3, 1, 2, 7, "CORNERS"),
    (1, 5, 4, 3, 3, 9, "BICUBIC"),
    (1, 1, 2, 2, 3, 1, "BICUBIC"),
    (1, 7, 6, 2, 2, 3, "ANTIALIAS"),
    (1, 3, 3, 1, 4, 5, "ANTIALIAS"),
]


def case(b, h, w, c, height, width, way):
    x = torch.arange(b * h * w * c) * 37 + 11
    x = ((x % 101).double() / 50 - 1).reshape(b, h, w, c)
    y = torch.nn.functional.interpolate(x.permute(0, 3, 1, 2), (height, width), **WAYS[way])
    numbers = ", ".join(f"{value:.7g}" for value in y.permute(0, 2, 3, 1).flatten().tolist())
    return f"{{{{4, {{{b}, {h}, {w}, {c}}}}}, {height}, {width}, TSR_RESIZE_{way}, (float[]){{{numbers}}}}},"


HEAD = """/* Written by scripts/parity/golden_ops.py from torch.nn.functional.interpolate. */
typedef struct resize_case {
  tsr_shape from;
  int height, width, way;
  float *expected;
} resize_case;

static const resize_case resize_cases[] = {
"""

if __name__ == "__main__":
    to = Path(__file__).resolve().parents[2] / "test/c/resize_cases.inc"
    to.write_text(HEAD + "\n".join(case(*one) for one in CASES) + "\n};\n")
