"""How the layers of a model convolve: one method for all, or the cheapest on a device that was measured."""

import torch
from torch import nn

from restool.arguments import require_choice
from restool.correlation import METHODS, RATES, Method
from restool.modules import layers
from restool.nn.continuous import ContinuousConv
from restool.nn.scaled import ScaledConv
from restool.nn.wide import WideConv2d


def use_method(model: nn.Module, method: Method) -> None:
    """Set how all continuous layers of a model convolve; see `restool.correlation.correlate`.

    Raises:
        ArgumentError: there is no such method.
    """
    require_choice("method", method, METHODS)
    for layer in layers(model, ContinuousConv):
        layer.method = method


def calibrate(model: nn.Module, device: torch.device, *dtypes: torch.dtype) -> None:
    """Measure a device where a layer of a model takes the cheapest method: about three seconds, once per machine.

    Without it, such a layer goes by rates measured before, or by those of a reference machine.

    Args:
        model: whose layers ask.
        device: that they will run on.
        *dtypes: that they will compute in.
    """
    chosen = [layer for layer in layers(model, ContinuousConv) if layer.method == "auto"]
    if chosen or any(layers(model, ScaledConv)) or any(layers(model, WideConv2d)):
        for dtype in dtypes:
            RATES.calibrate(device, dtype)
