"""Gaussian derivatives of learned, fractional order (Saldanha 2021, arXiv 2111.06660)."""

import math

import torch
from torch import Tensor, nn

from restool.nn.gaussian_derivative import gaussian_derivatives
from restool.nn.scaled import ScaledConv, offsets, scaled_reach

HIGHEST_ORDER = 8


def fractional_derivatives(positions: Tensor, sigma: Tensor, orders: Tensor) -> Tensor:
    """Gaussian derivatives of real order: linear between those of the neighbouring whole orders.

        G^v = (1 - v + n) G_n + (v - n) G_{n+1},   n = floor(v)

    Args:
        positions: [K] pixel offsets.
        sigma: scalar, pixels.
        orders: v, any shape; cut to 0 .. 8.

    Returns:
        [*orders, K].
    """
    whole = gaussian_derivatives(positions, sigma, HIGHEST_ORDER)  # [9, K]
    orders = orders.clamp(0, HIGHEST_ORDER)
    floor = orders.detach().floor().clamp(max=HIGHEST_ORDER - 1)
    below, above = whole[floor.long()], whole[floor.long() + 1]
    return torch.lerp(below, above, (orders - floor)[..., None])


class FractionalGaussianConv(ScaledConv):
    """Convolution with one Gaussian derivative per pair of channels, whose orders along y and x are learned.

        K_oi(y, x) = weight_oi G^(u_oi)(y) G^(v_oi)(x),   sigma = 2^s scale

    The grid has `taps` training pixels, on which sigma starts as a quarter of their span. Weights start as N(0, 2 / n)
    with n = in_channels taps^2, orders as U(1, 6).

    Args:
        in_channels: I.
        out_channels: O.
        taps: of the kernel along an axis in training, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int = 7) -> None:
        super().__init__()
        self.reach = taps // 2
        deviation = math.sqrt(2 / (in_channels * taps**2))
        self.weight = nn.Parameter(deviation * torch.randn(out_channels, in_channels))
        self.order_y = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(1, 6))
        self.order_x = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(1, 6))
        self.log2_sigma = nn.Parameter(torch.tensor(math.log2((taps - 1) / 4)))

    def discrete_kernel(self) -> Tensor:
        """The taps, [O, I, K, K]."""
        sigma = torch.exp2(self.log2_sigma) * self.scale
        positions = offsets(scaled_reach(self.reach, self.scale.item()), sigma)
        along_y = fractional_derivatives(positions, sigma, self.order_y) * self.weight[..., None]
        along_x = fractional_derivatives(positions, sigma, self.order_x)
        return along_y[..., :, None] * along_x[..., None, :]

    def extra_repr(self) -> str:
        """Channels and taps, for `print(model)`."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, taps={2 * self.reach + 1}"
