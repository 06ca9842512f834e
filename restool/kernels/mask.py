"""Learnable Gaussian mask of a continuous kernel and the support it leaves (Romero et al. 2022, section 3.1)."""

import math

import torch
from torch import Tensor, nn


class GaussianMask(nn.Module):
    """w(p) = prod_d exp(-1/2 ((p_d - mean_d) / sigma_d)^2), shared by all channels of a layer.

    Args:
        dims: D, axes in order (y, x).
        mean: initial mean of every axis, in units.
        sigma: initial standard deviation of every axis, in units; its sign has no meaning.
        threshold: taps where the mask is below it need not be sampled; 0 keeps every tap. The official code uses 0.1,
            which is 2.146 standard deviations.
    """

    def __init__(self, dims: int, *, mean: float = 0.0, sigma: float = 0.075, threshold: float = 0.1) -> None:
        super().__init__()
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must lie in [0, 1), where 0 crops nothing, but is {threshold}")
        self.mean = nn.Parameter(torch.full((dims,), mean))
        self.sigma = nn.Parameter(torch.full((dims,), sigma))
        self.threshold = threshold

    def forward(self, coordinates: Tensor) -> Tensor:
        """Mask values: [P, D] -> [P]."""
        return torch.exp(-0.5 * ((coordinates - self.mean) / self.sigma).square().sum(-1))

    def half_widths(self) -> Tensor:
        """Distance from the mean at which the mask falls to the threshold: |sigma| sqrt(-2 ln threshold), [D]."""
        deviations = math.sqrt(-2 * math.log(self.threshold)) if self.threshold > 0 else math.inf
        return self.sigma.detach().abs() * deviations

    def centered_support(self, axis: int, coordinates: Tensor) -> slice:
        """Taps to sample along an axis of a `same` kernel: |p| < max(|mean - w|, |mean + w|), w the half width.

        Symmetric about 0 even with a mean away from it, so the kernel keeps its odd length; never empty.

        Args:
            axis: index into the mean and sigma.
            coordinates: ascending, symmetric about 0, [K].
        """
        mean, width = self.mean.detach()[axis], self.half_widths()[axis]
        root = torch.maximum((mean - width).abs(), (mean + width).abs())
        center = len(coordinates) // 2
        reach = max(int((coordinates[center:] < root).sum()) - 1, 0)
        return slice(center - reach, center + reach + 1)

    def causal_support(self, coordinates: Tensor) -> slice:
        """Lags to sample of a causal 1D kernel: those newer than root = mean - w; all of them unless |root| < 1.

        Args:
            coordinates: ascending, the newest lag last at 1, [K].
        """
        root = (self.mean.detach() - self.half_widths())[0]
        if not root.abs() < 1:
            return slice(0, len(coordinates))
        return slice(int((coordinates <= root).sum()), len(coordinates))
