"""TrellisNet: one level, applied at eleven dilations, that reads its input anew each time (Bai et al. 2018b).

Shapes: B sequences, C channels, T steps, H hidden channels.
"""

from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.models.dropout import Dropout
from restool.models.sequences.dilation import dilation_factor
from restool.nn import Rescaled

DILATIONS = (1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Of the levels, first to last (official code for sequential MNIST and CIFAR-10)."""


class TwoTaps(nn.Module):
    """Weights of a convolution over the steps t - d and t, W = g v / |v| for every output channel.

    v starts as N(0, 0.01^2) and g as |v|. In training a part of v is zero at the tap of t - d, before it is normalised.

    Args:
        in_channels: I.
        out_channels: O.
        dropout: probability of such a zero.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.direction = nn.Parameter(0.01 * torch.randn(out_channels, in_channels, 2))
        self.gain = nn.Parameter(_norms(self.direction.detach()))
        self.dropout = Dropout(dropout)

    def forward(self) -> Tensor:
        """W, past tap first: [O, I, 2]."""
        past, present = self.direction.split(1, dim=2)
        direction = torch.cat([self.dropout(past), present], dim=2)
        return direction * (self.gain / _norms(direction))


class Trellis(Rescaled):
    """The levels, all of which share their weights; z = c = 0 below the first and before the first step.

        (i, o, g, f)_t = W_1 [x_{t-d}; x_t] + W_2 [z_{t-d}; z_t] + b
        c_t <- sigmoid(f_t) c_{t-d} + sigmoid(i_t) tanh(g_t)
        z_t <- sigmoid(o_t) tanh(c_t)

    A level computes all steps at once from z and c of the level below. At a scale that is a whole number, every d is
    multiplied by it; at any other the levels stay as they are. b starts as N(0, 0.01^2).

    Args:
        channels: C.
        hidden: H.
        dropout: probability that the maps W_2 of a sequence miss a channel of z, at every level and step.
        weight_dropout: see `TwoTaps`.
    """

    def __init__(self, channels: int, hidden: int, *, dropout: float, weight_dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.injection = TwoTaps(channels, 4 * hidden, dropout=weight_dropout)
        self.recurrence = TwoTaps(hidden, 4 * hidden, dropout=weight_dropout)
        self.bias = nn.Parameter(0.01 * torch.randn(4 * hidden))
        self.dropout = Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, H, T]."""
        batch, _, steps = sequence.shape
        injection, recurrence, factor = self.injection(), self.recurrence(), dilation_factor(self.scale)
        mask = self.dropout(sequence.new_ones(batch, self.hidden, 1))
        state = cell = sequence.new_zeros(batch, self.hidden, steps)
        for training_dilation, levels in groupby(DILATIONS):
            dilation = training_dilation * factor
            injected = F.conv1d(_delayed(sequence, dilation), injection, self.bias, dilation=dilation)
            for _ in levels:
                gates = injected + F.conv1d(_delayed(state * mask, dilation), recurrence, dilation=dilation)
                i, o, g, f = gates.chunk(4, dim=1)
                past = _delayed(cell, dilation)[:, :, :steps]
                cell = torch.sigmoid(f) * past + torch.sigmoid(i) * torch.tanh(g)
                state = torch.sigmoid(o) * torch.tanh(cell)
        return state


class TrellisNet(nn.Module):
    """A trellis whose last channels, at the last step, go to a linear head.

    The head keeps PyTorch's default initialisation. The official rates of dropout are those of its smaller network
    (130 hidden channels); the paper's size of 8 million parameters is that of 1,000.

    Args:
        channels: C.
        classes: logits.
        hidden: H, those of `outputs` included.
        outputs: hidden channels that the head reads.
        dropout: probability for elements of the input, and for channels of the hidden state.
        output_dropout: probability for what the head reads (the official code drops logits).
        weight_dropout: see `TwoTaps`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        hidden: int = 1000,
        outputs: int = 10,
        dropout: float = 0.2,
        output_dropout: float = 0.1,
        weight_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.input_dropout, self.output_dropout = Dropout(dropout), Dropout(output_dropout)
        self.trellis = Trellis(channels, hidden, dropout=dropout, weight_dropout=weight_dropout)
        self.head = nn.Linear(outputs, classes)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, H, T]."""
        return self.trellis(self.input_dropout(sequence))

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.output_dropout(self.features(sequence)[:, -self.outputs :, -1]))


def _delayed(sequence: Tensor, steps: int) -> Tensor:
    """Zeros in front: [B, N, T] -> [B, N, steps + T]."""
    return F.pad(sequence, (steps, 0))


def _norms(direction: Tensor) -> Tensor:
    """|v| of every output channel: [O, I, 2] -> [O, 1, 1]."""
    return torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
