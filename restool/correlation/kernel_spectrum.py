"""Spectra of kernels: of the taps of every channel pair, or of the few functions that a kernel combines.

    conj(K)[f] = sum_k K[k] exp(2 pi i f (k - before) / P),   f as in `restool.correlation.transforms`

A complex product Y = conj(K) X of channels is the real product [Y_r; Y_i] = [[K_r, -K_i], [K_i, K_r]] [X_r; X_i] with
the two planes of conj(K): a matrix [2 O, 2 I] for every frequency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.correlation.factored import FactoredKernel
from restool.correlation.geometry import Geometry, fast_lengths
from restool.correlation.transforms import Kind, rotations


@dataclass(frozen=True)
class Domain:
    """Where signals and kernels are multiplied.

    Attributes:
        kind: transform of the signals.
        size: (n_y, n_x) of the signals.
        period: (P_y, P_x).
    """

    kind: Kind
    size: tuple[int, int]
    period: tuple[int, int]


@dataclass(frozen=True)
class MatrixSpectrum:
    """Complex conjugate of a kernel's spectrum, centred on the tap that meets the output's own point.

    Attributes:
        matrices: one for every frequency, [F, 2 O, 2 I].
    """

    matrices: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What decides it, in the order of the constructor."""
        return (self.matrices,)

    @property
    def outputs(self) -> int:
        """O."""
        return self.matrices.shape[1] // 2

    @property
    def mixed_bytes(self) -> int:
        """Memory of `mixed`."""
        return _bytes(self.matrices)

    def mixed(self) -> "MatrixSpectrum":
        """Itself."""
        return self

    def part(self, frequencies: slice) -> Tensor:
        """Matrices of some frequencies: [f, 2 O, 2 I]."""
        return self.matrices[frequencies]

    def adjoint(self) -> "MatrixSpectrum":
        """Of the kernel that takes outputs back to inputs."""
        return MatrixSpectrum(self.matrices.mT)


