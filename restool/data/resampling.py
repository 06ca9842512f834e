"""Antialiased resize of 8-bit images as two small matrix products: Y = A X A^T."""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

FIXED_POINT = 2**22
"""Pillow holds the weights of 8-bit images in this many parts of 1 (`Resample.c`, PRECISION_BITS)."""

Filter = Literal["bilinear", "bicubic"]


@cache
def resize_matrix(source: int, target: int, device: torch.device, filter_: Filter = "bilinear") -> Tensor:
    """Weights of a filter of Pillow's along one axis, in fixed point.

    BILINEAR is a triangle two pixels of the coarser grid wide, BICUBIC Keys' kernel with a = -1/2.

    Args:
        source: pixels before.
        target: pixels after.
        device: of the result.
        filter_: "bilinear" or "bicubic".

    Returns:
        [target, source] float64, rows that sum to 1 up to the fixed point. Shared between calls: not to be written to.
    """
    identity = torch.eye(source, dtype=torch.float64)[None, None]  # column s is 1 at pixel s, else 0
    weights = F.interpolate(identity, (target, source), mode=filter_, antialias=True)[0, 0]
    return ((weights * FIXED_POINT).round() / FIXED_POINT).to(device)


def resize(images: Tensor, size: int, filter_: Filter = "bilinear") -> Tensor:
    """Square images at another size, as Pillow's filter of the same name gives them.

    Pillow rounds to grey levels, halves up, after the horizontal and again after the vertical pass. Every product
    and sum here is exact in float64, so the result is Pillow's own on any device.

    Args:
        images: [..., n, n] whole grey levels 0 to 255 of any dtype.
        size: pixels along each axis of the result.
        filter_: "bilinear" or "bicubic".

    Returns:
        [..., size, size] uint8, on the images' device.
    """
    if images.shape[-1] == size:
        return images.to(torch.uint8)
    weights = resize_matrix(images.shape[-1], size, images.device, filter_)
    rows = to_levels(images.double() @ weights.T)
    return to_levels(weights @ rows).to(torch.uint8)


def to_levels(values: Tensor) -> Tensor:
    """The nearest grey levels 0 to 255, halves up, in the type of the values."""
    return (values + 0.5).floor().clamp(0, 255)
