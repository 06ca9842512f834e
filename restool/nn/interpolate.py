"""Interpolation of a discrete kernel's samples from the source grid to the target grid."""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Filter = Literal["bilinear", "lanczos3"]

_REACH = {"bilinear": 1, "lanczos3": 3}  # a target tap draws from so many source pixels on each side


def resample_kernel(kernel: Tensor, scale: float, filter_: Filter) -> Tensor:
    """Samples of the same `same` kernel on a grid that is finer by a factor, scaled by pixel area.

        K'[j] = scale^-D sum_k f(j / scale - k) K[k] / sum_{k in Z} f(j / scale - k)

    with f the triangle or the sinc windowed by Lanczos with 3 lobes, per axis. The normalisation makes a constant
    kernel stay constant. On a coarser grid (scale < 1) f is widened by 1 / scale, so that what the coarser grid cannot
    carry is removed.

    Args:
        kernel: [O, I, K_y, K_x], odd along both axes, the tap in the middle at offset 0.
        scale: target pixels per source pixel.
        filter_: "bilinear" or "lanczos3".

    Returns:
        [O, I, K_y', K_x'], odd along both axes.

    Raises:
        ValueError: a kernel with an even axis, or a scale that is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale must be positive, but is {scale}")
    if any(taps % 2 == 0 for taps in kernel.shape[2:]):
        raise ValueError(f"kernel must be odd along every axis, but has {tuple(kernel.shape[2:])} taps")
    if scale == 1:
        return kernel
    rows, columns = (interpolation_matrix(taps // 2, scale, filter_).to(kernel) for taps in kernel.shape[2:])
    return (rows @ kernel @ columns.T) / scale**2


def resample_causal(kernel: Tensor, scale: float, filter_: Filter) -> Tensor:
    """Samples of the same causal kernel on a grid that is finer by a factor, scaled by the length of a step.

        K'(lag l) = scale^-1 sum_{k >= 0} f(l / scale - k) K(lag k) / sum_{k >= 0} f(l / scale - k)

    as `resample_kernel`, but without lags below 0, which would be the future, so that a constant kernel stays constant.

    Args:
        kernel: [..., K], its last tap at lag 0.
        scale: target steps per source step.
        filter_: "bilinear" or "lanczos3".

    Returns:
        [..., K'].

    Raises:
        ValueError: a scale that is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale must be positive, but is {scale}")
    if scale == 1:
        return kernel
    taps, widening = kernel.shape[-1], max(1.0, 1 / scale)
    lobes = _REACH[filter_] * widening  # source steps
    lags = torch.arange(math.ceil((taps - 1 + lobes) * scale), dtype=torch.float64) / scale  # in source steps
    around = torch.arange(taps + math.ceil(2 * lobes), dtype=torch.float64)
    weights = _filter_values((lags[:, None] - around) / widening, filter_)
    weights = (weights / weights.sum(dim=1, keepdim=True))[:, :taps]
    return (kernel.flip(-1) @ weights.T.to(kernel)).flip(-1) / scale


@lru_cache(maxsize=256)
def interpolation_matrix(reach: int, scale: float, filter_: Filter) -> Tensor:
    """Weights [2 R' + 1, 2 R + 1] of the source taps, R = reach, in every target tap; float64 on the CPU."""
    widening = max(1.0, 1 / scale)
    lobes = _REACH[filter_] * widening  # source pixels
    new_reach = math.ceil((reach + lobes) * scale) - 1  # the filter is 0 at its very end
    positions = torch.arange(-new_reach, new_reach + 1, dtype=torch.float64) / scale  # in source pixels
    around = torch.arange(-reach - math.ceil(2 * lobes), reach + math.ceil(2 * lobes) + 1, dtype=torch.float64)
    weights = _filter_values((positions[:, None] - around) / widening, filter_)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return weights[:, around.abs() <= reach]


def _filter_values(distance: Tensor, filter_: Filter) -> Tensor:
    inside = distance.abs() < _REACH[filter_]
    if filter_ == "bilinear":
        return (1 - distance.abs()) * inside
    return torch.sinc(distance) * torch.sinc(distance / 3) * inside
