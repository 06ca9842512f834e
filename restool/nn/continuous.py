"""Convolution with a continuous kernel: CKConv without a mask, FlexConv with one (Romero et al. 2022a, 2022b)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import get_args

import torch
from torch import Tensor, nn

from restool.kernels.base import KernelNetwork
from restool.kernels.coordinates import lag_coordinates, offset_coordinates
from restool.kernels.mask import GaussianMask
from restool.nn.correlate import Method, correlate
from restool.nn.factored import FactoredKernel
from restool.nn.together import sample_together


class ContinuousConv(nn.Module):
    """Cross-correlation with psi(p) w(p), sampled on the grid of the input at every call.

        y = x * K + b,   K[o, i, j] = g psi_{o,i}(p_j) w(p_j),   g = prod over the axes of reference_size / n

    In 2D the kernel covers every pixel offset (`same`); in 1D it is causal. The gain g is the area of a pixel over that
    of a training pixel, so that the sum over taps approximates the same integral at every resolution. Nothing about the
    current resolution is stored; zero-shot transfer is to call the layer on a larger input.

    Args:
        in_channels: I.
        out_channels: O.
        kernel: network with dims 1 or 2 and O * I outputs, output channel major.
        mask: Gaussian mask of the same dims, or None for none.
        reference_size: pixels along an axis (or steps) in training.
        method: see `correlate`.

    Raises:
        ValueError: kernel outputs, mask axes or reference size do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: KernelNetwork,
        mask: GaussianMask | None = None,
        reference_size: int = 16,
        method: Method = "auto",
    ) -> None:
        super().__init__()
        if kernel.outputs != out_channels * in_channels:
            raise ValueError(
                f"kernel must have out_channels * in_channels = {out_channels} * {in_channels} outputs, "
                f"but has {kernel.outputs}"
            )
        if kernel.dims not in (1, 2):
            raise ValueError(f"kernel must have 1 or 2 dims, but has {kernel.dims}")
        if mask is not None and len(mask.mean) != kernel.dims:
            raise ValueError(f"mask must have the kernel's {kernel.dims} axes, but has {len(mask.mean)}")
        if reference_size < 2:
            raise ValueError(f"reference_size must be at least 2, but is {reference_size}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel, self.mask = kernel, mask
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.reference_size = reference_size
        self.method = method

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, *size] -> [B, O, *size]."""
        kernel = self.factored(signal.shape[2:])
        return correlate(signal, kernel, self.bias, causal=self.causal, method=self.method)

    @property
    def causal(self) -> bool:
        """Whether outputs see earlier positions only: in 1D."""
        return self.kernel.dims == 1

    def sample(self, size: Sequence[int]) -> Tensor:
        """The discrete kernel for an input of a size, cropped to the support of the mask, gain included.

        Args:
            size: (n,), or (height, width).

        Returns:
            [O, I, *K], ready for `correlate`.
        """
        with torch.autocast(self.bias.device.type, enabled=False):
            return self.factored(size).dense()

    def factored(self, size: Sequence[int]) -> FactoredKernel:
        """The same kernel as combinations of the network's masked hidden functions, gain included."""
        together = _together.get()
        kernel = None if together is None else together.kernel(self, size)
        return sample_together([self], size)[0] if kernel is None else kernel

    def coefficients(self) -> Tensor:
        """What every channel pair takes of the network's basis: [O, I, H]."""
        return self.kernel.coefficients().view(self.out_channels, self.in_channels, -1)

    def axes(self, size: Sequence[int]) -> list[Tensor]:
        """Coordinates along every axis of all taps for an input of a size, those that the mask cuts too."""
        if len(size) != self.kernel.dims:
            raise ValueError(f"input must have {self.kernel.dims} axes after batch and channel, but has {len(size)}")
        dtype, device = self.bias.dtype, self.bias.device
        if self.causal:
            return [lag_coordinates(size[0], self.reference_size, dtype=dtype, device=device)]
        return [offset_coordinates(n, dtype=dtype, device=device) for n in size]

    def extra_repr(self) -> str:
        """Channels and reference size, for `print(model)`."""
        return f"{self.in_channels}, {self.out_channels}, reference_size={self.reference_size}"


def use_method(model: nn.Module, method: Method) -> None:
    """Set how all continuous layers of a model convolve; see `correlate`.

    Raises:
        ValueError: there is no such method.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, but is {method!r}")
    for module in model.modules():
        if isinstance(module, ContinuousConv):
            module.method = method


@contextmanager
def sampled_together(model: nn.Module, size: Sequence[int]) -> Iterator[None]:
    """Inside, all continuous layers of a model that ask for their kernel at a size are sampled in one pass.

    It happens when the first of them asks, so a model without such layers pays nothing; the others then take theirs.
    Parameters must stay as they are until the end of the block. A layer of another model, one that meets another size,
    or one inside another gradient mode is sampled alone.

    Args:
        model: whose layers share inputs of one size.
        size: of these inputs, (n,) or (height, width).
    """
    token = _together.set(_Together(model, size))
    try:
        yield
    finally:
        _together.reset(token)


class _Together:
    """The continuous layers of a model and, once one was asked for, the kernels of all."""

    def __init__(self, model: nn.Module, size: Sequence[int]) -> None:
        self.model, self.size, self.gradient = model, tuple(size), torch.is_grad_enabled()
        self.kernels: dict[ContinuousConv, FactoredKernel] = {}

    def kernel(self, layer: ContinuousConv, size: Sequence[int]) -> FactoredKernel | None:
        """The layer's kernel, or None where it is to be sampled alone."""
        if tuple(size) != self.size or torch.is_grad_enabled() != self.gradient:
            return None
        if not self.kernels:
            layers = list(_continuous_layers(self.model))
            self.kernels = dict(zip(layers, sample_together(layers, size), strict=True))
        return self.kernels.get(layer)


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


def _continuous_layers(module: nn.Module) -> Iterator[ContinuousConv]:
    """Without a look into the layers, which have many modules inside."""
    if isinstance(module, ContinuousConv):
        yield module
    else:
        for child in module.children():
            yield from _continuous_layers(child)
