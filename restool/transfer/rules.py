"""Rules: what takes the place of a layer where an object covers more or fewer pixels than in training."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from restool.correlation import FactoredKernel
from restool.nn import ContinuousConv, Rescalable, WideConv2d, resample_causal, resample_kernel
from restool.nn.interpolate import Filter
from restool.transfer.cache import KernelCache
from restool.transfer.sampled import SampledConv, Sampler


@dataclass(frozen=True)
class Move:
    """From the training resolution to a target.

    Attributes:
        scale: target pixels per source pixel.
        kernels: where layers that convolve with the same kernel for every image keep it.
    """

    scale: float
    kernels: KernelCache


Rule = Callable[[nn.Module, Move], nn.Module]
"""(layer, move) -> the layer to use at the target; the layer itself where it stays as it is."""


@dataclass(frozen=True)
class Kind:
    """Layers that a rule is for.

    Attributes:
        name: in words.
        holds: whether a layer is one.
    """

    name: str
    holds: Callable[[nn.Module], bool]


def is_spatial(layer: nn.Module) -> bool:
    """Whether a layer is an ordinary convolution that can be interpolated: odd, wider than a pixel, centred."""
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer).forward in (nn.Conv2d.forward, WideConv2d.forward)  # others change the weights before use
        and not layer._forward_pre_hooks  # which may do so too, as `torch.nn.utils.spectral_norm` does
        and max(layer.kernel_size) > 1
        and all(k % 2 == 1 for k in layer.kernel_size)
        and tuple(layer.padding) == tuple(k // 2 for k in layer.kernel_size)
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


EVERY = Kind("every model", lambda layer: True)
CONTINUOUS = Kind("continuous kernels", lambda layer: isinstance(layer, ContinuousConv))
SPATIAL = Kind("ordinary kernels wider than a pixel", is_spatial)
RESCALABLE = Kind("layers with a rule of their own", lambda layer: isinstance(layer, Rescalable))
BATCH_NORM = Kind("batch norms", lambda layer: isinstance(layer, nn.modules.batchnorm._BatchNorm))
# timm's attribute of models that do so in `forward`; those of `restool.models.positions` have it as well
POSITIONS = Kind("resampled position embeddings", lambda layer: bool(getattr(layer, "dynamic_img_size", False)))


def keep(layer: nn.Module, move: Move) -> nn.Module:
    """The layer as it is."""
    return layer


def at_scale(layer: nn.Module, move: Move) -> nn.Module:
    """The layer that a `Rescalable` says."""
    assert isinstance(layer, Rescalable)
    return layer.at_scale(move.scale)


def sampled_by(sampler: Sampler) -> Rule:
    """The rule that a continuous layer convolves with the kernel that a sampler gives."""

    def rule(layer: nn.Module, move: Move) -> nn.Module:
        assert isinstance(layer, ContinuousConv)
        return SampledConv(layer, sampler, move.scale, move.kernels)

    return rule


def interpolated_by(filter_: Filter) -> Rule:
    """The rule that an ordinary kernel is interpolated to the target grid."""

    def rule(layer: nn.Module, move: Move) -> nn.Module:
        assert isinstance(layer, nn.Conv2d)
        kernel = resample_kernel(layer.weight.detach(), move.scale, filter_)
        taps = (kernel.shape[2], kernel.shape[3])
        if parametrize.is_parametrized(layer):  # a copy would share the class that computes its weights
            replacement = _plain(layer)
        else:
            replacement = copy.deepcopy(layer)  # of its own class, which may choose how to convolve
        replacement.weight = nn.Parameter(kernel, requires_grad=False)
        replacement.kernel_size, replacement.padding = taps, (taps[0] // 2, taps[1] // 2)
        return replacement

    return rule


def _plain(layer: nn.Conv2d) -> nn.Conv2d:
    """A convolution with the bias of another and weights to come."""
    shape: dict[str, Any] = {"stride": layer.stride, "groups": layer.groups, "bias": layer.bias is not None}
    plain = nn.Conv2d(layer.in_channels, layer.out_channels, 1, **shape).to(layer.weight.device)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return plain


def requery(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The continuous kernel sampled on the target grid, scaled by pixel area."""
    return layer.factored(size)


def bandlimit(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The kernel sampled on the source grid and interpolated to the target grid by Lanczos-3, scaled by pixel area."""
    kernel = layer.factored(source_size(size, scale))
    if layer.causal:
        return FactoredKernel(kernel.coefficients, resample_causal(kernel.basis, scale, "lanczos3"))
    return FactoredKernel(kernel.coefficients, resample_kernel(kernel.basis[None], scale, "lanczos3")[0])


def as_is(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The taps of the source grid, unchanged."""
    return layer.factored(source_size(size, scale))


def source_size(size: Sequence[int], scale: float) -> tuple[int, ...]:
    return tuple(max(round(n / scale), 1) for n in size)
