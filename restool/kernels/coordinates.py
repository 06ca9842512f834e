"""The one home of the convention that ties pixels to coordinates.

An image axis of n pixels spans two units, [-1, 1], so pixel offset j has coordinate 2j/n and the Nyquist frequency
is n/4 cycles per unit. A causal sequence of L steps at reference length L_ref has lag t at coordinate
1 - 2t / ((L_ref - 1) r) with r = L / L_ref: the newest step is at 1, the oldest of the reference at -1.
Every quotient is computed by one true division in float64, which makes the grids nest without any error.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def offset_coordinates(pixels: int, *, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Coordinates of every pixel offset that fits an axis: 2j/n for |j| <= n // 2.

    Args:
        pixels: n, pixels along the axis.
        dtype: of the result.
        device: of the result.

    Returns:
        [2 (n // 2) + 1] coordinates, ascending, symmetric about an exact 0, never beyond [-1, 1].
    """
    reach = pixels // 2
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64, device=device)
    return (2 * steps / torch.full_like(steps, pixels)).to(dtype)


def lag_coordinates(length: int, reference: int, *, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Coordinates of the lags of a causal kernel, oldest first: 1 - 2t / ((reference - 1) r), r = length / reference.

    Args:
        length: L, steps of the input, which spans the same time as `reference` steps did in training.
        reference: L_ref, steps of the training sequences.
        dtype: of the result.
        device: of the result.

    Returns:
        [floor((L_ref - 1) r) + 1] coordinates, ascending; the last is exactly 1, none is below -1.
    """
    oldest = (reference - 1) * length // reference
    lags = torch.arange(oldest, -1, -1, dtype=torch.float64, device=device)
    return (1 - 2 * lags * reference / torch.full_like(lags, (reference - 1) * length)).to(dtype)


def points(axes: Sequence[Tensor]) -> Tensor:
    """Cartesian product of the axes' coordinates, in order (y, x): [P, D] with the last axis varying fastest."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes))


def pixel_area_ratio(size: Sequence[int], reference: int) -> float:
    """Area of a pixel at `size` over its area at the reference: the product over the axes of reference / n."""
    return math.prod(reference / n for n in size)


def nyquist_frequency(pixels: int) -> float:
    """Highest frequency an axis of n pixels over two units can carry, in cycles per unit: n / 4."""
    return pixels / 4
