"""How far 8 bits are from f32, for one published size of each family of docs/models/hub.md, on random weights with
outliers as trained ones have them.

    python=$(scripts/parity/pyenv.sh hub) && "$python" scripts/parity/hub_q8.py [NAME ...]
      --taps   every block's tokens too, which shows where accuracy is lost
      --seed N other weights and pixels (3)

The model is the library's own, saved as it saves them. Every kind has four channels of what its blocks add to (the
"high" ones) set apart, by biases, positions and tokens some fifty times the others; layer scales are 1e-5 to 10, evenly
in the logarithm; norm weights spread about 1, but four of each are 0 to 10 (mild) or those of the high channels are 5
to 10 (harsh); batch norms have the statistics that noise gives. In front of each line stands how many times the
largest number of a token is the token's median, at the last block.

First f32 has to equal the library, within 1e-3 of the largest number: outliers make softmaxes nearly choose single
tokens, so that the order of sums matters more than without. Then q8 is compared with our f32: the cosine of the worst
token, the median of the tokens, all tokens together, and the output. Median and all together below 0.995 fail.
"""

import argparse
import json
import math
import re
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from hub import ours
from safetensors.torch import save_file
from timm.models import save_for_hf

F32_TOLERANCE = 1e-3
LEAST_COSINE = 0.995
HIGH, SIZE = 4, 50
warnings.filterwarnings("ignore")

# What writes into the sum that the blocks add to.
WRITERS = (
    r"(attn|xca)\.proj\.bias|attn\.out_proj\.bias|mlp\.(fc2|w3)\.bias|fc2\.bias|proj\.ln\.bn\.bias|ln2\.bn\.bias|"
    r"output\.dense\.bias|fc2\.bn\.bias|token_mixer\.proj\.bn\.bias|token_mixer\.proj\.bias|conv3_1x1(\.bn)?\.bias|"
    r"conv3\.bn\.bias|local_mp\.conv2\.bias"
)
NORMS = (torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.modules.batchnorm._BatchNorm)

# family: (model, its arguments, side of the pictures). Names with "hf:" are transformers' classes.
FAMILIES = {
    "ViT": ("vit_tiny_patch16_224", dict(img_size=112), 112),
    "DeiT": ("deit_tiny_distilled_patch16_224", dict(img_size=112), 112),
    "DeiT III": ("deit3_small_patch16_224", dict(img_size=112), 112),
    "DINOv2": ("vit_small_patch14_reg4_dinov2", dict(img_size=112, num_classes=0), 112),
    "DINOv3": ("vit_small_patch16_dinov3", dict(img_size=128, num_classes=0), 128),
    "CLIP": ("vit_xsmall_patch16_clip_224", dict(img_size=112, num_classes=100), 112),
    "SigLIP": ("vit_base_patch16_siglip_gap_224", dict(img_size=112, num_classes=100, depth=6), 112),
    "BEiT": ("beit_base_patch16_224", dict(img_size=112, depth=6), 112),
    "EVA-02": ("eva02_tiny_patch14_224", dict(img_size=112, num_classes=100), 112),
    "MAE": ("hf:ViTMAEModel", dict(hidden_size=192, num_attention_heads=3, intermediate_size=768, image_size=112), 112),
    "Swin": ("swin_tiny_patch4_window7_224", dict(img_size=112), 112),
    "Swin v2": ("swinv2_tiny_window8_256", dict(img_size=128), 128),
    "MobileViT": ("mobilevit_xxs", {}, 256),
    "MobileViTv2": ("mobilevitv2_050", {}, 256),
    "TinyViT": ("tiny_vit_5m_224", {}, 112),
    "FastViT": ("fastvit_t8", {}, 128),
    "MobileCLIP": ("fastvit_mci0", {}, 128),
    "GC ViT": ("gcvit_xxtiny", {}, 224),
    "LeViT": ("levit_128s", {}, 224),
    "CaiT": ("cait_xxs24_224", dict(img_size=112), 112),
    "XCiT": ("xcit_nano_12_p16_224", {}, 112),
    "PiT": ("pit_ti_224", {}, 224),
    "CvT": ("hf:CvtForImageClassification", {}, 112),
    "CrossViT": ("crossvit_tiny_240", {}, 240),
    "MaxViT": ("maxvit_tiny_tf_224", dict(num_classes=100), 224),
    "EfficientFormer v2": ("efficientformerv2_s0", {}, 224),
    "Hiera": ("hiera_tiny_224", {}, 224),
}


