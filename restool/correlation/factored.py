"""A kernel as combinations of a few functions, as every kernel network gives it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FactoredKernel:
    """A kernel whose channel pairs are combinations of H functions: K[o, i] = sum_h coefficients[o, i, h] basis[h].

    Attributes:
        coefficients: [O, I, H].
        basis: [H, K] or [H, K_y, K_x].
    """

    coefficients: Tensor
    basis: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(O, I, *K), as of the dense kernel."""
        return (*self.coefficients.shape[:2], *self.basis.shape[1:])

    def dense(self) -> Tensor:
        """The kernel's taps, [O, I, *K]."""
        return (self.coefficients.flatten(0, 1) @ self.basis.flatten(1)).view(self.shape)
