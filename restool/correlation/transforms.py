"""Signals to the half spectra of one period, and back: by matrix products (`DFT`) or by the FFT.

    analysis    X[f] = sum_j x[j] exp(-2 pi i f j / P),   0 <= j < n <= P,   f in the half spectrum
    synthesis   y[i] = (1/P) sum over the whole spectrum of Y[f] exp(2 pi i f i / P),   0 <= i < n

The half is taken along y. There the FFT has the frequencies 0, 1, ..., P/2, of which the first and the last are their
own negatives: half of what is computed for them is known. The DFT has 1/2, 3/2, ..., and for even P no such frequency.
A period of zeros around the signal makes both exact: what wraps, with its sign changed in the second case, meets zeros.

As a map of real numbers, synthesis is the adjoint of analysis with the weights `Transform.weights` in between, so the
gradient of either is the other. Signals are [B, C, n_y, n_x]; a sequence has n_x = 1. Spectra are real, [F, 2 C, B]:
for every frequency the real parts of all channels, then the imaginary parts, and the batch last. A mix of channels is
then one matrix product per frequency with long rows, in any dtype. Frequencies are numbered row by row, a *row* being
all f_x of one f_y.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from restool.correlation.layout import as_images, batch_last

Kind = Literal["dft", "fft"]


def whole_frequencies(period: int) -> Tensor:
    """0, 1, ... up to P/2."""
    return torch.arange(period // 2 + 1)


def odd_frequencies(period: int) -> Tensor:
    """1/2, 3/2, ... up to P/2."""
    return torch.arange((period + 1) // 2) + 0.5


class Transform:
    """What both transforms share.

    Args:
        size: (n_y, n_x).
        period: (P_y, P_x), at least the size.
        dtype: of the signals.
        device: of the signals.
    """

    frequencies: Callable[[int], Tensor]
    """P -> those of the half along y."""

    def __init__(self, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device):
        self.size, self.period, self.dtype, self.device = size, period, dtype, device
        frequencies = type(self).frequencies(period[0])
        self.rows, self.row_length = len(frequencies), period[1]
        own_negative = (2 * frequencies) % period[0] == 0  # any other stands for its negative too
        weights = torch.where(own_negative, 1.0, 2.0).double() / math.prod(period)
        self.weights = weights.to(device, dtype)  # [rows]

    def frequencies_of(self, rows: slice) -> slice:
        """Of some rows, their frequencies by number."""
        return slice(rows.start * self.row_length, rows.stop * self.row_length)

    def weights_of(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """Of some rows, the weights of their frequencies: [f, 1, 1]."""
        return self.weights[rows].to(dtype).repeat_interleave(self.row_length)[:, None, None]

    def open(self, signal: Tensor) -> Tensor:
        """Begin the analysis of a signal [B, C, n_y, n_x]; the result is for `read`."""
        raise NotImplementedError

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        """Spectrum of some rows: [f P_x, 2 C, B]."""
        raise NotImplementedError

    def blank(self, batch: int, channels: int) -> Tensor:
        """Where a synthesis gathers its rows."""
        raise NotImplementedError

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        """Add rows [f P_x, 2 C, B] to a synthesis, each once."""
        raise NotImplementedError

    def close(self, gathered: Tensor) -> Tensor:
        """End a synthesis: [B, C, n_y, n_x], in the layout that costs nothing."""
        raise NotImplementedError


class DFT(Transform):
    """By products with cosine and sine matrices, rectangular because only n of P points are not zero.

    With the batch last every stage is one product of matrices that lie in memory as it needs them.
    """

    frequencies = staticmethod(odd_frequencies)

    def __init__(self, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device):
        super().__init__(size, period, dtype, device)
        along_y, along_x = rotations(period, (torch.arange(size[0]), torch.arange(size[1])))
        weights = self.weights.cpu().double().repeat_interleave(2)  # of real and imaginary parts
        matrices = (along_y, along_x, along_x.T, along_y.T * weights)
        self.along_y, self.along_x, self.back_along_x, self.back_along_y = (
            matrix.to(device, dtype).contiguous() for matrix in matrices
        )

    def open(self, signal: Tensor) -> Tensor:
        """[rows, 2 n_x, C, B]: transformed along y."""
        images = batch_last(signal)
        opened = self.along_y @ images.view(self.size[0], -1)
        return opened.view(self.rows, 2 * self.size[1], *images.shape[2:])

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        part = opened[rows].flatten(2)
        spectrum = torch.bmm(self.along_x.expand(len(part), -1, -1), part)  # [f, 2 P_x, C B]
        return spectrum.view(-1, 2 * opened.shape[2], opened.shape[3])

    def blank(self, batch: int, channels: int) -> Tensor:
        """[rows, 2 n_x, C, B]."""
        return torch.empty(self.rows, 2 * self.size[1], channels, batch, dtype=self.dtype, device=self.device)

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        into = gathered[rows].flatten(2)
        spectrum = spectrum.view(len(into), 2 * self.row_length, -1)
        torch.bmm(self.back_along_x.expand(len(into), -1, -1), spectrum, out=into)

    def close(self, gathered: Tensor) -> Tensor:
        images = self.back_along_y @ gathered.view(2 * self.rows, -1)
        return as_images(images.view(*self.size, *gathered.shape[2:]))


class FFT(Transform):
    """By PyTorch's FFT, then one copy into the order of products."""

    frequencies = staticmethod(whole_frequencies)

    def open(self, signal: Tensor) -> Tensor:
        """[F, 2 C, B]: the whole spectrum."""
        spectrum = torch.fft.rfftn(signal, s=self.period[::-1], dim=(3, 2))
        planes = torch.view_as_real(spectrum).permute(2, 3, 4, 1, 0)  # [rows, P_x, 2, C, B]
        return planes.reshape(self.rows * self.row_length, -1, len(signal))

    def read(self, opened: Tensor, rows: slice) -> Tensor:
        return opened[self.frequencies_of(rows)]

    def blank(self, batch: int, channels: int) -> Tensor:
        """[F, 2 C, B]."""
        return self.weights.new_empty(self.rows * self.row_length, 2 * channels, batch)

    def write(self, gathered: Tensor, rows: slice, spectrum: Tensor) -> None:
        gathered[self.frequencies_of(rows)] = spectrum

    def close(self, gathered: Tensor) -> Tensor:
        planes = gathered.view(self.rows, self.row_length, 2, -1, gathered.shape[2]).permute(4, 3, 0, 1, 2)
        spectrum = torch.view_as_complex(planes.contiguous())  # [B, C, rows, P_x]
        signal = torch.fft.irfftn(spectrum, s=self.period[::-1], dim=(3, 2))
        return signal[:, :, : self.size[0], : self.size[1]]


