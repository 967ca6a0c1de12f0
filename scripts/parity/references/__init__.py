"""The reference implementations, one file per architecture, and what is compared with them.

A file here is what a new architecture adds besides its C file and its page docs/models/<name>.md. It holds

    ARCH            the architecture's name, as in a model file's header
    CASES           [Case, ...]: tiny ones (their outputs are kept in test/golden/models) and the source document's own
    build(config)   the reference module for a config as it stands in a model file (pairs are lists)
    run(module, inputs, options, wants) -> (output, {tap name: tensor}); wants(name) says which taps to keep, and it may
                    give more: at large sizes attention alone fills the memory
    settle(module)  optional: changes a full-size case's random weights where the reference in single and in double
                    precision would differ by more than the tolerance

Weights and inputs are drawn from a generator that test/parity/weights.js has too, bit for bit: golden files need not
hold them. Used by golden_models.py and parity.py.
"""

import fnmatch
import importlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Case:
    """One configuration and one input of an architecture.

    inputs: name -> dims, batch first, or dict(dims=, values=) where numbers cannot be drawn at random (a mask's);
        parity.py runs a document's case with batch 1 and 2 whatever stands here.
    keep: patterns of the taps whose values a golden file holds. None: a document's size, run by parity.py alone.
    taps: patterns of the taps that parity.py compares, for a size where all of them would not fit into 4 GB.
    parameters: of the document's config, counted by whoever wrote the row; checked before anything is run.
    q8: how parity.py judges 8 bits at the document's config: 'top1', 'cosine' (no classes), or '' (not run).
    least: the share of inputs on which q8 must name the reference's class; below 95 % `why` gives the reason in a
        phrase.
    """

    name: str
    config: dict
    inputs: dict
    options: dict = field(default_factory=dict)
    keep: tuple | None = None
    taps: tuple = ("*",)
    parameters: int | None = None
    q8: str = ""
    least: float = 0.95
    why: str = ""

    @property
    def tiny(self) -> bool:
        return self.keep is not None

    def compares(self, tap: str) -> bool:
        return any(fnmatch.fnmatchcase(tap, pattern) for pattern in (self.keep if self.tiny else self.taps))


def architectures() -> dict:
    """Every module of this folder by its architecture's name."""
    names = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    modules = {name: importlib.import_module(f"references.{name}") for name in names}
    for name, module in modules.items():
        assert module.ARCH == name, f"{name}.py describes {module.ARCH}"
    seen = [case.name for module in modules.values() for case in module.CASES]
    assert len(seen) == len(set(seen)), "two cases have one name"
    return modules


def keywords(config: dict) -> dict:
    """A config as it stands in a model file -> the constructor's keywords: pairs are tuples there."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def fnv1a64(text: str) -> int:
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(seed: str, count: int) -> np.ndarray:
    """f64 [count] in [-1, 1): splitmix64 from fnv1a64(seed), the upper 53 bits, as test/c/check.h has it."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(seed)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * (2.0 / 9007199254740992.0) - 1.0


def draw(case: str, name: str, shape) -> np.ndarray:
    """f32 values of a weight. The rule knows its name and shape only, and nothing is left at 0 or 1:

    variances 1 + 0.5u, one-dimensional .weight (norms) 1 + 0.2u, other one-dimensional 0.2u, parameters that are no
    layer's (tokens, tables, embeddings) u, a lone temperature -2 + 0.2u (the logarithm of 1/8 or so, as it is
    initialised: with others the softmax chooses single tokens, and rounding chooses which), matrices and filters
    u sqrt(3 / fan_in): variance 1 / fan_in.
    Each step is one rounding in double precision, then one to f32, so that both sides get the same bits.
    """
    u = uniform(f"{case}/{name}", math.prod(shape))
    if name.endswith("running_var"):
        u = u * 0.5 + 1
    elif len(shape) == 1:
        u = u * 0.2 + (1 if name.endswith(".weight") else 0)
    elif not shape and name.endswith("temperature"):
        u = u * 0.2 - 2
    elif name.endswith(".weight") and not name.endswith("emb.weight"):
        u = u * math.sqrt(3 / math.prod(shape[1:]))
    return u.astype(np.float32).reshape(shape)


def draw_input(case: str, name: str, dims) -> np.ndarray:
    if isinstance(dims, dict):
        return np.array(dims["values"], dtype=np.float32).reshape(dims["dims"])
    return uniform(f"{case}/input/{name}", math.prod(dims)).astype(np.float32).reshape(dims)


def saved(module: torch.nn.Module) -> dict:
    """The state_dict with one name for each tensor: where a module has two, safetensors' save_model keeps the first by
    the alphabet."""
    state, first = module.state_dict(), {}
    for name in sorted(state):
        if state[name].numel():
            first.setdefault(state[name].data_ptr(), name)
    return {name: tensor.contiguous() for name, tensor in state.items() if first.get(tensor.data_ptr(), name) == name}


def parameters(reference, module: torch.nn.Module) -> int:
    """The number of parameters that a model of ours has: all but those whose names match the reference file's UNUSED,
    which are saved and play no part."""
    unused = getattr(reference, "UNUSED", ())
    return sum(
        p.numel()
        for name, p in module.named_parameters()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in unused)
    )


def fill(module: torch.nn.Module, case: str) -> dict:
    """Draws every floating-point tensor of the module's state_dict; returns the state_dict, as it is to be saved."""
    state = {}
    for name, tensor in saved(module).items():
        if tensor.is_floating_point():
            tensor = torch.from_numpy(draw(case, name, tuple(tensor.shape)))
        state[name] = tensor.contiguous()
    module.load_state_dict(state, strict=False)  # second names have their values already
    return state


def settle(module: torch.nn.Module, pictures) -> None:
    """Gives batch norms the statistics of pictures(), as training would. With random statistics a deep network's values
    grow from layer to layer until its softmaxes choose single tokens, and the little that a sum's order changes chooses
    others: the reference in single and in double precision then differ by more than the tolerance."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            module(pictures())
    for norm in norms:
        norm.eval()


class Taps(dict):
    """Copies of what passes through a module while it runs, by tap name.

        with Taps(wants) as taps:
            taps.output("tokens", model.norm)                       # what the submodule returns
            taps.output("blocks.0", ff, lambda y, x: x + y)         # or what is made of its output and its first input
            taps.input("embedding", model.head)                     # what it is given
            output = model(image)
    Copies, because some references go on to change a tensor in place.
    """

    def __init__(self, wants):
        super().__init__()
        self.wants = wants

    def __enter__(self):
        self.handles = []
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def output(self, name, module, make=lambda y, x: y):
        def hook(_, args, y):
            self[name] = make(y, args[0]).detach().clone()

        if self.wants(name):
            self.handles.append(module.register_forward_hook(hook))

    def input(self, name, module):
        def hook(_, args):
            self[name] = args[0].detach().clone()

        if self.wants(name):
            self.handles.append(module.register_forward_pre_hook(hook))


class Softmaxes(torch.overrides.TorchFunctionMode):
    """Keeps what every softmax called on a tensor gives, in order: the reference's own probabilities where no submodule
    computes them."""

    def __init__(self):
        super().__init__()
        self.values = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") == "softmax":
            self.values.append(result.detach().clone())
        return result
