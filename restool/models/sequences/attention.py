"""Self-attention over all steps of a sequence: the rival of the size that Trinh et al. 2018 compare with.

They publish its score and not its layers, which are the usual ones here (Vaswani et al. 2017, norms first as in Xiong
et al. 2020). The mean over steps, and attention without a causal mask, see the whole sequence: the model is not causal.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A learned vector for every step, added to it; interpolated where a sequence has another length.

    Vector i stands for the middle of the i-th of `steps` equal parts of the sequence, at (i + 1/2) / steps. Step j of n
    takes the linear interpolation at (j + 1/2) / n, and the first or the last vector outside of all middles. The stored
    table stays that of the training length. It starts as N(0, 0.02^2).

    Args:
        steps: of the training sequences.
        width: N, of a vector.
    """

    dynamic_img_size = True
    """timm's name for the same ability; `restool.transfer` asks for it."""

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(steps, width))

    def at(self, length: int) -> Tensor:
        """Vectors for a sequence of `length` steps: [length, N]."""
        if length == len(self.table):
            return self.table
        return F.interpolate(self.table.T[None], size=length, mode="linear", align_corners=False)[0].T

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T, N] -> [B, T, N]."""
        return tokens + self.at(tokens.shape[1])


class SelfAttention(nn.Module):
    """Linear embedding, learned positions, pre-norm encoder layers, a final norm, the mean over steps, a linear head.

        h <- h + attention(norm(h)),   h <- h + W_2 ReLU(W_1 norm(h) + b_1) + b_2   in every layer

    Args:
        channels: of the sequence.
        classes: logits.
        steps: of the training sequences.
        width: of the embedding.
        layers: encoder layers.
        heads: of the attention.
        feed: hidden units of the feed-forward part.
        dropout: probability for attention weights, hidden units and what every part adds.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        steps: int,
        width: int = 128,
        layers: int = 3,
        heads: int = 8,
        feed: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = nn.Linear(channels, width)
        self.positions = LearnedPositions(steps, width)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, heads, feed, dropout, batch_first=True, norm_first=True)
                for _ in range(layers)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, width, T]; every step depends on all steps."""
        return self.norm(self.layers(self.positions(self.embedding(sequence.mT)))).mT

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence).mean(dim=2))