@lru_cache(maxsize=256)
def transform(
    kind: Kind, size: tuple[int, int], period: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Transform:
    """The transform of a kind; its matrices are made once and shared, not to be written to."""
    return (DFT if kind == "dft" else FFT)(size, period, dtype, device)


def rotations(period: tuple[int, int], places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """exp(-2 pi i f j / P) at given j as it acts on real numbers, along y and then along x.

    Args:
        period: (P_y, P_x).
        places: j along each axis.

    Returns:
        [(f_y, 2), j_y] for the half spectrum of the DFT, and [(f_x, 2), (2, j_x)], which takes real and imaginary
        parts; float64.
    """
    cosine, sine = _angles(odd_frequencies(period[0]), period[0], places[0])
    along_y = torch.stack([cosine, -sine], dim=1).flatten(0, 1)
    cosine, sine = _angles(torch.arange(period[1]), period[1], places[1])
    real, imaginary = torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)
    return along_y, torch.stack([real, imaginary], dim=1).flatten(0, 1)


def _angles(frequencies: Tensor, period: int, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of 2 pi f j / P, from products reduced to one turn: two of [f, j]."""
    turns = frequencies.double()[:, None] * places % period
    angles = turns * (2 * math.pi / period)
    return angles.cos(), angles.sin()
