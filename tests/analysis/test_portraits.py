"""Laws of the portraits of kernels: they are those that a model samples, and their energy is that of a dense FFT."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from restool.aliasing import energies, frequency_bounds
from restool.analysis.portraits import energy_above, portraits
from restool.kernels import SIREN, GaussianMask, MAGNet
from restool.models import build_model
from restool.nn import ContinuousConv
from restool.report.portrait import table
from restool.report.portraits import write_portraits

SOURCE, TARGET = 8, 12


def layer(sigma: float = 0.25) -> ContinuousConv:
    torch.manual_seed(0)
    mask = GaussianMask(2, sigma=sigma)
    return ContinuousConv(2, 3, kernel=MAGNet(2, 6, hidden=8), mask=mask, reference_size=SOURCE).double()


@torch.no_grad()
def test_energy_is_that_of_the_dense_kernels():
    kernel = layer().factored((24, 24))
    frequencies, above = energy_above(kernel, 24)
    energy = (np.abs(np.fft.fft2(kernel.dense().numpy(), s=(96, 96))) ** 2).sum((0, 1))
    along = np.abs(np.fft.fftfreq(96, 2 / 24))
    highest = np.maximum(along[:, None], along)
    for f, share in zip(frequencies[::16], above[::16], strict=True):
        assert share == pytest.approx(energy[highest > f].sum() / energy.sum(), abs=1e-9)
    assert (np.diff(above) <= 1e-12).all()
    assert (frequencies[0], frequencies[-1]) == (0, 6)


@torch.no_grad()
def test_the_share_above_the_sources_nyquist_frequency_is_the_penaltys():
    model = nn.Sequential(layer())
    [portrait] = portraits(model, SOURCE, SOURCE)  # on the penalty's own grid
    [penalised] = energies(model, SOURCE)
    assert portrait.share_above(SOURCE) == pytest.approx(float(penalised.ratio), abs=5e-4)


@torch.no_grad()
def test_pictures_are_the_kernels_of_most_energy_mask_included():
    model = nn.Sequential(layer())
    [portrait] = portraits(model, SOURCE, TARGET)
    whole = model[0].uncropped().sample((24, 24)).flatten(0, 1)
    most = whole.square().sum((1, 2)).argsort(descending=True)[:3]
    assert np.allclose(portrait.pictures, whole[most].numpy(), atol=1e-12)
    height, width = model[0].sample((SOURCE, SOURCE)).shape[2:]
    assert portrait.taps == (height, width)
    assert portrait.covered == (height / 4, width / 4)  # a pixel of 8 is a quarter of a unit


def test_bounds_are_the_sums_of_the_filters_frequencies_where_these_are_known():
    model = build_model("flexnet[3,4]", reference_size=8)
    bounds = frequency_bounds(model)
    network = model.stem.kernel
    by_hand = 0.0
    for filter_ in network.filters:
        by_hand += filter_.weight.abs().max().item() / (2 * math.pi)
        by_hand += filter_.inverse_width.abs().max().item() / math.pi
    assert bounds["stem"] == pytest.approx(by_hand, rel=1e-5)
    assert frequency_bounds(ContinuousConv(1, 1, kernel=SIREN(2, 1), reference_size=8)) == {}


def test_files_hold_the_table(tmp_path):
    found = portraits(build_model("flexnet[3,4]", reference_size=SOURCE), SOURCE, TARGET)
    files, rows = write_portraits(tmp_path, found, SOURCE, TARGET)
    assert [file.name for file in files] == ["kernels.png", "kernels.pdf", "kernels.csv"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "kernels.csv"), rows, atol=1e-6)
    assert list(rows["layer"]) == ["stem", "blocks.0.conv1", "blocks.0.conv2"]
    assert (rows["above_source_nyquist"] > rows["above_target_nyquist"]).all()
    pd.testing.assert_frame_equal(rows, table(found, SOURCE, TARGET))


def test_a_model_without_continuous_kernels_has_none():
    assert portraits(build_model("flexnet[3,4]-conv3", reference_size=8), 8, 16) == []
