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


def half_widths(sigma: Tensor, threshold: float) -> Tensor:
    """Distance from the mean at which a mask falls to the threshold: |sigma| sqrt(-2 ln threshold), any shape."""
    deviations = math.sqrt(-2 * math.log(threshold)) if threshold > 0 else math.inf
    return sigma.abs() * deviations


def centered_cut(mean: Tensor, half_width: Tensor, coordinates: Tensor) -> Tensor:
    """Taps to leave out at either end of a `same` kernel: all but |p| < max(|mean - w|, |mean + w|), w the half width.

    Equally many at both ends even with a mean away from 0, so the kernel keeps its odd length; the middle one stays.

    Args:
        mean: of masks along one axis, of any shape [...].
        half_width: of the same shape.
        coordinates: ascending, symmetric about 0, [K].

    Returns:
        Integers [...].
    """
    root = torch.maximum((mean - half_width).abs(), (mean + half_width).abs())
    center = len(coordinates) // 2
    inside = (coordinates[center:] < root[..., None]).sum(-1)
    return center + 1 - inside.clamp(min=1)


def causal_cut(mean: Tensor, half_width: Tensor, coordinates: Tensor) -> Tensor:
    """Lags to leave out of a causal 1D kernel: those up to root = mean - w, the oldest; none unless |root| < 1.

    Args:
        mean: of masks, of any shape [...].
        half_width: of the same shape.
        coordinates: ascending, the newest lag last at 1, [K].

    Returns:
        Integers [...].
    """
    root = mean - half_width
    return torch.where(root.abs() < 1, (coordinates <= root[..., None]).sum(-1), 0)
