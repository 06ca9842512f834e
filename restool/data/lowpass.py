"""What is too fine for a grid is taken out of images by their spectrum, so that no filter of a resize decides it."""

import math

import torch
from torch import Tensor

from restool.data.resampling import in_turn, to_levels


def low_pass(images: Tensor, cuts: tuple[float, float]) -> Tensor:
    """Images without what oscillates along either axis as fast as a cut, or faster.

    Along an axis with the cut c, the frequency f passes with

        H(f) = 1                                    up to c / 2,
               (1 + cos(pi (2 f / c - 1))) / 2      from there to c,
               0                                    beyond.

    An image goes on as its mirror image at its borders, so that an even one stays as it is.

    Args:
        images: [..., H, W] grey levels, uint8.
        cuts: along the height and the width, cycles per pixel, above 0; 1 and more change nothing.

    Returns:
        [..., H, W] uint8, rounded to grey levels.
    """
    (rows, row_gains), (columns, column_gains) = (
        _cosines(side, cut, images.device) for side, cut in zip(images.shape[-2:], cuts, strict=True)
    )

    def passed(planes: Tensor) -> Tensor:
        spectrum = rows.T @ planes.double() @ columns
        return to_levels((rows * row_gains) @ spectrum @ (columns * column_gains).T).to(torch.uint8)

    return in_turn(passed, images, max(images.shape[-2:]))


def _cosines(side: int, cut: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The waves k / (2 side) below the cut that fit a mirrored axis, orthonormal [side, K], and their gains [K]."""
    waves = torch.arange(min(side, math.ceil(2 * side * cut)), dtype=torch.float64, device=device)
    middles = torch.arange(side, dtype=torch.float64, device=device)[:, None] + 0.5
    basis = torch.cos(math.pi / side * middles * waves) * math.sqrt(2 / side)
    basis[:, 0] = math.sqrt(1 / side)
    falling = (waves / side / cut - 1).clamp(0, 1)  # 2 f / c - 1
    return basis, (1 + torch.cos(math.pi * falling)) / 2
