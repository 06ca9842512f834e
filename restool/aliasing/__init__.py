"""What a kernel loses on another grid: penalties for the loss, and the figures they are made of for a log."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from restool.aliasing.energy import LayerEnergy, energies
from restool.aliasing.filters import LayerFrequencies, filter_excess, frequency_bounds, report
from restool.arguments import require_choice

__all__ = ["LayerEnergy", "LayerFrequencies", "Target", "energies", "frequency_bounds", "penalty", "report"]

Target = Literal["gabor", "gabor+mask", "spectral"]


def penalty(model: nn.Module, size: int, target: Target = "gabor", strength: float = 0.1) -> Tensor:
    """What is added to the loss so that kernels stay below the Nyquist frequency of `size` pixels.

        gabor, gabor+mask:  strength * sum over layers and filters of relu(f - limit)^2
        spectral:           strength * sum over layers of (energy above Nyquist / whole energy)

    The first two are the official ones: they bound the frequency of each filter, and are exactly 0 when every filter is
    inside its limit. The last is measured on the sampled kernel, mask included (`restool.aliasing.energy`).

    Args:
        model: with at least one `ContinuousKernel`; for the first two on a multiplicative network.
        size: pixels of the image side (or steps) that the kernel is to be sampled at without aliasing.
        target: what is counted; "gabor+mask" adds the mask's bandwidth to the filters' frequencies.
        strength: factor of the whole.

    Returns:
        A scalar.

    Raises:
        ValueError: unknown target, no continuous layer, or a layer without known frequencies (SIREN) for the first two.
    """
    require_choice("target", target, get_args(Target))
    if target == "spectral":
        return strength * torch.stack([layer.ratio for layer in energies(model, size)]).sum()
    return strength * filter_excess(model, size, target)
