"""Layers by short name: what a shell such as FlexNet puts where a convolution goes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, GaussianMask, KernelNetwork, MAGNet
from restool.nn import (
    ContinuousConv,
    DeformableConv,
    FractionalGaussianConv,
    GaussianDerivativeConv,
    GaussianDilatedConv,
    WideConv2d,
)

LayerFactory = Callable[[int, int], nn.Module]

MASK_SIGMA = 0.075
"""Every mask starts with this standard deviation, in units (official FlexConv code)."""
MASKED_CENTER_RANGE = 1.667 * MASK_SIGMA
"""Under a mask, the windows of a kernel start inside it (official FlexConv code)."""
WIDEST_PLAIN = 9
"""An ordinary kernel with more taps an axis is convolved by the cheapest method instead of PyTorch's."""


@dataclass(frozen=True, kw_only=True)
class ContinuousKind:
    """A layer with a continuous kernel, for images and for sequences.

    Attributes:
        network: of the kernel.
        masked: whether it has a Gaussian mask.
    """

    network: Callable[..., KernelNetwork]
    masked: bool = False

    takes_sequences = True

    def factory(self, dims: int, reference_size: int) -> LayerFactory:
        """Function (in_channels, out_channels) -> layer."""
        return partial(self._make, dims, reference_size)

    def _make(self, dims: int, reference_size: int, in_channels: int, out_channels: int) -> ContinuousConv:
        windowed = self.network in (MAGNet, GaborNetwork)
        options = {"center_range": MASKED_CENTER_RANGE} if windowed and self.masked else {}
        # a causal kernel starts out seeing the current step
        mask = GaussianMask(dims, mean=float(dims == 1), sigma=MASK_SIGMA) if self.masked else None
        return ContinuousConv(
            in_channels,
            out_channels,
            kernel=self.network(dims, in_channels * out_channels, **options),
            mask=mask,
            reference_size=reference_size,
        )


@dataclass(frozen=True, kw_only=True)
class OrdinaryKind:
    """A convolution with a kernel of taps, for images and for sequences.

    Attributes:
        taps: width of the kernel.
    """

    taps: int

    takes_sequences = True

    def factory(self, dims: int, reference_size: int) -> LayerFactory:
        """Function (in_channels, out_channels) -> layer."""
        if dims == 2 and self.taps > WIDEST_PLAIN:
            return partial(WideConv2d, taps=self.taps)
        return partial((nn.Conv1d, nn.Conv2d)[dims - 1], kernel_size=self.taps, padding=self.taps // 2)


@dataclass(frozen=True, kw_only=True)
class ImageKind:
    """A layer for images alone.

    Attributes:
        make: (in_channels, out_channels) -> layer.
    """

    make: LayerFactory

    takes_sequences = False

    def factory(self, dims: int, reference_size: int) -> LayerFactory:
        """Function (in_channels, out_channels) -> layer."""
        return self.make


LayerKind = ContinuousKind | OrdinaryKind | ImageKind

LAYER_KINDS: dict[str, LayerKind] = {
    "magnet": ContinuousKind(network=MAGNet, masked=True),
    "gabor": ContinuousKind(network=GaborNetwork, masked=True),
    "fourier": ContinuousKind(network=FourierNetwork, masked=True),
    "siren": ContinuousKind(network=SIREN, masked=True),
    "ckconv-magnet": ContinuousKind(network=MAGNet),
    "ckconv-gabor": ContinuousKind(network=GaborNetwork),
    "ckconv-fourier": ContinuousKind(network=FourierNetwork),
    "ckconv-siren": ContinuousKind(network=SIREN),
    "conv3": OrdinaryKind(taps=3),
    "conv33": OrdinaryKind(taps=33),
    "njet": ImageKind(make=partial(GaussianDerivativeConv, order=4)),
    "fractional": ImageKind(make=FractionalGaussianConv),
    "dilated": ImageKind(make=GaussianDilatedConv),
    "deformable": ImageKind(make=DeformableConv),
}
