"""What every kernel network is: hidden functions of the coordinates, mixed by one last linear layer."""

import math
from collections.abc import Hashable

import torch
from torch import Tensor, nn


class KernelNetwork(nn.Module):
    """A continuous kernel psi: R^D -> R^outputs, psi(p) = W_out h(p) + b_out.

    Subclasses give the hidden functions h. The last layer is kept apart because every output is a combination of
    the same few hidden functions.

    Attributes:
        dims: D, coordinates of a point.
        outputs: values at a point (a layer's output channels times its input channels).
    """

    def __init__(self, dims: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.dims, self.outputs, self.hidden = dims, outputs, hidden
        self.output = nn.Linear(hidden, outputs)

    def hidden_functions(self, coordinates: Tensor) -> Tensor:
        """Values of the hidden functions: [P, D] -> [P, hidden]."""
        raise NotImplementedError

    def structure(self) -> Hashable:
        """Equal for networks with the same hidden functions of the same parameters and buffers, whatever their values.

        Such networks are evaluated in one pass. By default a network is like no other.
        """
        return id(self)

    def basis(self, coordinates: Tensor) -> Tensor:
        """The hidden functions and the constant 1, which carries the bias: [P, D] -> [P, hidden + 1]."""
        hidden = self.hidden_functions(coordinates)
        return torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)

    def coefficients(self) -> Tensor:
        """W_out and b_out side by side, the coordinates of every output in the basis: [outputs, hidden + 1]."""
        return torch.cat([self.output.weight, self.output.bias[:, None]], dim=1)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Kernel values: [P, D] -> [outputs, P]."""
        return self.coefficients() @ self.basis(coordinates).T


def default_uniform_(tensor: Tensor, fan_in: int) -> None:
    """Fill with U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in)
    nn.init.uniform_(tensor, -bound, bound)