class Outliers:
    """Draws a model's weights. The high channels of all tensors of a width are the same."""

    def __init__(self, seed, harsh):
        self.generator = torch.Generator().manual_seed(seed)
        self.harsh = harsh
        self.channels = {}

    def rand(self, *shape):
        return torch.rand(*shape, generator=self.generator)

    def randn(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def high(self, width):
        if width not in self.channels:
            self.channels[width] = torch.randperm(width, generator=self.generator)[:HIGH]
        return self.channels[width]

    def norm_weight(self, width):
        weight = torch.exp(0.4 * self.randn(width))
        if self.harsh:
            weight[self.high(width)] = 5 + 5 * self.rand(len(self.high(width)))
        else:
            weight[torch.randperm(width, generator=self.generator)[:HIGH]] = 10 * self.rand(min(width, HIGH))
        return weight

    def tensor(self, name, p, is_norm_weight):
        last = name.rpartition(".")[2]
        if last.startswith("gamma") and p.numel() == max(p.shape):
            return 10 ** (self.rand(p.shape) * 6 - 5)
        if is_norm_weight:
            return self.norm_weight(len(p))
        if last in ("logit_scale", "temperature"):
            return p + 0.3 * self.randn(p.shape)
        if re.search("pos_embed|position_embeddings|token(_\\d+)?$", name) and p.ndim > 1 and last != "weight":
            axis = 1 if p.ndim == 4 and p.shape[-1] == p.shape[-2] and p.shape[1] != p.shape[-1] else p.ndim - 1
            value = (0.3 * self.randn(p.shape)).movedim(axis, -1)
            high = self.high(value.shape[-1])
            value[..., high] += 0.3 * SIZE * (self.rand(len(high)) + 0.5) * torch.sign(self.randn(len(high)))
            return value.movedim(-1, axis)
        if p.ndim == 1:
            value = 0.1 * self.randn(p.shape)
            if re.search(f"(^|\\.)({WRITERS})$", name):
                high = self.high(len(p))
                value[high] += 0.2 * SIZE * torch.sign(self.randn(len(high)))
            return value
        if "bias" in last:  # tables
            return 0.3 * self.randn(p.shape)
        return self.randn(p.shape) / math.sqrt(max(1, p[0].numel()))


@torch.no_grad()
def drawn(model, seed, harsh, side):
    source = Outliers(seed, harsh)
    norms = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, NORMS)}
    for name, p in model.named_parameters():
        p.copy_(source.tensor(name, p, name in norms))
    batch = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    if batch:
        for norm in batch:
            norm.momentum = 1.0
            norm.train()
        run(model, source.rand(4, 3, side, side) * 2 - 1)
    return model.eval()


def run(model, x):
    if isinstance(model, transformers.ViTMAEModel):
        count = model.embeddings.patch_embeddings.num_patches
        return model(x, noise=torch.arange(float(count)).expand(len(x), count)).last_hidden_state[:, 0]
    y = model(x)
    return y.logits if hasattr(y, "logits") else y


