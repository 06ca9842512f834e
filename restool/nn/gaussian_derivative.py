"""N-Jet layers: filters that are learned combinations of Gaussian derivatives at a learned scale.

Sources: Pintea et al. 2021, arXiv 2106.03412 (one scale a layer); Tomen et al. 2021, "Deep Continuous Networks" (one
per pair of channels).
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

from restool.correlation import FactoredKernel
from restool.nn.scaled import ScaledConv, offsets, scaled_reach


def gaussian_derivatives(positions: Tensor, sigma: Tensor, order: int) -> Tensor:
    """Derivatives of a Gaussian up to an order, normalised for scale.

        G_n(x) = sigma^n d^n g / dx^n = (-1)^n He_n(x / sigma) g(x),   g(x) = exp(-x^2 / (2 sigma^2)) / Z

    with He the probabilists' Hermite polynomials and Z such that g sums to 1 over the positions. The factor sigma^n
    makes the response to an image that is enlarged with sigma the enlarged response (Lindeberg 1998).

    Args:
        positions: [K] pixel offsets, or any shape that broadcasts to [..., K].
        sigma: [...] pixels.
        order: highest n, N.

    Returns:
        [N + 1, ..., K].
    """
    u = positions / sigma[..., None]
    weight = torch.exp(-u.square() / 2)
    derivatives = [weight / weight.sum(-1, keepdim=True)]
    for n in range(order):
        previous = n * derivatives[n - 1] if n else 0.0
        derivatives.append(-u * derivatives[n] - previous)
    return torch.stack(derivatives)


@lru_cache
def jet(order: int) -> tuple[list[int], list[int]]:
    """Orders along y and along x of the (N + 1)(N + 2) / 2 derivatives whose total order is at most N."""
    pairs = [(i, total - i) for total in range(order + 1) for i in range(total + 1)]
    return [y for y, _ in pairs], [x for _, x in pairs]


class GaussianDerivativeConv(ScaledConv):
    """N-Jet convolution with one learned scale.

        K_oi(y, x) = sum_f weight_oif G_p(f)(y) G_q(f)(x),   p + q <= order,   sigma = 2^s scale

    In training the kernel reaches R = ceil(extent sigma + 1/2) pixels, elsewhere as far (`scaled_reach`): the official
    rule, applied to the wider sigma, would round R to other deviations, which changes a response of order 4 by a tenth
    to a third. R follows sigma without gradient. No gain is needed, because g sums to 1 and derivatives are normalised.

    Args:
        in_channels: I.
        out_channels: O.
        order: N, highest derivative.
        extent: standard deviations from the middle to the edge of the kernel.
        stride: see `ScaledConv`.
    """

    along: Tensor  # orders of the derivatives along y and along x, see `jet`: [2, F]

    def __init__(
        self, in_channels: int, out_channels: int, *, order: int = 2, extent: float = 2.0, stride: int = 1
    ) -> None:
        super().__init__(stride=stride)
        self.order, self.extent = order, extent
        self.register_buffer("along", torch.tensor(jet(order)), persistent=False)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, self.along.shape[1]))
        self.log2_sigma = nn.Parameter(torch.zeros(()))

    def discrete_kernel(self) -> FactoredKernel:
        """The filters as combinations of the basis."""
        sigma = torch.exp2(self.log2_sigma)
        reach = scaled_reach(self.extent * sigma.item() + 0.5, self.scale.item())
        factors = gaussian_derivatives(offsets(reach, sigma), sigma * self.scale, self.order)  # [N + 1, K]
        along_y, along_x = factors[self.along]  # [F, K] each
        return FactoredKernel(self.weight, along_y[:, :, None] * along_x[:, None, :])

    def extra_repr(self) -> str:
        """Channels and the choices of the constructor, for `print(model)`."""
        outputs, inputs, _ = self.weight.shape
        return f"{inputs}, {outputs}, order={self.order}, extent={self.extent}, stride={self.stride}"


class PairwiseGaussianDerivativeConv(ScaledConv):
    """N-Jet convolution with a learned scale for every pair of channels, on a grid of fixed reach.

        K_oi(y, x) = sum_f weight_oif G_p(f)(y; sigma_oi) G_q(f)(x; sigma_oi),   p + q <= order,   sigma = 2^s scale

    Args:
        in_channels: I.
        out_channels: O.
        order: N, highest derivative.
        reach: training pixels from the middle to the edge of the kernel.
    """

    along: Tensor  # likewise

    def __init__(self, in_channels: int, out_channels: int, *, order: int = 2, reach: int = 3) -> None:
        super().__init__()
        self.order, self.reach = order, reach
        self.register_buffer("along", torch.tensor(jet(order)), persistent=False)
        self.weight = nn.Parameter(0.1 * torch.randn(out_channels, in_channels, self.along.shape[1]))
        self.log2_sigma = nn.Parameter(2 / 3 * torch.randn(out_channels, in_channels))

    def discrete_kernel(self) -> Tensor:
        """The taps, [O, I, K, K]."""
        sigma = torch.exp2(self.log2_sigma) * self.scale
        positions = offsets(scaled_reach(self.reach, self.scale.item()), sigma)
        factors = gaussian_derivatives(positions, sigma, self.order).movedim(0, -1)  # [O, I, K, N + 1]
        mix = self.weight.new_zeros(*self.weight.shape[:2], self.order + 1, self.order + 1)
        mix[:, :, *self.along] = self.weight
        return factors @ mix @ factors.mT

    def extra_repr(self) -> str:
        """Channels and the choices of the constructor, for `print(model)`."""
        outputs, inputs, _ = self.weight.shape
        return f"{inputs}, {outputs}, order={self.order}, reach={self.reach}"
