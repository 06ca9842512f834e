"""Spectra of kernels: of the taps of every channel pair, or of the few functions that a kernel combines.

    conj(K)[f] = sum_k K[k] exp(2 pi i f (k - before) / P),   f as in `restool.nn.transforms`

A complex product Y = conj(K) X of channels is the real product [Y_r; Y_i] = [[K_r, -K_i], [K_i, K_r]] [X_r; X_i] with
the two planes of conj(K): a matrix [2 O, 2 I] for every frequency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.nn.factored import FactoredKernel
from restool.nn.geometry import Geometry, fast_lengths
from restool.nn.transforms import Kind, rotations


@dataclass(frozen=True)
class KernelSpectrum:
    """Complex conjugate of a kernel's spectrum, centred on the tap that meets the output's own point.

    Attributes:
        values: matrices [F, 2 O, 2 I], or the planes of the basis functions of a factored kernel, [F, 2, H].
        coefficients: [H, O, I] of a factored kernel, else None.
        kind: transform of the signals.
        size: (n_y, n_x) of the signals.
        period: (P_y, P_x).
    """

    values: Tensor
    coefficients: Tensor | None
    kind: Kind
    size: tuple[int, int]
    period: tuple[int, int]

    @property
    def mixed_bytes(self) -> int:
        """Memory of the matrices of `mixed`."""
        if self.coefficients is None:
            return self.values.numel() * self.values.element_size()
        return 4 * len(self.values) * self.coefficients[0].numel() * self.values.element_size()

    def mixed(self) -> "KernelSpectrum":
        """The same with the matrices of every frequency, computed once for all signals to come."""
        if self.coefficients is None:
            return self
        return KernelSpectrum(mix(self.values, self.coefficients), None, self.kind, self.size, self.period)


def kernel_spectrum(kernel: Tensor | FactoredKernel, geometry: Geometry, kind: Kind) -> KernelSpectrum:
    """The spectrum of a kernel for signals of one size; differentiable.

    Args:
        kernel: taps [O, I, *K], or factored.
        geometry: of kernel and signal.
        kind: transform of the signals. For the DFT the period is the shortest that is exact, for the FFT a fast one.
    """
    short = geometry.shortest_period
    size, period = as_image(geometry.size), as_image(short if kind == "dft" else fast_lengths(short))
    functions = kernel.basis if isinstance(kernel, FactoredKernel) else kernel.flatten(0, 1)
    taps = geometry.reachable(functions)
    image, before = taps.view(len(taps), *as_image(taps.shape[1:])), as_image(geometry.before, axis=0)
    planes = (_by_products if kind == "dft" else _by_fft)(image, before, period)  # [F, 2, H or O I]
    if isinstance(kernel, FactoredKernel):
        return KernelSpectrum(planes, kernel.coefficients.permute(2, 0, 1).contiguous(), kind, size, period)
    return KernelSpectrum(as_matrices(planes.unflatten(2, kernel.shape[:2])), None, kind, size, period)


def mix(planes: Tensor, coefficients: Tensor) -> Tensor:
    """Matrices of a factored kernel: [F, 2, H] and [H, O, I] -> [F, 2 O, 2 I]."""
    return as_matrices((planes @ coefficients.flatten(1)).unflatten(2, coefficients.shape[1:]))


def as_matrices(planes: Tensor) -> Tensor:
    """[F, 2, O, I] -> [F, 2 O, 2 I], the complex numbers as matrices of two rows."""
    frequencies, _, outputs, inputs = planes.shape
    matrices = planes.new_empty(frequencies, 2, outputs, 2, inputs)
    matrices[:, :, :, 0] = planes
    matrices[:, 0, :, 1] = -planes[:, 1]
    matrices[:, 1, :, 1] = planes[:, 0]
    return matrices.view(frequencies, 2 * outputs, 2 * inputs)


def as_image(lengths: Sequence[int], axis: int = 1) -> tuple[int, int]:
    """(y, x) of an image or, with a second axis of one point, of a sequence."""
    return (lengths[0], lengths[1]) if len(lengths) == 2 else (lengths[0], axis)


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