def make(architecture, arguments, folder, seed, harsh, side):
    """The model, saved, and where."""
    if architecture.startswith("hf:"):
        kind = getattr(transformers, architecture[3:])
        model = kind(kind.config_class(**arguments, **(dict(mask_ratio=0.0) if "MAE" in architecture else {})))
    else:
        model = timm.create_model(architecture, **arguments)
    if architecture == "fastvit_mci0":
        model = timm.create_model(architecture, num_classes=512)
    model = drawn(model.eval(), seed, harsh, side)
    if architecture.startswith("gcvit"):  # not read as a folder
        from references.gcvit import XXTINY

        path = folder / "model.safetensors"
        header = dict(arch="gcvit", config=XXTINY)
        save_file(model.state_dict(), path, metadata=dict(tesserae=json.dumps(header)))
        return model, path
    if architecture.startswith("hf:"):
        model.save_pretrained(folder)
    else:
        save_for_hf(model, folder, model_args=arguments, safe_serialization=True)
    return model, folder


def cosines(a, b):
    """Of each row."""
    a, b = a.reshape(-1, a.shape[-1]).astype(np.float64), b.reshape(-1, b.shape[-1]).astype(np.float64)
    return (a * b).sum(1) / np.maximum(1e-30, np.sqrt((a * a).sum(1) * (b * b).sum(1)))


def together(a, b):
    return float(cosines(a.reshape(1, -1), b.reshape(1, -1))[0])


def measure(family, seed, harsh, taps):
    architecture, arguments, side = FAMILIES[family]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        folder.mkdir()
        model, path = make(architecture, arguments, folder, seed, harsh, side)
        pixels = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(seed + 2)) * 2 - 1
        with torch.no_grad():
            expected = run(model, pixels).float().numpy()
        del model
        values, order = {}, []
        for dtype in ("f32", "q8"):
            job = Path(temporary, dtype)
            job.mkdir()
            values[dtype], said = ours(path, pixels, dtype, str(job), rows=True)
            order = [name for name, _ in said["outputs"]]
    f32, q8 = values["f32"], values["q8"]
    off = float(np.abs(f32["output"].reshape(expected.shape) - expected).max() / np.abs(expected).max())
    rows = [n for n in order if n != "output" and f32[n].ndim > 2 and np.prod(f32[n].shape[1:-1]) > 1]
    rows = [n for n in rows if not re.search("attn|xca|mixed|pos_emb", n)] or rows
    last = "tokens" if "tokens" in rows else rows[-1]
    if taps:
        for n in rows:
            c = cosines(q8[n], f32[n])
            print(f"    {n:32} worst {c.min():.5f} median {np.median(c):.5f} all {together(q8[n], f32[n]):.5f}")
    size = np.abs(f32[last]).reshape(-1, f32[last].shape[-1])
    block = [n for n in rows if "blocks" in n]
    size = np.abs(f32[block[-1] if block else last])
    size = size.reshape(-1, size.shape[-1])
    ratio = float(np.median(size.max(1) / np.median(size, 1)))
    each = cosines(q8[last], f32[last])
    return dict(
        ratio=ratio,
        f32=off,
        worst=float(each.min()),
        median=float(np.median(each)),
        all=together(q8[last], f32[last]),
        output=float(cosines(q8["output"], f32["output"]).min()),
        last=last,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--taps", action="store_true")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    failed = 0
    for family in options.names or FAMILIES:
        for harsh in (False, True):
            m = measure(family, options.seed, harsh, options.taps)
            faults = []
            if not m["f32"] <= F32_TOLERANCE:
                faults.append(f"f32 is off by {m['f32']:.1e} of the largest")
            if not min(m["median"], m["all"]) >= LEAST_COSINE:
                faults.append("too far")
            failed += bool(faults)
            print(
                f"{family:18} {'harsh' if harsh else 'mild':5} x{m['ratio']:<4.0f} f32 {m['f32']:.1e}  "
                f"worst {m['worst']:.5f}  median {m['median']:.5f}  all {m['all']:.5f}  output {m['output']:.5f}  "
                f"{m['last']}  {'; '.join(faults) or 'pass'}",
                flush=True,
            )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
