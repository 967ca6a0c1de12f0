"""What the roundings of q8 alone change: the reference once more, with them put into its own products.

    python scripts/parity/emulation.py CASE [--inputs 40] [--first N] [--attention] [--weights-only]
                                            [--fine REGEX] [--leave REGEX]

Every Linear and convolution of the reference multiplies weights rounded to 8 bits per output channel with activations
rounded to 7 bits per row; an image's only row keeps 14 bits. Depthwise convolutions, and the products that q8 leaves in
f32, are not rounded. All else, and the sums, are PyTorch's.
If as many winners change as with q8, and the logits are off as far, then the roundings explain what
scripts/parity/parity.py sees, and nothing is wrong in the core; if q8 loses clearly more, something is. Inputs and the
reference's outputs are parity.py's; the q8 outputs that it keeps are compared as well.

    --attention     round in attention of 64 keys and more as well (for architectures that use the attention op, not
                    products of their own)
    --first N       the first N tokens keep 14 bits: class tokens that a head reads
    --weights-only  activations are left alone
    --fine REGEX    rows of these weights (names in the state_dict) keep 14 bits
    --leave REGEX   products with these weights stay in f32; this and --fine tell where an error comes from

Last line: CASE: emulation SAME of N, off by SHARE of the spread; q8 ...
"""

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import parity
import references
import torch
import torch.nn.functional as F

LEAST_OUTPUTS, LEAST_FILTER = 8, 32  # products of fewer outputs, and convolutions over fewer numbers, stay in f32
LEAST_KEYS, PART = 64, 256  # of attention in 8 bits; keys whose values have a scale of their own


def rounded_rows(x):
    """Each row of the last dim to 7 bits unsigned, with a zero point."""
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / 127
    scale = torch.where(scale == 0, 1, scale)
    zero = torch.round(-low / scale)
    return ((torch.round(x / scale) + zero).clamp(0, 127) - zero) * scale


def scale_of(w):
    """Of each row: 127 steps to the largest, and no more than 256 in the sum of four neighbours of one sign, as with
    TSR_Q8_PAIRS."""
    eights = F.pad(w, (0, -w.shape[-1] % 8)).unflatten(-1, (-1, 8))
    fours = torch.stack([eights[..., [0, 1, 4, 5]], eights[..., [2, 3, 6, 7]]])
    most = torch.maximum(fours.clamp(min=0).sum(-1), (-fours).clamp(min=0).sum(-1)).amax((0, -1))
    scale = torch.maximum(w.abs().amax(-1) / 127, most / 256)[..., None]
    return torch.where(scale == 0, 1, scale)


def rounded_weights(w, scale):
    return torch.round(w / scale).clamp(-127, 127) * scale


