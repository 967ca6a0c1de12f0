"""Involution: the layer, and the two networks of Keras's example that compares it with convolution.

No package has the layer. It is written here after the example's description, of Keras's own layers on the PyTorch
backend, and called through `Net`, which has as much of a torch module as golden_models.py and parity.py need:
state_dict() has the names and shapes of a model file, which are PyTorch's (docs/models/involution.md), and `from_keras`
makes such a state of any Keras model with these layers.
"""

import functools

import numpy as np
import torch
from packages import keras as load_keras
from references import Case

ARCH = "involution"
INN = dict(network="inn")


def image(*dims):
    return dict(image=list(dims))


CASES = [
    Case("involution_tiny", dict(image_size=8), image(2, 3, 8, 8), keep=("*",)),
    # groups, whose channels are not neighbours; a stride, whose border is wider on one side; no square
    Case(
        "involution_layer",
        dict(
            network="layer",
            image_size=[6, 8],
            channels=6,
            channel=5,
            group_number=2,
            kernel_size=3,
            stride=2,
            reduction_ratio=2,
        ),
        image(1, 6, 6, 8),
        keep=("*",),
    ),
    # an even window, larger than the stride, and one that leaves pixels out
    Case(
        "involution_even",
        dict(network="layer", image_size=6, channels=1, kernel_size=4),
        image(1, 1, 6, 6),
        keep=("kernels",),
    ),
    Case(
        "involution_sparse",
        dict(network="layer", image_size=9, channels=3, group_number=3, kernel_size=2, stride=3),
        image(1, 3, 9, 9),
        keep=("heat",),
    ),
    Case(
        "involution_cnn",
        dict(network="cnn", image_size=8, num_classes=4),
        image(1, 3, 8, 8),
        keep=("blocks.2", "embedding"),
    ),
    Case("involution_inn", INN, image(1, 3, 32, 32), parameters=13_074, q8="top1"),
    Case("involution_cnn_document", dict(network="cnn"), image(1, 3, 32, 32), parameters=319_178, q8="top1"),
    Case("involution_stride_1", dict(network="layer"), image(1, 3, 256, 256), parameters=118),
    Case("involution_stride_2", dict(network="layer", stride=2), image(1, 3, 256, 256)),
    Case("involution_channel_16", dict(network="layer", channel=16, reduction_ratio=2), image(1, 3, 256, 256)),
]


