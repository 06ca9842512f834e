"""How one layer meets a new resolution: which discrete kernel it convolves with there."""

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from restool.nn import ContinuousConv, Rescalable, correlate, resample_kernel
from restool.nn.interpolate import Filter

M = TypeVar("M", bound=nn.Module)
Sampler = Callable[[ContinuousConv, tuple[int, ...], float], Tensor]
"""(layer, size of its input, target pixels per source pixel) -> discrete kernel [O, I, *K]."""


class SampledConv(nn.Module):
    """A continuous layer for evaluation: its kernel is sampled once for every input size and kept.

    It holds a copy of the layer, so later training of the original cannot make the kept kernels stale.
    """

    def __init__(self, layer: ContinuousConv, sampler: Sampler, scale: float) -> None:
        super().__init__()
        self.layer, self.sampler, self.scale = copy.deepcopy(layer), sampler, scale
        self.kernels: dict[tuple[int, ...], Tensor] = {}

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size], without gradient."""
        size = tuple(signal.shape[2:])
        with torch.no_grad():
            if size not in self.kernels:
                self.kernels[size] = self.sampler(self.layer, size, self.scale)
            layer = self.layer
            return correlate(signal, self.kernels[size], layer.bias, causal=layer.causal, method=layer.method)


def requery(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> Tensor:
    """The continuous kernel sampled on the target grid, scaled by pixel area."""
    return layer.sample(size)


def bandlimit(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> Tensor:
    """The kernel sampled on the source grid and interpolated to the target grid by Lanczos-3, scaled by pixel area."""
    return resample_kernel(layer.sample(_source_size(size, scale)), scale, "lanczos3")


def as_is(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> Tensor:
    """The taps of the source grid, unchanged."""
    return layer.sample(_source_size(size, scale))


def sample_layers(model: nn.Module, sampler: Sampler, scale: float) -> nn.Module:
    """A copy of a model whose continuous layers convolve with the kernels that a sampler gives."""
    return _replace(model, ContinuousConv, lambda layer: SampledConv(layer, sampler, scale))


def resample_convolutions(model: nn.Module, scale: float, filter_: Filter) -> nn.Module:
    """A copy of a model whose ordinary 2D kernels wider than a pixel are interpolated to the target grid."""
    return _replace(model, nn.Conv2d, lambda layer: _resampled(layer, scale, filter_) if is_spatial(layer) else layer)


def is_spatial(layer: nn.Module) -> bool:
    """Whether a layer is an ordinary convolution that can be interpolated: odd, wider than a pixel, centred."""
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer).forward is nn.Conv2d.forward  # others change the weights before they use them
        and max(layer.kernel_size) > 1
        and all(k % 2 == 1 for k in layer.kernel_size)
        and tuple(layer.padding) == tuple(k // 2 for k in layer.kernel_size)
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def _resampled(layer: nn.Conv2d, scale: float, filter_: Filter) -> nn.Conv2d:
    kernel = resample_kernel(layer.weight.detach(), scale, filter_)
    taps = (kernel.shape[2], kernel.shape[3])
    replacement = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        taps,
        stride=(layer.stride[0], layer.stride[1]),
        padding=(taps[0] // 2, taps[1] // 2),
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    replacement.weight = nn.Parameter(kernel, requires_grad=False)
    replacement.bias = layer.bias
    return replacement


def _source_size(size: Sequence[int], scale: float) -> tuple[int, ...]:
    return tuple(max(round(n / scale), 1) for n in size)


def _replace(model: nn.Module, kind: type[M], replacement: Callable[[M], nn.Module]) -> nn.Module:
    """A copy of a model in evaluation mode with every module of a kind replaced, the model itself included."""
    if isinstance(model, kind):
        return replacement(copy.deepcopy(model)).eval()
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children skips a layer's second place
            if isinstance(child, kind):
                setattr(parent, name, replacement(child))
    return model.eval()


def rescale_layers(model: nn.Module, scale: float) -> nn.Module:
    """A copy of a model whose rescalable layers are made for the target grid; one layer in two places stays one."""
    moved: dict[nn.Module, nn.Module] = {}

    def move(layer: nn.Module) -> nn.Module:
        assert isinstance(layer, Rescalable)
        if layer not in moved:
            moved[layer] = layer.at_scale(scale)
        return moved[layer]

    return _replace(model, cast(type[nn.Module], Rescalable), move)
