"""CIFAR ResNet (He et al. 2016, section 4.2), with parameter-free shortcuts (option A)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """ReLU(norm(conv(ReLU(norm(conv(x))))) + shortcut(x)); a wider block halves the image."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.widening = out_channels - in_channels
        stride = 2 if self.widening else 1
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, H', W']."""
        hidden = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(images)))))
        return torch.relu(hidden + self._shortcut(images))

    def _shortcut(self, images: Tensor) -> Tensor:
        if not self.widening:
            return images
        half = self.widening // 2  # new channels are zero, half in front and half behind
        return F.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


class CIFARResNet(nn.Module):
    """3x3 stem, three stages of `blocks` basic blocks with 16, 32 and 64 channels, global average, linear head.

    The depth in layers is 6 blocks + 2.
    """

    def __init__(self, blocks: int, *, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        widths = [width for width in (16, 32, 64) for _ in range(blocks)]
        inputs = [16, *widths[:-1]]
        self.blocks = nn.Sequential(*(BasicBlock(i, o) for i, o in zip(inputs, widths, strict=True)))
        self.head = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes] logits."""
        hidden = torch.relu(self.stem_norm(self.stem(images)))
        return self.head(self.blocks(hidden).mean(dim=(2, 3)))
