"""Deformable convolution: taps that move with the image (Dai et al. 2017, arXiv 1703.06211)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableConv(nn.Module):
    """Convolution whose taps are shifted, at every pixel, by what a second convolution says.

        y(p) = sum_n w_n x(p + n + d_n(p)) + b,   d = offset_weight * x + offset_bias

    x is interpolated bilinearly and zero outside. Offsets are in pixels of the input and start at 0, where the layer is
    an ordinary convolution. They follow the image, so the layer meets another resolution as it is.

    Args:
        in_channels: I.
        out_channels: O.
        taps: of the kernel along an axis, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int = 3) -> None:
        super().__init__()
        plain = nn.Conv2d(in_channels, out_channels, taps)
        assert plain.bias is not None
        self.weight, self.bias = plain.weight, plain.bias
        self.offset_weight = nn.Parameter(torch.zeros(2 * taps**2, in_channels, taps, taps))
        self.offset_bias = nn.Parameter(torch.zeros(2 * taps**2))

    def forward(self, signal: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, H, W]."""
        padding = self.weight.shape[-1] // 2
        offsets = F.conv2d(signal, self.offset_weight, self.offset_bias, padding=padding)
        if not signal.is_cuda:  # where torchvision's gradient takes ten times as long
            return deform(signal, offsets, self.weight, self.bias)
        from torchvision.ops import deform_conv2d  # takes as long to import as torch

        return deform_conv2d(signal, offsets, self.weight, self.bias, padding=padding)

    def extra_repr(self) -> str:
        """Channels and taps, for `print(model)`."""
        outputs, inputs, taps, _ = self.weight.shape
        return f"{inputs}, {outputs}, taps={taps}"


def deform(signal: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What `torchvision.ops.deform_conv2d` computes with `same` padding: one sampling and one matrix product.

    Args:
        signal: [B, I, H, W].
        offsets: [B, 2 K K, H, W] pixels; y, then x of every tap, row by row.
        weight: [O, I, K, K], K odd.
        bias: [O].

    Returns:
        [B, O, H, W].
    """
    height, width = signal.shape[2:]
    taps = weight.shape[-1]
    line = torch.arange(max(height, width, taps), dtype=signal.dtype, device=signal.device)
    tap = line[:taps] - taps // 2
    shift_y, shift_x = offsets.unflatten(1, (taps**2, 2)).unbind(2)  # [B, K K, H, W]
    y = shift_y + line[:height, None] + tap.repeat_interleave(taps)[:, None, None]
    x = shift_x + line[:width] + tap.repeat(taps)[:, None, None]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)  # [B, K K, H, W, 2]
    samples = F.grid_sample(signal, grid.flatten(1, 2), align_corners=False)  # [B, I, K K H, W]
    samples = samples.reshape(len(signal), -1, height * width)  # [B, I K K, H W]
    return (weight.flatten(1) @ samples + bias[:, None]).unflatten(2, (height, width))
