"""Laws of the two transforms: NumPy's spectrum, its inverse on a window, and adjoints of each other."""

import numpy as np
import pytest
import torch

from restool.correlation.transforms import transform
from restool.testing import TOLERANCE, assert_close

PERIODS = [
    ((6, 7), (9, 10)),
    ((5, 8), (5, 8)),
    ((4, 4), (7, 9)),
    ((6, 4), (10, 6)),
    ((12, 1), (17, 1)),
    ((5, 1), (8, 1)),
    ((1, 3), (1, 4)),
]
KINDS = ["dft", "fft"]


def over(kind, size, period, dtype=torch.float64):
    return transform(kind, size, period, dtype, torch.device("cpu"))


def analyse(of, signal, step=2):
    """The whole spectrum, read some rows at a time: [rows, P_x, 2, C, B]."""
    opened = of.open(signal)
    parts = [of.read(opened, slice(start, min(start + step, of.rows))) for start in range(0, of.rows, step)]
    return torch.cat(parts).view(of.rows, of.row_length, 2, signal.shape[1], len(signal))


def synthesise(of, spectrum, step=2):
    channels, batch = spectrum.shape[3:]
    gathered = of.blank(batch, channels)
    for start in range(0, of.rows, step):
        rows = slice(start, min(start + step, of.rows))
        of.write(gathered, rows, spectrum[rows].reshape(-1, 2 * channels, batch))
    return of.close(gathered)


def numpys(kind, signal, period):
    """NumPy's complex spectrum at the frequencies that a kind has along y: [B, C, rows, P_x]."""
    whole = np.zeros((*signal.shape[:2], *period))
    whole[:, :, : signal.shape[2], : signal.shape[3]] = signal
    if kind == "fft":
        return np.fft.fft2(whole)[:, :, : period[0] // 2 + 1]
    half_a_step = np.exp(-1j * np.pi * np.arange(period[0]) / period[0])[:, None]
    return np.fft.fft2(whole * half_a_step)[:, :, : (period[0] + 1) // 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_analysis_is_numpys_spectrum_of_the_signal_followed_by_zeros(size, period, kind, dtype):
    signal = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = numpys(kind, signal.numpy(), period)
    actual = analyse(over(kind, size, period, dtype), signal.to(dtype))
    assert actual.dtype == dtype
    for plane, part in zip(actual.unbind(2), (expected.real, expected.imag), strict=True):
        assert_close(plane, torch.from_numpy(part.transpose(2, 3, 1, 0).copy()), tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_the_product_of_two_spectra_is_synthesised_as_the_window_of_a_convolution(size, period, kind):
    """Where the period leaves room for it: a filter of as many taps as the period exceeds the size, and one."""
    random = np.random.default_rng(0)
    taps = tuple(p - n + 1 for p, n in zip(period, size, strict=True))
    signal, filter_ = random.normal(size=(1, 1, *size)), random.normal(size=(1, 1, *taps))
    product = numpys(kind, signal, period) * numpys(kind, filter_, period)
    spectrum = torch.from_numpy(np.stack([product.real, product.imag])).permute(3, 4, 0, 2, 1).contiguous()
    full = np.fft.ifft2(np.fft.fft2(signal, s=[64, 64]) * np.fft.fft2(filter_, s=[64, 64])).real
    expected = torch.from_numpy(full[:, :, : size[0], : size[1]].copy())
    assert_close(synthesise(over(kind, size, period), spectrum), expected)


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "batch last", "strided"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_synthesis_undoes_analysis_of_any_layout(size, period, kind, layout):
    of = over(kind, size, period)
    signal = torch.randn(2, 3, *size, dtype=torch.float64)
    if layout == "channels last":
        signal = signal.contiguous(memory_format=torch.channels_last)
    elif layout == "batch last":
        signal = signal.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    elif layout == "strided":
        signal = signal.mT.contiguous().mT
    assert_close(synthesise(of, analyse(of, signal)), signal)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_synthesis_is_the_weighted_adjoint_of_analysis(size, period, kind):
    of = over(kind, size, period)
    signal = torch.randn(2, 3, *size, dtype=torch.float64)
    spectrum = torch.randn(of.rows, of.row_length, 2, 3, 2, dtype=torch.float64)
    weighted = analyse(of, signal) * of.weights[:, None, None, None, None]
    assert_close((weighted * spectrum).sum(), (signal * synthesise(of, spectrum)).sum())
