"""How much of a sampled kernel aliases: its energy above the Nyquist frequency of a coarser grid.

A kernel whose samples on a fine grid hold no energy above the coarse grid's Nyquist frequency is the same function on
both, so that a model gives the same answers at both. The energy is measured and not bounded, mask and crop included,
and needs no kernel: with K[o, i] = sum_h c[o, i, h] b_h,

    energy of a layer in a band = sum_oi c[o, i]^T G c[o, i] = <C, G>,     G[h, h'] = <b_h, P b_h'>,

where P projects on the band and C = sum_oi c[o, i] c[o, i]^T. C and G are [H, H], whatever the number of channel pairs.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from restool.aliasing.layers import continuous_layers
from restool.correlation import FactoredKernel
from restool.nn import ContinuousKernel, sample_together

FINER = 2
"""Kernels are sampled on a grid so many times as fine as the coarse one. Frequencies up to three times Nyquist count:
what the fine grid folds, from two to three times, it folds to between one and two times."""


@dataclass(frozen=True, kw_only=True)
class LayerEnergy:
    """Energy of a layer's kernels: `above` Nyquist and `whole`, two scalars in the units of the squared kernel."""

    layer: str
    above: Tensor
    whole: Tensor

    @property
    def ratio(self) -> Tensor:
        """The layer's energy above Nyquist over all of its energy: a scalar from 0 to 1."""
        return self.above.clamp(min=0) / self.whole.clamp(min=torch.finfo(self.whole.dtype).tiny)


def energies(model: nn.Module, size: int) -> list[LayerEnergy]:
    """Energy above the Nyquist frequency of `size` pixels (or steps) of every continuous layer, in the model's order.

    The gradient reaches every parameter of kernel network and mask; the ratio does not depend on the kernel's scale.

    Args:
        model: with at least one `ContinuousKernel`, on any kernel network.
        size: of the coarse grid, in training the source resolution.

    Raises:
        ValueError: no continuous layer.
    """
    named = continuous_layers(model)
    kernels: dict[ContinuousKernel, FactoredKernel] = {}
    for dims in (1, 2):
        alike = [layer for _, layer in named if layer.kernel.dims == dims]
        kernels |= zip(alike, sample_together(alike, [FINER * size] * dims), strict=True)
    return [layer_energy(name, kernels[layer], FINER) for name, layer in named]


def layer_energy(name: str, kernel: FactoredKernel, finer: float) -> LayerEnergy:
    """The energy of a sampled kernel above 1 / (2 finer) cycles per tap along any axis.

    Args:
        name: of the layer.
        kernel: on a grid `finer` times as fine as the coarse one.
        finer: taps per pixel of the coarse grid.
    """
    below = kernel.basis
    for axis in range(1, below.dim()):
        project = low_pass(below.shape[axis], finer, below.dtype, below.device)
        below = (below.transpose(axis, -1) @ project).transpose(axis, -1)
    basis, below = kernel.basis.flatten(1), below.flatten(1)
    gram = basis @ basis.T
    coefficients = kernel.coefficients.flatten(0, 1)  # [O I, H]
    pairs = coefficients.T @ coefficients
    whole, above = ((pairs * g).sum() for g in (gram, gram - basis @ below.T))
    return LayerEnergy(layer=name, above=above, whole=whole)


@lru_cache(maxsize=256)
def low_pass(taps: int, finer: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Projection of `taps` samples on frequencies below 1 / (2 finer) cycles per tap: [taps, taps].

    P[j, k] = integral of exp(2 pi i f (j - k)) over |f| < 1 / (2 finer) = sinc((j - k) / finer) / finer,   in float64
    """
    steps = torch.arange(taps, dtype=torch.float64)
    return (torch.sinc((steps[:, None] - steps) / finer) / finer).to(device, dtype)
