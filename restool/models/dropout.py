"""Dropout whose noise does not depend on how its input lies in memory."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """y = x m / (1 - p), where m is 1 with probability 1 - p, else 0; y = x in evaluation.

    PyTorch draws the noise in the order of the memory, which differs between methods of convolution: the same seed
    would train another model by each of them. This draws it in the order of the axes, and in less than half the time
    on a CPU.

    Args:
        p: probability of a zero, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must lie in [0, 1), but is {p}")
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same shape and layout."""
        if not self.training or self.p == 0:
            return values
        drawn = torch.rand(values.shape, device=values.device) >= self.p
        kept = torch.empty_like(values, dtype=torch.bool).copy_(drawn)  # laid out as the values
        return values * kept * (1 / (1 - self.p))

    def extra_repr(self) -> str:
        """Probability, for `print(model)`."""
        return f"p={self.p}"