class Rounded(torch.overrides.TorchFunctionMode):
    """Inside, products are q8's. batch: how many pictures there are."""

    def __init__(self, model, args, batch):
        super().__init__()
        self.args, self.batch, self.kept = args, batch, {}
        self.names = {p.untyped_storage().data_ptr(): name for name, p in model.named_parameters()}

    def named(self, pattern, w):
        return bool(pattern and re.search(pattern, self.names.get(w.untyped_storage().data_ptr(), "")))

    def weights(self, w):
        key = (w.data_ptr(), w.shape)
        if key not in self.kept:
            scale = scale_of(w.movedim(1, -1).flatten(1))  # neighbours are channels of a pixel
            self.kept[key] = rounded_weights(w.flatten(1), scale)
        return self.kept[key]

    def rows(self, x, w):
        if self.args.weights_only:
            return x
        y, first = rounded_rows(x), self.args.first
        if x.numel() // x.shape[-1] == self.batch or self.named(self.args.fine, w):
            return y + rounded_rows(x - y)
        if first and x.ndim == 3 and (first == 1 or x.shape[1] >= 16 * first):
            y[:, :first] += rounded_rows(x[:, :first] - y[:, :first])
        return y

    def linear(self, x, weight, bias=None):
        if weight.shape[0] < LEAST_OUTPUTS or self.named(self.args.leave, weight):
            return F.linear(x, weight, bias)
        return F.linear(self.rows(x, weight), self.weights(weight), bias)

    def convolution(self, f, x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
        n = w.ndim - 2
        stride, padding, dilation = (v if isinstance(v, tuple) else (v,) * n for v in (stride, padding, dilation))
        area = w[0, 0].numel()
        if (
            groups > 1
            and w.shape[1] == 1
            or w.shape[0] // groups < LEAST_OUTPUTS
            or area > 1
            and w[0].numel() < LEAST_FILTER
            or max(dilation) > 1
            or self.named(self.args.leave, w)
        ):
            return f(x, w, bias, stride, padding, dilation, groups)
        x = F.pad(x, [p for side in reversed(padding) for p in (side, side)])
        for i in range(n):
            x = x.unfold(2 + i, w.shape[2 + i], stride[i])
        # [B, places..., groups, filter]
        x = x.unflatten(1, (groups, -1)).movedim((1, 2), (n + 1, n + 2)).flatten(n + 2)
        parts = zip(x.unbind(-2), w.chunk(groups))
        y = torch.cat([F.linear(self.rows(rows, part), self.weights(part)) for rows, part in parts], -1)
        return (y if bias is None else y + bias).movedim(-1, 1)

    def scores(self, q, k):
        return rounded_rows(q) @ rounded_weights(k, scale_of(k)).transpose(-1, -2)

    def weighted(self, p, v):
        top, mean, m = p.amax(-1, keepdim=True), v.mean(-2, keepdim=True), v.shape[-2]
        p = torch.round(p / top * 127) / 127 * top
        parts = -(-m // PART)
        each = -(-(-(-m // parts)) // 8) * 8 if parts > 1 else m
        y = mean
        for at in range(0, m, each):
            columns = (v[..., at : at + each, :] - mean).transpose(-1, -2)
            y = y + p[..., at : at + each] @ rounded_weights(columns, scale_of(columns)).transpose(-1, -2)
        return y

    def product(self, a, b):
        """a @ b of two activations, or None where q8 multiplies in f32: probabilities are known by their sums."""
        if not self.args.attention or a.ndim < 3 or b.ndim < 3:
            return None
        if float(a.min()) >= 0 and torch.allclose(a.sum(-1), torch.ones(()), atol=1e-4):
            return self.weighted(a, b) if a.shape[-1] >= LEAST_KEYS else None
        return self.scores(a, b.transpose(-1, -2)) if b.shape[-1] >= LEAST_KEYS and a.shape[-1] <= b.shape[-1] else None

    def einsum(self, spec, a, b):
        left, right, out = re.split(r",|->", spec.replace(" ", ""))
        if len(left) < 3 or not left[:-2] == right[:-2] == out[:-2]:
            return None
        return self.product(a, b.transpose(-1, -2) if left[-1] == right[-1] else b) if left[-1] in right[-2:] else None

    def __torch_function__(self, f, types, args=(), kwargs=None):
        kwargs, name, y = kwargs or {}, getattr(f, "__name__", ""), None
        if f is F.linear:
            return self.linear(*args, **kwargs)
        if name in ("conv1d", "conv2d", "conv3d"):
            return self.convolution(f, *args, **kwargs)
        if name in ("matmul", "__matmul__", "bmm"):
            y = self.product(*args[:2])
        elif name == "einsum" and len(args) == 3:
            y = self.einsum(*args)
        elif name == "scaled_dot_product_attention" and self.args.attention and args[1].shape[-2] >= LEAST_KEYS:
            q, k, v = args[:3]
            y = self.weighted((self.scores(q, k) * kwargs.get("scale", q.shape[-1] ** -0.5)).softmax(-1), v)
        return f(*args, **kwargs) if y is None else y


def judged(got, want) -> str:
    off = float(np.median(np.sqrt(((got - want) ** 2).mean(1)) / want.std(1)))
    return f"{(got.argmax(1) == want.argmax(1)).sum()} of {len(got)}, off by {off:.1%} of the spread"


def kept(module, case) -> tuple:
    """What parity.py keeps of this case: of the reference, and of q8 with these builds."""
    key = parity.reference_key(module, case)
    names = (f"{key}-200", f"{parity.digest(key, parity.RUNNER.read_text(), parity.builds())}-200-q8")
    paths = [parity.KEPT / f"{case.name}-{name}.npy" for name in names]
    return tuple(np.load(path) if path.exists() else np.zeros((0, 1)) for path in paths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case")
    parser.add_argument("--inputs", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    for flag in ("--attention", "--weights-only"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--fine", "--leave"):
        parser.add_argument(flag, default="")
    args = parser.parse_args()
    module, case = next((m, c) for m in references.architectures().values() for c in m.CASES if c.name == args.case)
    with tempfile.TemporaryDirectory(prefix="tesserae-parity-") as folder:
        bench = parity.Bench(module, case, Path(folder))
    known, q8 = kept(module, case)
    want, got, size = [], [], parity.Q8_BATCH
    rounded = Rounded(bench.model, args, size)
    for i in range(0, args.inputs, size):
        inputs = bench.inputs(f"q8/{i}", size)
        want += list(known[i : i + size] if len(known) >= i + size else bench.reference(inputs)[0])
        with rounded:
            got += list(bench.reference(inputs)[0])
    want, got = np.stack(want), np.stack(got)
    q8 = q8[: len(got)]
    told = f"; q8 {judged(q8, want[: len(q8)])}; of both {judged(got[: len(q8)], q8)}" if len(q8) else ""
    print(f"{case.name}: emulation {judged(got, want)}{told}")


if __name__ == "__main__":
    main()