@functools.cache
def involution_class():
    """The layer; made on demand, because Keras takes seconds to import."""
    keras = load_keras()

    class Involution(keras.layers.Layer):
        """x [B,H,W,C] -> each place's own kernel applied to the window around it [B,H/s,W/s,C], and the kernels
        [B,H/s,W/s,K*K,1,G]."""

        def __init__(self, channel, group_number, kernel_size, stride, reduction_ratio, **kwargs):
            super().__init__(**kwargs)
            self.group_number, self.kernel_size, self.stride = group_number, kernel_size, stride
            self.pool = (
                keras.layers.AveragePooling2D(stride, strides=stride, padding="same")
                if stride > 1
                else keras.layers.Identity()
            )
            self.squeeze = keras.layers.Conv2D(channel // reduction_ratio, 1)
            self.norm = keras.layers.BatchNormalization()
            self.spread = keras.layers.Conv2D(kernel_size**2 * group_number, 1)

        def build(self, shape):
            pooled = self.pool.compute_output_shape(shape)
            self.squeeze.build(pooled)
            inner = self.squeeze.compute_output_shape(pooled)
            self.norm.build(inner)
            self.spread.build(inner)

        def call(self, x):
            window, groups = self.kernel_size**2, self.group_number
            kernels = self.spread(keras.ops.relu(self.norm(self.squeeze(self.pool(x)), training=False)))
            batch, height, width, _ = kernels.shape
            kernels = keras.ops.reshape(kernels, (batch, height, width, window, 1, groups))
            patches = keras.ops.image.extract_patches(x, self.kernel_size, strides=self.stride, padding="same")
            patches = keras.ops.reshape(patches, (batch, height, width, window, x.shape[-1] // groups, groups))
            return keras.ops.reshape(
                keras.ops.sum(kernels * patches, axis=3), (batch, height, width, x.shape[-1])
            ), kernels

    return Involution


def tensors_of(layer, path):
    """(name in a model file, Keras variable, how its dims are turned) of a layer, Keras's order of variables."""
    names = {"BatchNormalization": ("weight", "bias", "running_mean", "running_var")}.get(
        type(layer).__name__, ("weight", "bias")
    )
    turns = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # filters [row, column, in, out], matrices [in, out]
    return [(f"{path}.{name}", variable, turns[len(variable.shape)]) for name, variable in zip(names, layer.weights)]


def layers_of(layer, path):
    """What of `layer` has weights, with its name in a model file."""
    parts = (("kernel_gen.0", "squeeze"), ("kernel_gen.1", "norm"), ("kernel_gen.3", "spread"))
    return (
        [(getattr(layer, at), f"{path}{name}") for name, at in parts]
        if type(layer).__name__ == "Involution"
        else [(layer, path.rstrip("."))]
    )


def from_keras(named_layers):
    """The state of a model file, {name: tensor}, from [(name, Keras layer)]; a layer that is alone has the name ""."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(variable.numpy().transpose(turn)))
        for name, variable, turn in variables(named_layers)
    }


def variables(named_layers):
    return [
        entry
        for name, layer in named_layers
        for part, path in layers_of(layer, f"{name}." if name else "")
        for entry in tensors_of(part, path)
    ]


class Net:
    """The layer or a network of it, called like a torch module on [B,C,H,W]."""

    def __init__(self, network="inn", image_size=None, channels=3, num_classes=10, dtype="float32", **layer):
        self.keywords = dict(
            network=network, image_size=image_size, channels=channels, num_classes=num_classes, **layer
        )
        keras = load_keras()
        keras.config.set_dtype_policy(dtype)
        alone = network == "layer"
        layer = (
            dict(
                channel=channels,
                group_number=1,
                kernel_size=5 if alone else 3,
                stride=1,
                reduction_ratio=1 if alone else 2,
            )
            | layer
        )
        height, width = (
            image_size if isinstance(image_size, (tuple, list)) else (image_size or (256 if alone else 32),) * 2
        )
        if alone:
            self.named = [("", involution_class()(**layer))]
        elif network == "inn":
            self.named = [(f"inv_{i}", involution_class()(**layer)) for i in (1, 2, 3)]
        else:
            self.named = [
                (f"conv_{i}", keras.layers.Conv2D(filters, 3, padding="same"))
                for i, filters in ((1, 32), (2, 64), (3, 64))
            ]
        if not alone:
            self.named += [
                ("dense_1", keras.layers.Dense(64, activation="relu")),
                ("dense_2", keras.layers.Dense(num_classes)),
            ]
        self.halve = keras.layers.MaxPooling2D(2)
        self.relu, self.alone = keras.ops.relu, alone
        self(torch.zeros(1, channels, height, width, dtype=getattr(torch, dtype)))  # builds the layers

    def __call__(self, picture, taps=None):
        taps = {} if taps is None else taps
        x = picture.permute(0, 2, 3, 1)
        for i, (name, layer) in enumerate(self.named[: 1 if self.alone else 3]):
            x = layer(x)
            if isinstance(x, tuple):
                x, kernels = x
                prefix = f"{name}." if name else ""
                taps[f"{prefix}kernels"], taps[f"{prefix}heat"] = kernels, kernels.sum(dim=(3, 4, 5))
            if not self.alone:
                x = taps[f"blocks.{i}"] = self.relu(x)
                x = self.halve(x) if i < 2 else x
        if self.alone:
            return x
        taps["embedding"] = self.named[3][1](x.flatten(1))
        return self.named[4][1](taps["embedding"])

    def state_dict(self):
        return from_keras(self.named)

    def load_state_dict(self, state, strict=True):
        for name, variable, turn in variables(self.named):
            variable.assign(state[name].numpy().transpose(np.argsort(turn)))

    def named_parameters(self):
        return [
            (name, torch.empty(variable.shape)) for name, layer in self.named for variable in layer.trainable_variables
        ]

    def modules(self):
        return []

    def eval(self):
        return self

    def double(self):
        net = Net(**self.keywords, dtype="float64")
        net.load_state_dict(self.state_dict())
        return net


def build(config):
    return Net(**config)


def run(model, inputs, options, wants):
    assert not options
    taps = {}
    output = model(inputs["image"], taps)
    return output, {name: tap.detach() for name, tap in taps.items() if wants(name)}
