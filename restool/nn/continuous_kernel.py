"""A continuous kernel on the grid of its input: network, mask, training resolution and coordinates."""

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from restool.kernels.base import KernelNetwork
from restool.kernels.coordinates import lag_coordinates, offset_coordinates
from restool.kernels.mask import GaussianMask


class ContinuousKernel(nn.Module):
    """psi(p) w(p) for O * I channel pairs, and where it is sampled for an input of a size.

        K[o, i, j] = g psi_{o,i}(p_j) w(p_j),   g = prod over the axes of reference_size / n

    In 2D the kernel covers every pixel offset (`same`); in 1D it is causal. The gain g is the area of a pixel over that
    of a training pixel, so that the sum over taps approximates the same integral at every resolution. Nothing about the
    current resolution is stored. `restool.nn.together` samples it.

    Args:
        in_channels: I.
        out_channels: O.
        kernel: network with dims 1 or 2 and O * I outputs, output channel major.
        mask: Gaussian mask of the same dims, or None for none.
        reference_size: pixels along an axis (or steps) in training.

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
        self.reference_size = reference_size

    @property
    def causal(self) -> bool:
        """Whether outputs see earlier positions only: in 1D."""
        return self.kernel.dims == 1

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return self.kernel.output.bias.device

    def uncropped(self) -> Self:
        """A copy that samples all taps, those that the mask cuts too."""
        whole = copy.deepcopy(self)
        if whole.mask is not None:
            whole.mask.threshold = 0.0
        return whole

    def coefficients(self) -> Tensor:
        """What every channel pair takes of the network's basis: [O, I, H]."""
        return self.kernel.coefficients().view(self.out_channels, self.in_channels, -1)

    def axes(self, size: Sequence[int]) -> list[Tensor]:
        """Coordinates along every axis of all taps for an input of a size, those that the mask cuts too."""
        if len(size) != self.kernel.dims:
            raise ValueError(f"input must have {self.kernel.dims} axes after batch and channel, but has {len(size)}")
        dtype = self.kernel.output.bias.dtype
        if self.causal:
            return [lag_coordinates(size[0], self.reference_size, dtype=dtype, device=self.device)]
        return [offset_coordinates(n, dtype=dtype, device=self.device) for n in size]

    def extra_repr(self) -> str:
        """Channels and reference size, for `print(model)`."""
        return f"{self.in_channels}, {self.out_channels}, reference_size={self.reference_size}"


class MaskedBasis(nn.Module):
    """What a continuous kernel combines: the basis of its network times its mask."""

    def __init__(self, source: ContinuousKernel) -> None:
        super().__init__()
        self.kernel, self.mask = source.kernel, source.mask

    def forward(self, grid: Tensor, gain: float) -> Tensor:
        """[P, D] -> [P, H]."""
        basis = self.kernel.basis(grid)
        return basis * gain if self.mask is None else basis * (gain * self.mask(grid))[:, None]
