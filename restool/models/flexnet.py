"""FlexNet: a residual network without stride or pooling, around any layer (Romero et al. 2022a, section 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restool.models.dropout import Dropout
from restool.models.layers import LayerFactory
from restool.nn import BatchNorm2d, PointwiseConv2d, sampled_together


class ResidualBlock(nn.Module):
    """ReLU(norm(conv(dropout(ReLU(norm(conv(x)))))) + shortcut(x)); the shortcut is 1x1 where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, layer: LayerFactory, *, dropout: float) -> None:
        super().__init__()
        self.conv1, self.norm1 = layer(in_channels, out_channels), BatchNorm2d(out_channels)
        self.conv2, self.norm2 = layer(out_channels, out_channels), BatchNorm2d(out_channels)
        self.dropout = Dropout(dropout)
        self.shortcut = PointwiseConv2d(in_channels, out_channels) if in_channels != out_channels else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[B, I, H, W] -> [B, O, H, W]."""
        hidden = self.dropout(torch.relu(self.norm1(self.conv1(images))))
        return torch.relu(self.norm2(self.conv2(hidden)) + self.shortcut(images))


class FlexNet(nn.Module):
    """Stem, residual blocks, global average, linear head.

    Args:
        stem: channels after the first layer.
        widths: channels of every block.
        layer: makes a layer from (in_channels, out_channels).
        channels: of the image.
        classes: logits.
        dropout: probability inside every block.
    """

    def __init__(
        self,
        stem: int,
        widths: Sequence[int],
        layer: LayerFactory,
        *,
        channels: int = 3,
        classes: int = 10,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem, self.stem_norm = layer(channels, stem), BatchNorm2d(stem)
        inputs = [stem, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(ResidualBlock(i, o, layer, dropout=dropout) for i, o in zip(inputs, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], classes)
        nn.init.kaiming_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, images: Tensor) -> Tensor:
        """Channel means of the last block: [B, C, H, W] -> [B, widths[-1]]."""
        with sampled_together(self, images.shape[2:]):
            hidden = torch.relu(self.stem_norm(self.stem(images)))
            return self.blocks(hidden).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes] logits."""
        return self.head(self.features(images))
