"""Multiplicative filter networks: MAGNet, Gabor and Fourier (Fathony et al. 2021; Romero et al. 2022, section 3.2).

    h_0 = g_0(p),   h_l = g_l(p) * (A_l h_{l-1} + a_l)  for l = 1..L,   psi(p) = W_out h_L + b_out

with one filter g_l per layer. Frequencies are linear in the parameters, so the highest one is known (see spectrum).
"""

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn

from restool.kernels.base import KernelNetwork, default_uniform_


class SineFilter(nn.Module):
    """g(p)_h = sin(sum_d W[h,d] p_d + b[h]).

    Args:
        dims: D, coordinates of a point.
        hidden: H, filter responses at a point.
        weight_scale: factor on PyTorch's default draw of W.
    """

    def __init__(self, dims: int, hidden: int, *, weight_scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, dims))  # radians per unit
        self.bias = nn.Parameter(torch.empty(hidden).uniform_(-math.pi, math.pi))
        default_uniform_(self.weight, dims)
        self.weight.data.mul_(weight_scale)

    def forward(self, coordinates: Tensor) -> Tensor:
        """[P, D] -> [P, H]."""
        return torch.sin(nn.functional.linear(coordinates, self.weight, self.bias))


class GaborFilter(SineFilter):
    """g(p)_h = exp(-1/2 sum_d (inverse_width[h,d] (p_d - center[h,d]))^2) sin(W p + b)_h.

    Args:
        dims: D, coordinates of a point.
        hidden: H, filter responses at a point.
        weight_scale: factor on PyTorch's default draw of W, on top of `inverse_width`.
        center_range: centers are drawn from U(-center_range, center_range).
        concentration: of the Gamma(concentration, rate 1) that inverse widths are drawn from.
        isotropic: one inverse width per response (a GaborNet) instead of one per axis (a MAGNet).
    """

    def __init__(
        self,
        dims: int,
        hidden: int,
        *,
        weight_scale: float,
        center_range: float,
        concentration: float,
        isotropic: bool,
    ) -> None:
        super().__init__(dims, hidden, weight_scale=weight_scale)
        self.center = nn.Parameter(center_range * (2 * torch.rand(hidden, dims) - 1))
        gamma = torch.distributions.Gamma(concentration, 1.0)
        self.inverse_width = nn.Parameter(gamma.sample((hidden, 1 if isotropic else dims)))
        self.weight.data.mul_(self.inverse_width.data)

    def forward(self, coordinates: Tensor) -> Tensor:
        """[P, D] -> [P, H]."""
        # responses last: loops over two axes would be too short
        center, inverse_width = self.center.mT.contiguous(), self.inverse_width.mT.contiguous()
        deviations = inverse_width * (coordinates[:, :, None] - center)  # [P, D, H]
        return torch.exp(-0.5 * deviations.square().sum(1)) * super().forward(coordinates)


class MultiplicativeNetwork(KernelNetwork):
    """The recursion shared by the three networks; `filters` has one more entry than `linears`."""

    def __init__(self, dims: int, outputs: int, hidden: int, filters: Sequence[SineFilter]) -> None:
        super().__init__(dims, outputs, hidden)
        self.filters = nn.ModuleList(filters)
        # PyTorch's default draw of these weights, U(+-1/sqrt(hidden)), is the one of the paper
        self.linears = nn.ModuleList(nn.Linear(hidden, hidden) for _ in filters[1:])

    def hidden_functions(self, coordinates: Tensor) -> Tensor:
        """h_L: [P, D] -> [P, H]."""
        values = self.filters[0](coordinates)
        for linear, filter_ in zip(self.linears, self.filters[1:], strict=True):
            values = filter_(coordinates) * linear(values)
        return values

    def structure(self) -> Hashable:
        """Class and kinds of the filters."""
        return type(self), *(type(filter_) for filter_ in self.filters)


class GaborNetwork(MultiplicativeNetwork):
    """Multiplicative network of isotropic Gabor filters (Fathony et al. 2021).

    Inverse widths are drawn from Gamma(6 / (L + 1), 1).

    Args:
        dims: D, 1 or 2.
        outputs: values at a point.
        hidden: H.
        layers: L, hidden linear layers; there are L + 1 filters.
        input_scale: initial frequencies are multiplied by input_scale / sqrt(L + 1).
        center_range: initial window centers lie in U(-center_range, center_range).
    """

    isotropic = True

    def __init__(
        self,
        dims: int,
        outputs: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        input_scale: float = 25.6,
        center_range: float = 1.0,
    ) -> None:
        filters = [
            GaborFilter(
                dims,
                hidden,
                weight_scale=input_scale / math.sqrt(layers + 1),
                center_range=center_range,
                concentration=self.concentration(index, layers),
                isotropic=self.isotropic,
            )
            for index in range(layers + 1)
        ]
        super().__init__(dims, outputs, hidden, filters)

    @staticmethod
    def concentration(index: int, layers: int) -> float:
        """Of the inverse widths of a filter, counted from 0, where the network has `layers` hidden layers."""
        return 6 / (layers + 1)


class MAGNet(GaborNetwork):
    """Multiplicative network of anisotropic Gabor filters (Romero et al. 2022, equations 5-8).

    Inverse widths of filter l are drawn from Gamma(6 / (l + 1), 1): wide windows late, narrow ones early. Arguments as
    in GaborNetwork.
    """

    isotropic = False

    @staticmethod
    def concentration(index: int, layers: int) -> float:
        """Of the inverse widths of a filter, which falls with its number."""
        return 6 / (index + 1)


class FourierNetwork(MultiplicativeNetwork):
    """Multiplicative network of sines (Fathony et al. 2021); arguments as in GaborNetwork, without windows."""

    def __init__(
        self, dims: int, outputs: int, *, hidden: int = 32, layers: int = 3, input_scale: float = 256.0
    ) -> None:
        filters = [
            SineFilter(dims, hidden, weight_scale=input_scale / math.sqrt(layers + 1)) for _ in range(layers + 1)
        ]
        super().__init__(dims, outputs, hidden, filters)
