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
MASKED_CENTER_RANGE = 1.667 * MASK_SIGMA
"""Under a mask, windows start inside it (official FlexConv code)."""


@dataclass(frozen=True, kw_only=True)
class LayerKind:
    """One way to convolve: a continuous kernel, with or without a mask, an ordinary kernel of some width, or `image`.

    Attributes:
        network: of a continuous kernel.
        masked: whether it has a Gaussian mask.
        taps: width of an ordinary kernel.
        image: makes the layer for images from (in_channels, out_channels); alone, the kind is for images only.
    """

    network: Callable[..., KernelNetwork] | None = None
    masked: bool = False
    taps: int = 0
    image: LayerFactory | None = None

    @property
    def images_only(self) -> bool:
        """Whether sequences cannot pass."""
        return self.network is None and not self.taps

    def factory(self, dims: int, reference_size: int) -> LayerFactory:
        """Function (in_channels, out_channels) -> layer."""
        if self.image is not None and dims == 2:
            return self.image
        if self.network is None:
            conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
            return partial(conv, kernel_size=self.taps, padding=self.taps // 2)
        return partial(self._continuous, dims, reference_size)

    def _continuous(self, dims: int, reference_size: int, in_channels: int, out_channels: int) -> ContinuousConv:
        assert self.network is not None
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


LAYER_KINDS: dict[str, LayerKind] = {
    "magnet": LayerKind(network=MAGNet, masked=True),
    "gabor": LayerKind(network=GaborNetwork, masked=True),
    "fourier": LayerKind(network=FourierNetwork, masked=True),
    "siren": LayerKind(network=SIREN, masked=True),
    "ckconv-magnet": LayerKind(network=MAGNet),
    "ckconv-gabor": LayerKind(network=GaborNetwork),
    "ckconv-fourier": LayerKind(network=FourierNetwork),
    "ckconv-siren": LayerKind(network=SIREN),
    "conv3": LayerKind(taps=3),
    "conv33": LayerKind(taps=33, image=partial(WideConv2d, taps=33)),
    "njet": LayerKind(image=partial(GaussianDerivativeConv, order=4)),
    "fractional": LayerKind(image=FractionalGaussianConv),
    "dilated": LayerKind(image=GaussianDilatedConv),
    "deformable": LayerKind(image=DeformableConv),
}
