"""Activations of a network: another one is one more row."""

from typing import NamedTuple

from torch import nn


class Activation(NamedTuple):
    """A function after a layer.

    Parameters
    ----------
    module : class of nn.Module
    onnx : str
        The same in the notation of ONNX, from {x} to {y}.
    """

    module: type[nn.Module]
    onnx: str


ACTIVATIONS = {
    "identity": Activation(nn.Identity, "{y} = Identity ({x})"),
    "relu": Activation(nn.ReLU, "{y} = Relu ({x})"),
    "sigmoid": Activation(nn.Sigmoid, "{y} = Sigmoid ({x})"),
    "swish": Activation(nn.SiLU, "{y}_gate = Sigmoid ({x})\n    {y} = Mul ({x}, {y}_gate)"),
    "tanh": Activation(nn.Tanh, "{y} = Tanh ({x})"),
}
