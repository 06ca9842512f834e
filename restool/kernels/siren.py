"""SIREN kernel network (Sitzmann et al. 2020), as CKConv uses it (Romero et al. 2022b, section 4.2)."""

import math
from collections.abc import Hashable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from restool.kernels.base import KernelNetwork, default_uniform_


class SIREN(KernelNetwork):
    """Two sine layers and a linear one: y = sin(omega_0 (W x + b)) twice, psi = W_out y + b_out.

    The first weight is drawn from U(-1/D, 1/D), the others, the last one too, from
    U(-sqrt(6/H)/omega_0, sqrt(6/H)/omega_0); biases keep PyTorch's default.

    Args:
        dims: D, 1 or 2.
        outputs: values at a point.
        hidden: H.
        omega_0: fixed frequency factor.
    """

    def __init__(self, dims: int, outputs: int, *, hidden: int = 32, omega_0: float = 30.0) -> None:
        super().__init__(dims, outputs, hidden)
        self.first = nn.Linear(dims, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.register_buffer("omega_0", torch.tensor(omega_0))
        nn.init.uniform_(self.first.weight, -1 / dims, 1 / dims)
        bound = math.sqrt(6 / hidden) / omega_0
        for linear in (self.second, self.output):
            nn.init.uniform_(linear.weight, -bound, bound)
        default_uniform_(self.output.bias, hidden)

    omega_0: Tensor

    def hidden_functions(self, coordinates: Tensor) -> Tensor:
        """[P, D] -> [P, H]."""
        values = torch.sin(self.omega_0 * self.first(coordinates))
        return torch.sin(self.omega_0 * self.second(values))

    def structure(self) -> Hashable:
        """Class; omega_0 is a buffer."""
        return (type(self),)


class NormedSIREN(SIREN):
    """The SIREN of CKConv's own sequence models: every weight is W = g v / |v|, row by row (weight normalisation).

    It starts as the other SIREN, g = |v|, but for the biases, all of which are drawn from U(-1, 1): the kernel network
    of Romero et al. 2022b, section 4.2, with the weight normalisation of Salimans and Kingma 2016.

    Args:
        dims, outputs, hidden, omega_0: as in `SIREN`.
    """

    def __init__(self, dims: int, outputs: int, *, hidden: int = 32, omega_0: float = 30.0) -> None:
        super().__init__(dims, outputs, hidden=hidden, omega_0=omega_0)
        for linear in (self.first, self.second, self.output):
            nn.init.uniform_(linear.bias, -1, 1)
            register_parametrization(linear, "weight", RowsByNorm())


class RowsByNorm(nn.Module):
    """W = g v / |v| for every row of a weight: PyTorch's `weight_norm` in operations that `torch.vmap` knows."""

    def forward(self, gain: Tensor, direction: Tensor) -> Tensor:
        """[O, 1], [O, I] -> [O, I]."""
        return direction * (gain / torch.linalg.vector_norm(direction, dim=1, keepdim=True))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The gain |W| and the direction W: [O, I] -> [O, 1], [O, I]."""
        return torch.linalg.vector_norm(weight, dim=1, keepdim=True), weight
