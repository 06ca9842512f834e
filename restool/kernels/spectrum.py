"""Frequencies of a kernel network, in cycles per unit: known from its parameters, before any sampling."""

import math

import torch
from torch import Tensor

from restool.kernels.base import KernelNetwork
from restool.kernels.mask import GaussianMask
from restool.kernels.multiplicative import GaborFilter, MultiplicativeNetwork, SineFilter

BANDWIDTH_DEVIATIONS = 2.0
"""So many standard deviations of the spectrum of a Gaussian window count as its bandwidth."""


def filter_frequencies(network: KernelNetwork) -> Tensor:
    """Upper bound of the frequency of each filter of a multiplicative network, in cycles per unit.

    f_l = max |W_l| / 2 pi + 2 max |inverse_width_l| / 2 pi; a filter without a window has no second term. The two
    maxima may come from different units, so f_l bounds the frequency of every unit (this is the form the official
    FlexConv code optimises). Frequencies add up along the network, so psi stays below the sum over l.

    Returns:
        [L + 1], differentiable: gradient reaches the largest weight and the largest inverse width only.

    Raises:
        ValueError: the network has no frequencies known from its parameters (a SIREN).
    """
    if not isinstance(network, MultiplicativeNetwork):
        raise ValueError(
            f"{type(network).__name__} has no frequency known from its parameters; "
            "use a MAGNet, Gabor or Fourier network"
        )
    return torch.stack([_filter_frequency(filter_) for filter_ in network.filters if isinstance(filter_, SineFilter)])


def mask_frequency(mask: GaussianMask) -> Tensor:
    """Bandwidth of a Gaussian mask, in cycles per unit: 2 / (2 pi min_d |sigma_d|)."""
    return BANDWIDTH_DEVIATIONS / (2 * math.pi * mask.sigma.abs().min())


def _filter_frequency(filter_: SineFilter) -> Tensor:
    frequency = filter_.weight.abs().max() / (2 * math.pi)
    if isinstance(filter_, GaborFilter):
        frequency = frequency + BANDWIDTH_DEVIATIONS * filter_.inverse_width.abs().max() / (2 * math.pi)
    return frequency
