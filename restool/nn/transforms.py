"""Signals to the half spectra of one period, and back: by matrix products (`DFT`) or by the FFT.

    analysis    X[f] = sum_j x[j] exp(-2 pi i f j / P),   0 <= j < n <= P,   f in the half spectrum
    synthesis   y[i] = (1/P) sum over the whole spectrum of Y[f] exp(2 pi i f i / P),   0 <= i < n

As a map of real numbers, synthesis is the adjoint of analysis with the weights `Transform.weights` in between, so the
gradient of either is the other. Spectra are held as two real planes, [2, F, B, C], frequency before channels: the mix
of channels is then one matrix product per frequency, in any dtype. Signals are [B, C, n_y, n_x]; a sequence has
n_y = 1. The half is taken along x: frequency number f_x P_y + f_y, a *row* being all f_y of one f_x.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["dft", "fft"]


class Transform:
    """What both transforms share.

    Args:
        size: (n_y, n_x).
        period: (P_y, P_x), at least the size.
        dtype: of the signals.
        device: of the signals.
    """

    def __init__(self, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device):
        self.size, self.period = size, period
        self.rows, self.row_length = period[1] // 2 + 1, period[0]
        twice = torch.full((self.rows,), 2.0, dtype=torch.float64)  # a frequency stands for its negative too,
        twice[0] = 1
        if period[1] % 2 == 0:
            twice[-1] = 1  # but for the two that are their own
        self.weights = (twice / self.points).to(device, dtype)  # [rows]

    @property
    def points(self) -> int:
        """Of a period: P_y P_x."""
        return math.prod(self.period)

    def open(self, signal: Tensor) -> Tensor:
        """Begin the analysis of a signal [B, C, n_y, n_x]; the result is for `read`."""
        raise NotImplementedError

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        """Spectrum of some rows: [2, f P_y, B, C]."""
        raise NotImplementedError

    def blank(self, batch: int, channels: int) -> Tensor:
        """Where a synthesis gathers its rows."""
        raise NotImplementedError

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        """Add rows [2, f P_y, B, C] to a synthesis, each once."""
        raise NotImplementedError

    def close(self, gathered: Tensor) -> Tensor:
        """End a synthesis: [B, C, n_y, n_x]."""
        raise NotImplementedError


class DFT(Transform):
    """By products with cosine and sine matrices, rectangular because only n of P points are not zero.

    Every product reads its operands where they lie, so that no signal and no spectrum is ever transposed in memory.
    """

    def __init__(self, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device):
        super().__init__(size, period, dtype, device)
        self.dtype, self.device = dtype, device
        cosine, sine = (m[: self.rows] for m in _rotations(period[1], size[1], device))
        half = torch.stack([cosine, -sine])  # [2, rows, n_x]
        self.along_x = half.to(dtype).flatten(0, 1)
        self.back_along_x = (half * self.weights.double()[:, None]).to(dtype).flatten(0, 1)
        cosine, sine = _rotations(period[0], size[0], device)
        self.cosine, self.sine, self.minus_sine = cosine.to(dtype), sine.to(dtype), (-sine).to(dtype)  # [P_y, n_y]

    def open(self, signal: Tensor) -> Tensor:
        """[2, rows, B, C, n_y]: transformed along x."""
        batch, channels, height, width = signal.shape
        opened = self.along_x @ signal.reshape(-1, width).T
        return opened.view(2, self.rows, batch, channels, height)

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        real, imaginary = (plane[rows].flatten(1, 2).mT for plane in opened)  # [f, n_y, B C]
        count = len(real)
        cosine, sine, minus_sine = (m.expand(count, -1, -1) for m in (self.cosine, self.sine, self.minus_sine))
        spectrum = opened.new_empty(2, count, self.row_length, real.shape[2])
        torch.bmm(cosine, real, out=spectrum[0]).baddbmm_(sine, imaginary)
        torch.bmm(cosine, imaginary, out=spectrum[1]).baddbmm_(minus_sine, real)
        return spectrum.view(2, -1, *opened.shape[2:4])

    def blank(self, batch: int, channels: int) -> Tensor:
        """[2, rows, B, C, n_y]."""
        return torch.empty(2, self.rows, batch, channels, self.size[0], dtype=self.dtype, device=self.device)

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        count = rows.stop - rows.start
        real, imaginary = spectrum.view(2, count, self.row_length, -1).mT  # [f, B C, P_y]
        cosine, sine, minus_sine = (m.expand(count, -1, -1) for m in (self.cosine, self.sine, self.minus_sine))
        into = gathered[:, rows].flatten(2, 3)  # [2, f, B C, n_y]
        torch.bmm(real, cosine, out=into[0]).baddbmm_(imaginary, minus_sine)
        torch.bmm(real, sine, out=into[1]).baddbmm_(imaginary, cosine)

    def close(self, gathered: Tensor) -> Tensor:
        signal = gathered.view(2 * self.rows, -1).T @ self.back_along_x  # [B C n_y, n_x]
        return signal.view(*gathered.shape[2:4], *self.size)


class FFT(Transform):
    """By PyTorch's FFT, then one copy into planes with the frequency first."""

    def open(self, signal: Tensor) -> Tensor:
        """[2, F, B, C]: the whole spectrum."""
        spectrum = torch.fft.rfftn(signal, s=self.period, dim=(2, 3))
        planes = torch.view_as_real(spectrum).permute(4, 3, 2, 0, 1)  # [2, rows, P_y, B, C]
        return planes.contiguous().flatten(1, 2)

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        return opened[:, rows.start * self.row_length : rows.stop * self.row_length]

    def blank(self, batch: int, channels: int) -> Tensor:
        """[2, F, B, C]."""
        return self.weights.new_empty(2, self.rows * self.row_length, batch, channels)

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        gathered[:, rows.start * self.row_length : rows.stop * self.row_length] = spectrum

    def close(self, gathered: Tensor) -> Tensor:
        planes = gathered.unflatten(1, (self.rows, self.row_length)).permute(3, 4, 2, 1, 0)  # [B, C, P_y, rows, 2]
        signal = torch.fft.irfftn(torch.view_as_complex(planes.contiguous()), s=self.period, dim=(2, 3))
        return signal[:, :, : self.size[0], : self.size[1]]


@lru_cache(maxsize=256)
def transform(
    kind: Kind, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Transform:
    """The transform of a kind; its matrices are made once and shared, not to be written to."""
    return (DFT if kind == "dft" else FFT)(size, period, dtype, device)


def _rotations(period: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cos and sin of 2 pi f j / P for 0 <= f < P and 0 <= j < n: two of [P, n], float64."""
    turns = torch.arange(period, device=device)[:, None] * torch.arange(size, device=device) % period
    angles = turns.double() * (2 * math.pi / period)
    return angles.cos(), angles.sin()
