"""CKTCN: two residual blocks of CKConvs with sine kernel networks, read at the last step (Romero et al. 2022b)."""

from functools import partial

from torch import Tensor, nn

from restool.kernels import NormedSIREN
from restool.models.dropout import Dropout
from restool.models.tcn import FlexTCN
from restool.nn import ContinuousConv


class CKTCN(FlexTCN):
    """The shell of FlexTCN around causal kernels without a mask, with CKConv's norm in place of batch norm.

    The norm is a group norm of one group, as in the official code: a sequence is normalised by its mean and variance
    over channels and steps. The kernels are causal, but through these two numbers a step depends on later ones.

    The defaults are those for sequential MNIST; the larger network has 100 hidden channels, 30.5 for omega and 0.2 for
    both rates of dropout there.

    Args:
        channels: of the sequence.
        classes: logits.
        steps: of the training sequences.
        hidden: channels of both blocks.
        omega: frequency factor of the kernel networks.
        dropout: probability after every activation inside a block.
        input_dropout: probability for elements of the input.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        steps: int,
        hidden: int = 30,
        omega: float = 31.09,
        dropout: float = 0.1,
        input_dropout: float = 0.1,
    ) -> None:
        layer = partial(_continuous_conv, steps=steps, omega=omega)
        super().__init__(
            (hidden, hidden), layer, channels=channels, classes=classes, dropout=dropout, norm=_norm_of_a_sequence
        )
        self.input_dropout = Dropout(input_dropout)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return super().features(self.input_dropout(sequence))


def _continuous_conv(in_channels: int, out_channels: int, *, steps: int, omega: float) -> ContinuousConv:
    kernel = NormedSIREN(1, in_channels * out_channels, omega_0=omega)
    return ContinuousConv(in_channels, out_channels, kernel=kernel, reference_size=steps)


def _norm_of_a_sequence(channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels, eps=1e-12)
