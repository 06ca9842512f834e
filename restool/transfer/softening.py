"""Images of a target, made as soft as those of the source: the lens of the coarse camera before the fine grid."""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from restool.nn.gaussian_derivative import gaussian_derivatives


class Soften(nn.Module):
    """Blurs images so that a pixel sees as much of the picture as one of the source's did.

    Resizing to n pixels filters the picture by a triangle two pixels wide, of variance (1 / n)^2 / 6 image sides. What
    images of s < n pixels have more of it, a Gaussian adds: variances of filters that follow each other sum up. Its
    standard deviation is

        sqrt(((n / s)^2 - 1) / 6) pixels of the n.

    Weights are normalised at the borders, so that an even image stays as it is.

    Args:
        scale: n / s, above 1.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.deviation = math.sqrt((scale**2 - 1) / 6)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, *N] -> the same shape."""
        for axis in range(2, images.dim()):
            weights = _weights(images.shape[axis], self.deviation, images.dtype, images.device)
            images = (images.transpose(axis, -1) @ weights.T).transpose(axis, -1)
        return images


@lru_cache(maxsize=256)
def _weights(pixels: int, deviation: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Those of all pixels of an axis in every pixel, [pixels, pixels]; rows sum to 1."""
    places = torch.arange(pixels, dtype=torch.float64)
    weights = gaussian_derivatives(places - places[:, None], places.new_tensor(deviation), order=0)[0]
    return weights.to(device, dtype)
