"""Batch norm and 1x1 convolution that take images batch last as well, and leave them so.

What batch last means is told by `restool.correlation.layout`.
"""

import torch
from torch import Tensor, nn

from restool.correlation.layout import as_images, batch_last, is_batch_last


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's batch norm in any layout: it would move images that are batch last to another, four times as slow."""

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        if not is_batch_last(images):
            return super().forward(images)
        rows = batch_last(images)
        places = rows.flatten(0, 1)[..., None]  # [H W, C, B, 1]: statistics are the same
        return as_images(super().forward(places).view(rows.shape))


class PointwiseConv2d(nn.Conv2d):
    """PyTorch's convolution with one tap, in any layout.

    Args:
        in_channels: I.
        out_channels: O.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, H, W]."""
        if not is_batch_last(images):
            return super().forward(images)
        assert self.bias is not None
        places = batch_last(images).flatten(0, 1)  # [H W, I, B]
        weight = self.weight.flatten(1).expand(len(places), -1, -1)
        mixed = torch.baddbmm(self.bias[:, None], weight, places)
        return as_images(mixed.view(*images.shape[2:], -1, len(images)))