@dataclass(frozen=True)
class FactoredSpectrum:
    """The same of a factored kernel, whose matrices are combined anew for every signal.

        conj(K)[f, o, i] = sum_h planes[f, :, h] coefficients[h, o, i]

    Attributes:
        planes: real and imaginary part of the basis functions' spectra, [F, 2, H].
        coefficients: [H, O, I].
    """

    planes: Tensor
    coefficients: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What decides it, in the order of the constructor."""
        return self.planes, self.coefficients

    @property
    def outputs(self) -> int:
        """O."""
        return self.coefficients.shape[1]

    @property
    def mixed_bytes(self) -> int:
        """Memory of `mixed`."""
        return 4 * len(self.planes) * self.coefficients[0].numel() * self.planes.element_size()

    def mixed(self) -> MatrixSpectrum:
        """The same with the matrices of every frequency, computed once for all signals to come."""
        return MatrixSpectrum(self.part(slice(None)))

    def part(self, frequencies: slice) -> Tensor:
        """Matrices of some frequencies: [f, 2 O, 2 I]."""
        planes = self.planes[frequencies] @ self.coefficients.flatten(1)
        return as_matrices(planes.unflatten(2, self.coefficients.shape[1:]))

    def adjoint(self) -> "FactoredSpectrum":
        """Of the kernel that takes outputs back to inputs: conjugate planes, mixed in the order that products read."""
        real, imaginary = self.planes.unbind(1)
        return FactoredSpectrum(torch.stack([real, -imaginary], dim=1), self.coefficients.mT.contiguous())


KernelSpectrum = MatrixSpectrum | FactoredSpectrum


def kernel_spectrum(kernel: Tensor | FactoredKernel, geometry: Geometry, kind: Kind) -> tuple[KernelSpectrum, Domain]:
    """The spectrum of a kernel for signals of one size, differentiable, and where it is multiplied with theirs.

    Args:
        kernel: taps [O, I, *K], or factored.
        geometry: of kernel and signal.
        kind: transform of the signals. For the DFT the period is the shortest that is exact, for the FFT a fast one.
    """
    short = geometry.shortest_period
    size, period = as_image(geometry.size), as_image(short if kind == "dft" else fast_lengths(short))
    domain = Domain(kind, size, period)
    functions = kernel.basis if isinstance(kernel, FactoredKernel) else kernel.flatten(0, 1)
    taps = geometry.reachable(functions)
    image, before = taps.view(len(taps), *as_image(taps.shape[1:])), as_image(geometry.before, axis=0)
    planes = (_by_products if kind == "dft" else _by_fft)(image, before, period)  # [F, 2, H or O I]
    if isinstance(kernel, FactoredKernel):
        return FactoredSpectrum(planes, kernel.coefficients.permute(2, 0, 1).contiguous()), domain
    return MatrixSpectrum(as_matrices(planes.unflatten(2, kernel.shape[:2]))), domain


def as_matrices(planes: Tensor) -> Tensor:
    """[F, 2, O, I] -> [F, 2 O, 2 I], the complex numbers as matrices of two rows."""
    frequencies, _, outputs, inputs = planes.shape
    matrices = planes.new_empty(frequencies, 2, outputs, 2, inputs)
    matrices[:, :, :, 0] = planes
    matrices[:, 0, :, 1] = -planes[:, 1]
    matrices[:, 1, :, 1] = planes[:, 0]
    return matrices.view(frequencies, 2 * outputs, 2 * inputs)


def adjoint_of_matrices(matrices: Tensor) -> Tensor:
    """What `as_matrices` does to gradients: [f, 2 O, 2 I] -> [f, 2, O, I]."""
    frequencies, outputs, inputs = len(matrices), matrices.shape[1] // 2, matrices.shape[2] // 2
    blocks = matrices.view(frequencies, 2, outputs, 2, inputs)
    planes = matrices.new_empty(frequencies, 2, outputs, inputs)
    torch.add(blocks[:, 0, :, 0], blocks[:, 1, :, 1], out=planes[:, 0])
    torch.sub(blocks[:, 1, :, 0], blocks[:, 0, :, 1], out=planes[:, 1])
    return planes


def as_image(lengths: Sequence[int], axis: int = 1) -> tuple[int, int]:
    """(y, x) of an image or, with a second axis of one point, of a sequence."""
    return (lengths[0], lengths[1]) if len(lengths) == 2 else (lengths[0], axis)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _by_products(taps: Tensor, before: tuple[int, int], period: tuple[int, int]) -> Tensor:
    """[N, K_y, K_x] -> [F, 2, N]."""
    along_y, along_x = _kernel_rotations(tuple(taps.shape[1:]), before, period, taps.dtype, taps.device)
    opened = along_y @ taps.permute(1, 2, 0).reshape(taps.shape[1], -1)
    rows = len(along_y) // 2
    spectrum = torch.bmm(along_x.expand(rows, -1, -1), opened.view(rows, along_x.shape[1], len(taps)))
    return spectrum.view(-1, 2, len(taps))


def _by_fft(taps: Tensor, before: tuple[int, int], period: tuple[int, int]) -> Tensor:
    """[N, K_y, K_x] -> [F, 2, N]."""
    padded = F.pad(taps, (0, period[1] - taps.shape[2], 0, period[0] - taps.shape[1]))
    centred = padded.roll((-before[0], -before[1]), (1, 2))
    spectrum = torch.fft.rfftn(centred, dim=(2, 1)).conj().permute(1, 2, 0).flatten(0, 1)  # [F, N]
    return torch.stack([spectrum.real, spectrum.imag], dim=1)


@lru_cache(maxsize=256)
def _kernel_rotations(
    taps: tuple[int, int], before: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rotations along y and x that take taps to the conjugate spectrum: minus the distance is minus the angle."""
    lags = before[0] - torch.arange(taps[0]), before[1] - torch.arange(taps[1])
    along_y, along_x = rotations(period, lags)
    return along_y.to(device, dtype), along_x.to(device, dtype)
