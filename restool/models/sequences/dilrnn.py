"""DilRNN: recurrent layers that look back 1, 2, 4, ... steps (Chang et al. 2017).

Shapes: B sequences, C channels, T steps, N hidden units, s the steps that a layer looks back.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from restool.nn import Rescaled


class DilatedLayer(Rescaled):
    """A recurrent layer that skips s - 1 steps.

        h_t = tanh(W x_t + b + U h_{t - s}),   h_t = 0 for t < 0

    Steps of one remainder by s see only each other, so the sequence is s sequences that are interleaved: they run
    side by side as an ordinary recurrent network of ceil(T / s) steps. The bias is the weight of an input that is
    always 1, because PyTorch's layers have either two biases or none.

    Where the input has r = `scale` times as many steps and r is whole, the layer looks back r s steps, the same time;
    for any other r it stays as it is.

    Weights start uniform as by Glorot for the joint matrix [W U], the bias starts at 0.

    Args:
        inputs: C.
        hidden: N.
        dilation: s in training.
    """

    def __init__(self, inputs: int, hidden: int, *, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.rnn = nn.RNN(inputs + 1, hidden, bias=False)
        bound = math.sqrt(6 / (inputs + 2 * hidden))
        from_input, from_past = self.rnn.parameters()
        nn.init.uniform_(from_input, -bound, bound)
        nn.init.uniform_(from_past, -bound, bound)
        nn.init.zeros_(from_input[:, inputs:])

    def forward(self, sequence: Tensor) -> Tensor:
        """[T, B, C] -> [T, B, N]."""
        steps, batch = sequence.shape[:2]
        lag = min(self.lag(), steps)  # a layer that looks back further meets nothing but zeros
        padded = F.pad(sequence, (0, 1), value=1.0)
        padded = F.pad(padded, (0, 0, 0, 0, 0, -steps % lag))
        interleaved = padded.view(-1, lag * batch, padded.shape[2])
        states, _ = self.rnn(interleaved)
        return states.view(-1, batch, states.shape[2])[:steps]

    def lag(self) -> int:
        """Steps of its input that the layer looks back."""
        scale = float(self.scale)
        return self.dilation * int(scale) if scale >= 1 and scale.is_integer() else self.dilation

    def extra_repr(self) -> str:
        """Dilation, for `print(model)`."""
        return f"dilation={self.dilation}"


class DilRNN(nn.Module):
    """Layers of dilation 1, 2, 4, ... and a linear head on the last step.

    The head starts normal with standard deviation 1, as the original does.

    Args:
        channels: C of the sequence.
        classes: logits.
        hidden: N of every layer.
        layers: their number; the last one looks back 2^(layers - 1) steps.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = 50, layers: int = 9) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(DilatedLayer(hidden if level else channels, hidden, dilation=2**level) for level in range(layers))
        )
        self.head = nn.Linear(hidden, classes)
        nn.init.normal_(self.head.weight)
        nn.init.normal_(self.head.bias)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, N, T]."""
        return self.layers(sequence.permute(2, 0, 1)).permute(1, 2, 0)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])
