"""The layers that alias: those whose kernel is sampled."""

from torch import nn

from restool.modules import named_layers
from restool.nn import ContinuousKernel


def continuous_layers(model: nn.Module) -> list[tuple[str, ContinuousKernel]]:
    """Name and layer of every continuous layer, in the model's order; ValueError if there is none."""
    found = list(named_layers(model, ContinuousKernel))
    if not found:
        raise ValueError("the aliasing penalty needs a model with continuous kernels; this one has none")
    return found
