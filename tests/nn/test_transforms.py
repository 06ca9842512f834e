"""Laws of the two transforms: NumPy's spectrum, its inverse on a window, and adjoints of each other."""

import numpy as np
import pytest
import torch

from restool.nn.transforms import transform
from restool.testing import TOLERANCE, assert_close

PERIODS = [
    ((6, 7), (9, 10)),
    ((5, 8), (5, 8)),
    ((4, 4), (7, 9)),
    ((1, 12), (1, 17)),
    ((1, 5), (1, 8)),
    ((3, 1), (4, 1)),
]
KINDS = ["dft", "fft"]


def over(kind, size, period, dtype=torch.float64):
    return transform(kind, size, period, dtype, torch.device("cpu"))


def analyse(of, signal, step=2):
    """The whole spectrum, read some rows at a time: [2, rows, P_y, B, C]."""
    opened = of.open(signal)
    parts = [of.read(opened, slice(start, min(start + step, of.rows))) for start in range(0, of.rows, step)]
    return torch.cat(parts, dim=1).unflatten(1, (of.rows, of.row_length))


def synthesise(of, spectrum, step=2):
    gathered = of.blank(*spectrum.shape[3:])
    for start in range(0, of.rows, step):
        rows = slice(start, min(start + step, of.rows))
        of.write(gathered, rows, spectrum[:, rows].flatten(1, 2).contiguous())
    return of.close(gathered)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_analysis_is_numpys_spectrum_of_the_signal_followed_by_zeros(size, period, kind, dtype):
    signal = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.fft.rfft2(signal.numpy(), s=period)  # [B, C, P_y, rows]
    actual = analyse(over(kind, size, period, dtype), signal.to(dtype))
    assert actual.dtype == dtype
    for plane, part in zip(actual, (expected.real, expected.imag), strict=True):
        assert_close(plane, torch.from_numpy(part.transpose(3, 2, 0, 1).copy()), tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_synthesis_is_the_window_of_numpys_inverse(size, period, kind):
    of = over(kind, size, period)
    planes = torch.randn(2, of.rows, of.row_length, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    # a spectrum of real signals, as every product of two is: its negative frequencies are the conjugates
    planes = analyse(of, synthesise(of, planes))
    spectrum = torch.complex(planes[0], planes[1]).permute(2, 3, 1, 0).numpy()
    expected = np.fft.irfft2(spectrum, s=period)[..., : size[0], : size[1]]
    assert_close(synthesise(of, planes), torch.from_numpy(expected.copy()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_synthesis_undoes_analysis(size, period, kind):
    of = over(kind, size, period)
    signal = torch.randn(2, 3, *size, dtype=torch.float64)
    assert_close(synthesise(of, analyse(of, signal)), signal)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "period"), PERIODS)
def test_synthesis_is_the_weighted_adjoint_of_analysis(size, period, kind):
    of = over(kind, size, period)
    signal = torch.randn(2, 3, *size, dtype=torch.float64)
    spectrum = torch.randn(2, of.rows, of.row_length, 2, 3, dtype=torch.float64)
    weighted = analyse(of, signal) * of.weights[:, None, None, None]
    assert_close((weighted * spectrum).sum(), (signal * synthesise(of, spectrum)).sum())
