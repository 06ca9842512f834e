"""r-LSTM: an LSTM that also learns to reconstruct what it has read (Trinh et al. 2018).

Shapes: B sequences, C channels, T steps, N hidden units.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 256
"""Width of both heads (the paper's)."""


class RLSTM(nn.Module):
    """Linear embedding, LSTM, and a head Linear-ReLU-Linear on the last step; a decoder for the auxiliary loss.

    The paper's DropConnect in the heads and its scheduled sampling in the decoder are left out.

    Args:
        channels: C of the sequence.
        classes: logits.
        hidden: N of the embedding, of the LSTM and of both layers of the decoder.
        anchors: places at which a sequence is reconstructed, for every call of the auxiliary loss.
        length: steps before an anchor that are reconstructed, or all where there are fewer.

    Raises:
        ValueError: no anchor or no step.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = 128, anchors: int = 1, length: int = 600) -> None:
        super().__init__()
        for name, number in (("anchors", anchors), ("length", length)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, but is {number}")
        self.anchors, self.length = anchors, length
        self.embedding = nn.Linear(channels, hidden)
        self.lstm = nn.LSTM(hidden, hidden)
        self.head = _head(hidden, classes)
        self.decoder = nn.LSTM(hidden, hidden, num_layers=2)
        self.reconstruction = _head(hidden, channels)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, N, T], the state h of every step."""
        states, _ = self.lstm(self._embedded(sequence))
        return states.permute(1, 2, 0)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])

    def auxiliary_loss(self, sequence: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the steps before random anchors, a scalar; the mean over the anchors.

        An anchor a is uniform in 1..T and the same for the whole batch.

        Args:
            sequence: [B, C, T].
            generator: that draws the anchors; PyTorch's default one where there is none.
        """
        device = "cpu" if generator is None else generator.device
        drawn = torch.randint(1, sequence.shape[2] + 1, (self.anchors,), generator=generator, device=device)
        return torch.stack([self.reconstruction_error(sequence[:, :, :anchor]) for anchor in drawn.tolist()]).mean()

    def reconstruction_error(self, sequence: Tensor) -> Tensor:
        """Mean squared error of the last n = min(length, a) steps of [B, C, a], given the LSTM's state after them.

        The decoder's lower layer starts from that state and its upper one from 0. It gives the steps in their order,
        and reads at each the embedding of the one before it as it truly was, at the first 0.
        """
        embedded = self._embedded(sequence)
        _, state = self.lstm(embedded)
        read = F.pad(embedded[-self.length :][:-1], (0, 0, 0, 0, 1, 0))
        decoded, _ = self.decoder(read, tuple(torch.cat([part, torch.zeros_like(part)]) for part in state))
        return F.mse_loss(self.reconstruction(decoded), sequence[:, :, -self.length :].permute(2, 0, 1))

    def _embedded(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [T, B, N]."""
        return self.embedding(sequence.permute(2, 0, 1))


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HEAD), nn.ReLU(), nn.Linear(HEAD, outputs))
