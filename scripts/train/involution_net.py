"""The two networks of the involution document in PyTorch, to be trained: the reference of scripts/parity/references
runs on Keras.

Names and shapes are those of model files, so that the reference takes the weights; smoke.py holds both to the same
answers. Starts, norms and Adam are Keras's: Glorot's uniform, biases 0, batch norm with eps 1e-3 and a momentum of
0.99.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Involution(nn.Module):
    """x [B,C,H,W] -> [B,C,H,W]: each place's own kernel of K x K, one for all channels, over the window around it."""

    def __init__(self, channels: int, kernel_size: int, reduction_ratio: int):
        super().__init__()
        self.kernel_size = kernel_size
        inner = channels // reduction_ratio
        self.kernel_gen = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.BatchNorm2d(inner, eps=1e-3, momentum=0.01),
            nn.ReLU(),
            nn.Conv2d(inner, kernel_size**2, 1),
        )

    def forward(self, x):
        b, c, h, w = x.shape
        kernels = self.kernel_gen(x)[:, None]  # [B,1,K*K,H,W]
        windows = F.unfold(x, self.kernel_size, padding=self.kernel_size // 2).view(b, c, -1, h, w)
        return (kernels * windows).sum(2)


class Net(nn.Module):
    """network 'inn': three involutions of 3 channels; 'cnn': three convolutions of 32, 64 and 64."""

    def __init__(self, network: str = "inn", image_size: int = 32, num_classes: int = 10):
        super().__init__()
        if network == "inn":
            self.names, width = [f"inv_{i}" for i in (1, 2, 3)], 3
            layers = [Involution(3, 3, 2) for _ in range(3)]
        else:
            self.names, width = [f"conv_{i}" for i in (1, 2, 3)], 64
            layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in ((3, 32), (32, 64), (64, 64))]
        for name, layer in zip(self.names, layers):
            setattr(self, name, layer)
        self.dense_1 = nn.Linear(width * (image_size // 4) ** 2, 64)
        self.dense_2 = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        for i, name in enumerate(self.names):
            x = getattr(self, name)(x).relu()
            x = F.max_pool2d(x, 2) if i < 2 else x
        x = x.permute(0, 2, 3, 1).flatten(1)  # Keras's order: channels last
        return self.dense_2(self.dense_1(x).relu())

    def state_dict(self, *args, **kwargs):
        state = super().state_dict(*args, **kwargs)
        return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}

    def load_state_dict(self, state, strict=True):
        missing, unexpected = super().load_state_dict(state, strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
