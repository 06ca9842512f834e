"""FlexTCN: residual blocks of causal layers, read at the last step (Romero et al. 2022a, appendix).

Ordinary layers (`conv3`, `conv33`) pad on both sides and are not causal.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from restool.models.dropout import Dropout
from restool.models.layers import LayerFactory
from restool.nn import sampled_together

NormFactory = Callable[[int], nn.Module]


class TemporalBlock(nn.Module):
    """ReLU(d(ReLU(n(c(d(ReLU(n(c(x)))))))) + shortcut(x)) for layer c, norm n and dropout d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        layer: LayerFactory,
        *,
        dropout: float,
        norm: NormFactory = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.conv1, self.norm1 = layer(in_channels, out_channels), norm(out_channels)
        self.conv2, self.norm2 = layer(out_channels, out_channels), norm(out_channels)
        self.dropout = Dropout(dropout)
        self.shortcut = nn.Conv1d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, I, L] -> [B, O, L]."""
        hidden = self.dropout(torch.relu(self.norm1(self.conv1(sequence))))
        hidden = self.dropout(torch.relu(self.norm2(self.conv2(hidden))))
        return torch.relu(hidden + self.shortcut(sequence))


class FlexTCN(nn.Module):
    """Temporal blocks and a linear head on the last step.

    Args:
        widths: channels of every block.
        layer: makes a causal layer from (in_channels, out_channels).
        channels: of the sequence.
        classes: logits.
        dropout: probability after every activation inside a block.
        norm: makes the norm of so many channels.
    """

    def __init__(
        self,
        widths: Sequence[int],
        layer: LayerFactory,
        *,
        channels: int = 1,
        classes: int = 10,
        dropout: float = 0.1,
        norm: NormFactory = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        inputs = [channels, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(TemporalBlock(i, o, layer, dropout=dropout, norm=norm) for i, o in zip(inputs, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, L] -> [B, widths[-1], L]."""
        with sampled_together(self, sequence.shape[2:]):
            return self.blocks(sequence)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, L] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])
