"""Learned Gaussian dilation: a small free filter composed with a Gaussian (Shelhamer et al. 2019, arXiv 1904.11487)."""

import math

import torch
from torch import nn

from restool.correlation import FactoredKernel
from restool.nn.scaled import ScaledConv, offsets, scaled_reach


class GaussianDilatedConv(ScaledConv):
    """Convolution with a free filter whose taps are Gaussians of one learned width.

        y = (x * g) * f = x * K,   K_oi(p) = sum_n f_oi[n] g(p - scale n),   sigma = 2^s scale

    In training g reaches ceil(2 sigma) pixels, elsewhere as far (`scaled_reach`). It sums to 1 around every tap, so no
    gain is needed where the taps move apart as it widens. One round Gaussian serves all channels.

    Args:
        in_channels: I.
        out_channels: O.
        taps: of f along an axis, odd. f and b start as those of `nn.Conv2d`, sigma at half a pixel.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int = 3) -> None:
        super().__init__()
        free = nn.Conv2d(in_channels, out_channels, taps)
        self.weight, self.bias = free.weight, free.bias
        self.log2_sigma = nn.Parameter(torch.tensor(-1.0))

    def discrete_kernel(self) -> FactoredKernel:
        """The filter as a combination of shifted Gaussians."""
        taps = self.weight.shape[-1]
        sigma, scale = torch.exp2(self.log2_sigma), self.scale.item()
        reach = scaled_reach(2 * sigma.item(), scale)
        positions = offsets(reach + math.ceil(taps // 2 * scale), sigma)
        distance = positions - scale * offsets(taps // 2, sigma)[:, None]  # [taps, K]
        logits = -(distance / (sigma * self.scale)).square() / 2
        # a softmax, because a narrow Gaussian between two pixels underflows at both
        bumps = logits.masked_fill(distance.abs() > reach, -torch.inf).softmax(-1)
        basis = bumps[:, None, :, None] * bumps[None, :, None, :]  # [taps, taps, K, K]
        return FactoredKernel(self.weight.flatten(2), basis.flatten(0, 1))

    def extra_repr(self) -> str:
        """Channels and taps, for `print(model)`."""
        outputs, inputs, taps, _ = self.weight.shape
        return f"{inputs}, {outputs}, taps={taps}"
