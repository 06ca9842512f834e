"""Resize of 8-bit images as two small matrix products, Y = A_y X A_x^T, by the filters of Pillow."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.arguments import require_choice
from restool.errors import ArgumentError

FIXED_POINT = 2**22
"""Pillow holds the weights of 8-bit images in this many parts of 1 (`Resample.c`, PRECISION_BITS)."""

PIXELS = 2**24
"""So many are worked on at a time, but for a larger image, which bounds the memory for those in float64."""

Filter = Literal["bilinear", "bicubic", "lanczos", "nearest"]


def _triangle(x: Tensor) -> Tensor:
    return 1 - x.abs()


def _keys(x: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far)


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3)


SMOOTH: Mapping[str, tuple[float, Callable[[Tensor], Tensor]]] = MappingProxyType(
    {"bilinear": (1.0, _triangle), "bicubic": (2.0, _keys), "lanczos": (3.0, _lanczos)}
)
"""Half width of each filter in pixels of the coarser grid, and its value there."""


def require_filter(filter_: Filter, *, antialias: bool) -> None:
    """Raise ArgumentError unless images can be resized by a filter."""
    require_choice("resample", filter_, get_args(Filter))
    if filter_ == "lanczos" and not antialias:
        raise ArgumentError("antialias", "must be on for lanczos", antialias, "choose bilinear or bicubic without it")


@cache
def resize_matrix(
    source: int, target: int, device: torch.device, filter_: Filter = "bilinear", *, antialias: bool = True
) -> Tensor:
    """Weights of a filter along one axis, in fixed point.

    With antialiasing they are those of Pillow's filter of the same name, which is as wide as it is in pixels of the
    coarser grid. Without, a filter is as wide as in pixels of the source however coarse the target is, as PyTorch's
    `interpolate` has it (bicubic then with a = -3/4). "nearest" is the pixel in which the middle of the new one lies.

    Args:
        source: pixels before.
        target: pixels after.
        device: of the result.
        filter_: see `Filter`.
        antialias: see above; it does not change "nearest".

    Returns:
        [target, source] float64, rows that sum to 1 up to the fixed point. Shared between calls: not to be written to.
    """
    if filter_ == "nearest":
        middles = torch.full((target,), source / target, dtype=torch.float64)
        middles[0] /= 2
        nearest = middles.cumsum(0).long().clamp(max=source - 1)  # summed as Pillow does, which decides at the edges
        return torch.eye(source, dtype=torch.float64)[nearest].to(device)
    if not antialias:
        identity = torch.eye(source, dtype=torch.float64)[None, None]  # column s is 1 at pixel s, else 0
        weights = F.interpolate(identity, (target, source), mode=filter_)[0, 0]
    else:
        half, value = SMOOTH[filter_]
        scale = max(source / target, 1.0)
        middles = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * (source / target)
        places = (torch.arange(source, dtype=torch.float64) + 0.5 - middles) / scale
        weights = torch.where(places.abs() < half, value(places), 0.0)
        weights /= weights.sum(dim=1, keepdim=True)
    return ((weights * FIXED_POINT).round() / FIXED_POINT).to(device)


def resize(images: Tensor, size: int, filter_: Filter = "bilinear", *, antialias: bool = True) -> Tensor:
    """Square images at another size, as Pillow's filter of the same name gives them.

    Pillow rounds to grey levels, halves up, after the horizontal and again after the vertical pass. Every product
    and sum here is exact in float64, so the result is Pillow's own on any device.

    Args:
        images: [..., n, n] whole grey levels 0 to 255 of any dtype.
        size: pixels along each axis of the result.
        filter_: see `Filter`.
        antialias: see `resize_matrix`.

    Returns:
        [..., size, size] uint8, on the images' device.
    """
    if images.shape[-1] == size:
        return images.to(torch.uint8)
    side = images.shape[-1]
    weights = resize_matrix(side, size, images.device, filter_, antialias=antialias)

    def resized(planes: Tensor) -> Tensor:
        return to_levels(weights @ to_levels(planes.double() @ weights.T)).to(torch.uint8)

    return in_turn(resized, images, max(side, size))


def in_turn(work: Callable[[Tensor], Tensor], images: Tensor, side: int) -> Tensor:
    """What is done to planes, [N, H, W] -> [N, *size], to so many at a time that `PIXELS` bound the memory.

    Args:
        work: does it.
        images: [..., H, W].
        side: the longest one before and after.

    Returns:
        [..., *size].
    """
    planes = images.reshape(-1, *images.shape[-2:]).split(max(1, PIXELS // side**2))
    done = torch.cat([work(some) for some in planes])
    return done.view(*images.shape[:-2], *done.shape[1:])


def to_levels(values: Tensor) -> Tensor:
    """The nearest grey levels 0 to 255, halves up, in the type of the values."""
    return (values + 0.5).floor().clamp(0, 255)
