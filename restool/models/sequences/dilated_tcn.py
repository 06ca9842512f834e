"""TCN: residual levels of causal convolutions whose dilation doubles (Bai et al. 2018a, section 3)."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from restool.models.sequences.dilation import dilation_factor
from restool.models.tcn import TemporalBlock
from restool.nn import Rescaled


class CausalConv(Rescaled):
    """Dilated convolution that sees the current step and earlier ones, with normalised weights.

        y_t = b + sum_{j=0}^{K-1} W_j x_{t - (K-1-j) d},   W = g v / |v| for every output channel

    Steps before the first are zeros. At a scale that is a whole number, d is multiplied by it; at any other the layer
    stays as it is.

    Args:
        in_channels: I.
        out_channels: O.
        taps: K.
        dilation: d in training.
    """

    def __init__(self, in_channels: int, out_channels: int, *, taps: int, dilation: int) -> None:
        super().__init__()
        self.taps, self.dilation = taps, dilation
        self.conv = nn.Conv1d(in_channels, out_channels, taps)
        weight_norm(self.conv)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, I, T] -> [B, O, T]."""
        dilation = self.dilation * dilation_factor(self.scale)
        padded = F.pad(sequence, ((self.taps - 1) * dilation, 0))
        return F.conv1d(padded, self.conv.weight, self.conv.bias, dilation=dilation)

    def extra_repr(self) -> str:
        """Training dilation, for `print(model)`."""
        return f"dilation={self.dilation}"


class TCN(nn.Module):
    """Temporal blocks of causal convolutions, dilation 2^l at level l, and a linear head on the last step.

    A step sees 1 + 2 (taps - 1) (2^levels - 1) steps: 3,061 by default. The weights of the shortcut start as
    N(0, 0.01^2), all others as PyTorch's default, g as |v|: the official code also draws the normalised weights from
    N(0, 0.01^2), but into a tensor that is made anew from g and v before it is used.

    Args:
        channels: of the sequence.
        classes: logits.
        hidden: channels of every level.
        taps: of a convolution.
        levels: residual blocks of two convolutions.
        dropout: probability after every activation inside a block.
    """

    def __init__(
        self, channels: int, classes: int, *, hidden: int = 25, taps: int = 7, levels: int = 8, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for level in range(levels):
            layer = partial(CausalConv, taps=taps, dilation=2**level)
            inputs = hidden if level else channels
            block = TemporalBlock(inputs, hidden, layer, dropout=dropout, norm=nn.Identity)
            if isinstance(block.shortcut, nn.Conv1d):
                nn.init.normal_(block.shortcut.weight, std=0.01)
            self.blocks.append(block)
        self.head = nn.Linear(hidden, classes)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return self.blocks(sequence)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])
