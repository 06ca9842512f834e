"""Laws of the portraits of causal kernels: lags lie where the kernel is sampled, energy is that of a dense FFT."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from restool.aliasing import energies, frequency_bounds
from restool.analysis.portraits import energy_above, portraits
from restool.kernels import GaussianMask, MAGNet
from restool.kernels.base import KernelNetwork
from restool.nn import ContinuousConv
from restool.report.causal_portraits import lags, spectrum
from restool.report.portrait import Portrait
from restool.report.portraits import draw, write_portraits

SOURCE, TARGET = 16, 24


def layer() -> ContinuousConv:
    torch.manual_seed(0)
    mask = GaussianMask(1, mean=1.0, sigma=0.25)
    return ContinuousConv(2, 3, kernel=MAGNet(1, 6, hidden=8), mask=mask, reference_size=SOURCE).double()


class Wave(KernelNetwork):
    """psi(p) = cos(2 pi f p)."""

    def __init__(self, frequency: float) -> None:
        super().__init__(1, 1, 1)
        self.frequency = frequency
        nn.init.ones_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def hidden_functions(self, coordinates: torch.Tensor) -> torch.Tensor:
        return torch.cos(2 * math.pi * self.frequency * coordinates)


@torch.no_grad()
def test_causal_energy_is_that_of_the_dense_kernels():
    kernel = layer().factored((48,))
    frequencies, above = energy_above(kernel, 48)
    energy = (np.abs(np.fft.fft(kernel.dense().numpy(), n=192)) ** 2).sum((0, 1))
    along = np.abs(np.fft.fftfreq(192, 2 / 48))
    for f, share in zip(frequencies[::16], above[::16], strict=True):
        assert share == pytest.approx(energy[along > f].sum() / energy.sum(), abs=1e-9)
    assert (frequencies[0], frequencies[-1]) == (0, 12)


@torch.no_grad()
def test_the_share_above_the_sources_nyquist_frequency_is_the_penaltys():
    model = nn.Sequential(layer())
    [portrait] = portraits(model, SOURCE, SOURCE)  # on the penalty's own grid
    [penalised] = energies(model, SOURCE)
    assert portrait.share_above(SOURCE) == pytest.approx(float(penalised.ratio), abs=4e-3)  # half a bin of the FFT


@torch.no_grad()
def test_a_picture_goes_through_the_taps_of_the_source_at_their_lags():
    model = nn.Sequential(layer())
    [portrait] = portraits(model, SOURCE, TARGET)
    taps = model[0].uncropped().sample((SOURCE,)).flatten(0, 1)
    kept = model[0].sample((SOURCE,)).shape[2]
    assert portrait.causal
    assert (portrait.taps, portrait.covered) == ((kept,), (kept / 8,))  # a step of 16 is an eighth of a unit
    steps = lags(portrait) * SOURCE / 2
    at_source = [np.interp(np.arange(SOURCE), steps[::-1], picture[::-1]) for picture in portrait.pictures]
    for kernel in at_source:
        assert min(np.abs(kernel[::-1] - each).max() for each in taps.numpy()) < 1e-12


@torch.no_grad()
def test_a_wave_has_its_spectrum_and_its_bound_at_its_frequency_in_units_of_the_sequence():
    wave = ContinuousConv(1, 1, kernel=Wave(7.0), reference_size=64)
    [portrait] = portraits(nn.Sequential(wave), 64, 64)
    frequencies, power = spectrum(portrait)
    assert power.max() == pytest.approx(1)
    in_sequence = 7 * 64 / 63  # 63 lags of 64 steps are the two units of the kernel
    assert frequencies[power.argmax()] == pytest.approx(in_sequence, abs=0.25)
    assert portrait.share_above(4 * 6) > 0.9  # 24 steps carry 6 cycles a unit, 32 carry 8
    assert portrait.share_above(4 * 8) < 0.1


def test_bounds_of_causal_kernels_are_in_units_of_the_sequence():
    causal = layer()
    network = causal.kernel
    by_hand = 0.0
    for filter_ in network.filters:
        by_hand += (
            filter_.weight.abs().max().item() / (2 * math.pi) + filter_.inverse_width.abs().max().item() / math.pi
        )
    assert frequency_bounds(nn.Sequential(causal))["0"] == pytest.approx(by_hand * 16 / 15, rel=1e-5)


def test_a_causal_portrait_is_read_as_it_was_written(tmp_path):
    found = portraits(nn.Sequential(layer(), layer()), SOURCE, TARGET)
    again = [Portrait.from_plain(json.loads(json.dumps(portrait.as_plain()))) for portrait in found]
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(other.pictures, one.pictures, rtol=2**-11, atol=1e-7)  # half precision
        assert (other.taps, other.covered, other.causal) == (one.taps, one.covered, True)
    _, rows = write_portraits(tmp_path, again, SOURCE, TARGET)
    written = pd.read_csv(tmp_path / "kernels.csv", dtype={"layer": str})
    pd.testing.assert_frame_equal(written, rows, atol=1e-6)
    assert list(rows["taps"]) == [found[0].taps[0]] * 2


def test_a_kernel_that_half_precision_makes_0_is_drawn_without_a_warning():
    [portrait] = portraits(nn.Sequential(layer()), SOURCE, TARGET)
    faint = Portrait.from_plain(replace(portrait, pictures=1e-9 * portrait.pictures).as_plain())
    assert not faint.pictures.any()
    _, power = spectrum(faint)
    assert power.max() < 1e-6
    assert draw([faint], SOURCE, TARGET).axes


def test_the_figure_marks_lags_and_nyquist_frequencies_of_both_grids():
    found = portraits(nn.Sequential(layer()), SOURCE, TARGET)
    figure = draw(found, SOURCE, TARGET)
    kernels, newest, energy, _ = figure.axes
    of_source, of_target = newest.get_lines()[1:3]
    assert list(of_source.get_xdata()) == list(range(len(of_source.get_xdata())))
    np.testing.assert_allclose(np.diff(of_target.get_xdata()), SOURCE / TARGET)
    assert [line.get_xdata()[0] for line in energy.get_lines()[-2:]] == [SOURCE / 4, TARGET / 4]
    assert [text.get_text() for text in energy.texts][:2] == ["16 steps", "24 steps"]
    told = " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))
    assert "px" not in told
    assert {kernels.get_xlabel(), newest.get_xlabel()} == {"lag, steps of 16"}
    assert energy.get_xlabel() == "frequency f, cycles per unit"
