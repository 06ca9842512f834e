"""How one layer meets a new resolution: which discrete kernel it convolves with there."""

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from restool.nn import ContinuousConv, FactoredKernel, Rescalable, WideConv2d, resample_kernel
from restool.nn.correlate import prepare
from restool.nn.interpolate import Filter
from restool.transfer.cache import CACHE, KernelKey, weights_digest

M = TypeVar("M", bound=nn.Module)
Sampler = Callable[[ContinuousConv, tuple[int, ...], float], FactoredKernel]
"""(layer, size of its input, target pixels per source pixel) -> discrete kernel [O, I, *K]."""


class SampledConv(nn.Module):
    """A continuous layer for evaluation: its kernel is made once for every input size, see `restool.transfer.cache`.

    It holds a copy of the layer, so later training of the original does not change it.
    """

    def __init__(self, layer: ContinuousConv, sampler: Sampler, scale: float) -> None:
        super().__init__()
        self.layer, self.sampler, self.scale = copy.deepcopy(layer), sampler, scale
        self._digest: tuple[Hashable, str] | None = None

    @torch.no_grad()
    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size], without gradient."""
        size, layer = tuple(signal.shape[2:]), self.layer
        making = (self.sampler, self.scale, signal.dtype, signal.device)
        kernel = CACHE.get(
            KernelKey(self._weights(), size, making),
            lambda: prepare(self.factored(size), signal, causal=layer.causal, method=layer.method),
        )
        return kernel.correlate(signal, layer.bias)

    def factored(self, size: tuple[int, ...]) -> FactoredKernel:
        """The discrete kernel for an input of a size."""
        return self.sampler(self.layer, size, self.scale)

    def _weights(self) -> str:
        """Digest of the layer, computed anew when a tensor of it was written to or exchanged."""
        state = tuple((tensor.data_ptr(), tensor._version) for tensor in self.layer.state_dict().values())
        if self._digest is None or self._digest[0] != state:
            self._digest = state, weights_digest(self.layer)
        return self._digest[1]


def requery(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The continuous kernel sampled on the target grid, scaled by pixel area."""
    return layer.factored(size)


def bandlimit(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The kernel sampled on the source grid and interpolated to the target grid by Lanczos-3, scaled by pixel area."""
    kernel = layer.factored(_source_size(size, scale))
    return FactoredKernel(kernel.coefficients, resample_kernel(kernel.basis[None], scale, "lanczos3")[0])


def as_is(layer: ContinuousConv, size: tuple[int, ...], scale: float) -> FactoredKernel:
    """The taps of the source grid, unchanged."""
    return layer.factored(_source_size(size, scale))


def sample_layers(model: nn.Module, sampler: Sampler, scale: float) -> nn.Module:
    """A copy of a model whose continuous layers convolve with the kernels that a sampler gives."""
    for module in model.modules():
        if isinstance(module, ContinuousConv):
            CACHE.adopt(module)
    return _replace(model, ContinuousConv, lambda layer: SampledConv(layer, sampler, scale))


def resample_convolutions(model: nn.Module, scale: float, filter_: Filter) -> nn.Module:
    """A copy of a model whose ordinary 2D kernels wider than a pixel are interpolated to the target grid."""
    return _replace(model, nn.Conv2d, lambda layer: _resampled(layer, scale, filter_) if is_spatial(layer) else layer)


def is_spatial(layer: nn.Module) -> bool:
    """Whether a layer is an ordinary convolution that can be interpolated: odd, wider than a pixel, centred."""
    return (
        isinstance(layer, nn.Conv2d)
        and type(layer).forward in (nn.Conv2d.forward, WideConv2d.forward)  # others change the weights before use
        and max(layer.kernel_size) > 1
        and all(k % 2 == 1 for k in layer.kernel_size)
        and tuple(layer.padding) == tuple(k // 2 for k in layer.kernel_size)
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def _resampled(layer: nn.Conv2d, scale: float, filter_: Filter) -> nn.Conv2d:
    kernel = resample_kernel(layer.weight.detach(), scale, filter_)
    taps = (kernel.shape[2], kernel.shape[3])
    replacement = copy.deepcopy(layer)  # of its own class, which may choose how to convolve
    replacement.weight = nn.Parameter(kernel, requires_grad=False)
    replacement.kernel_size, replacement.padding = taps, (taps[0] // 2, taps[1] // 2)
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
