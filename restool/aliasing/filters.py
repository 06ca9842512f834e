"""The official penalty: it bounds the frequency of every filter of a kernel network (Romero et al. 2022a, section 3.3).

A filter network is the product of L + 1 filters, so psi stays below Nyquist when every filter stays below its share of
it: f_nyquist / (L + 1). All frequencies are in cycles per unit, Nyquist of n pixels is n / 4.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from restool.aliasing.layers import continuous_layers
from restool.arguments import require_choice
from restool.kernels.coordinates import nyquist_frequency
from restool.kernels.multiplicative import MultiplicativeNetwork
from restool.kernels.spectrum import filter_frequencies, mask_frequency
from restool.modules import named_layers
from restool.nn import ContinuousKernel

FilterTarget = Literal["gabor", "gabor+mask"]


@dataclass(frozen=True, kw_only=True)
class LayerFrequencies:
    """What one layer puts against its limit: `filters` [L + 1] and `limit`, in cycles per unit."""

    layer: str
    filters: Tensor
    limit: float

    @property
    def excess(self) -> Tensor:
        """How far each filter is above the limit, 0 where it is inside: [L + 1]."""
        return torch.relu(self.filters - self.limit)


def filter_excess(model: nn.Module, size: int, target: FilterTarget) -> Tensor:
    """Sum over layers and filters of relu(f - limit)^2: 0 exactly when every filter is inside its limit, a scalar."""
    return torch.stack([layer.excess.square().sum() for layer in report(model, size, target)]).sum()


def report(model: nn.Module, size: int, target: FilterTarget = "gabor") -> list[LayerFrequencies]:
    """Frequencies and limit of every continuous layer, in the model's order; only filters above it get a gradient.

    Args:
        model: with at least one `ContinuousKernel` on a multiplicative network.
        size: pixels of the image side that the kernel is to be sampled at without aliasing.
        target: "gabor" counts the filters' frequencies; "gabor+mask" adds the mask's bandwidth, shared by the filters.

    Raises:
        ValueError: unknown target, no continuous layer, or a layer without known frequencies (SIREN).
    """
    require_choice("target", target, get_args(FilterTarget))
    layers = []
    for name, conv in continuous_layers(model):
        filters = filter_frequencies(conv.kernel)
        if target == "gabor+mask" and conv.mask is not None:
            filters = filters + mask_frequency(conv.mask) / len(filters)
        layers.append(LayerFrequencies(layer=name, filters=filters, limit=nyquist_frequency(size) / len(filters)))
    return layers


def frequency_bounds(model: nn.Module) -> dict[str, float]:
    """The highest frequency that the kernel network of each continuous layer can reach, in cycles per unit, by name.

    A product of filters reaches no further than the sum of their frequencies. Layers without known ones are left out.
    A unit is half of what the input spans: the n steps of a reference are two, n - 1 of which the coordinates of a
    causal kernel make two.
    """
    layers = list(named_layers(model, ContinuousKernel))
    known = [(name, layer) for name, layer in layers if isinstance(layer.kernel, MultiplicativeNetwork)]
    return {name: filter_frequencies(layer.kernel).sum().item() * _per_unit(layer) for name, layer in known}


def _per_unit(layer: ContinuousKernel) -> float:
    """Units of a kernel's coordinates in one of the input."""
    return layer.reference_size / (layer.reference_size - 1) if layer.causal else 1.0
