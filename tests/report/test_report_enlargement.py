"""Laws of the three ways to enlarge a kernel, and of what is measured of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from torchvision.ops import deform_conv2d

from restool.analysis.enlargement import enlarge, example_layer
from restool.report.enlargement import (
    FREQUENCIES,
    NYQUIST,
    RATIO,
    TAPS,
    SampledKernel,
    measure,
    profile,
    write_figure,
)

COMMITTED = Path(__file__).resolve().parent.parent.parent / "results" / "figure3"
PERIOD = len(FREQUENCIES) // RATIO  # steps of 1 cycle per source pixel


@pytest.fixture(scope="module")
def layer():
    return example_layer(0)


@pytest.fixture(scope="module")
def kernels(layer):
    return enlarge(layer)


@pytest.fixture(scope="module")
def source(layer):
    """The taps on the source grid."""
    with torch.no_grad():
        return layer.sample((TAPS, TAPS))[0, 0].numpy()


WINDOW = 2.0  # standard deviation in source pixels


def wave(cycles):
    """A patch of a wave along x in a Gaussian window, on the target grid."""
    offsets = np.arange(-40, 41) / RATIO
    window = np.exp(-(offsets**2) / (2 * WINDOW**2))
    return SampledKernel(np.outer(window, window * np.cos(2 * np.pi * cycles * offsets)), 1 / RATIO)


def test_the_response_of_a_gaussian_is_a_gaussian():
    offsets, width = np.arange(-48, 49) / 3, 2.0
    line = np.exp(-(offsets**2) / (2 * width**2))
    transfer = 3 * width * np.sqrt(2 * np.pi) * np.exp(-2 * (np.pi * width * FREQUENCIES) ** 2)  # of an endless one
    response = SampledKernel(np.outer(line, line), 1 / 3).response
    np.testing.assert_allclose(response, np.outer(transfer, transfer), atol=1e-9 * response.real.max())


def test_the_frequencies_are_the_middles_of_equal_steps_over_the_band_of_the_target_grid():
    steps = np.diff(FREQUENCIES)
    np.testing.assert_allclose(steps, steps[0])
    np.testing.assert_allclose(FREQUENCIES, -FREQUENCIES[::-1], atol=1e-12)
    assert FREQUENCIES[-1] + steps[0] / 2 == pytest.approx(RATIO * NYQUIST)
    assert (np.abs(FREQUENCIES) < NYQUIST).sum() == PERIOD


def test_deformation_repeats_the_band_of_the_source_grid(kernels, source):
    response = kernels["deformation"].response
    np.testing.assert_allclose(response, SampledKernel(source, 1).response, atol=1e-12)
    np.testing.assert_allclose(response[:-PERIOD], response[PERIOD:], atol=1e-12)


def test_deformation_is_what_offsets_do_to_a_grid_of_taps(kernels, source):
    taps = torch.from_numpy(source)[None, None]
    impulse = torch.zeros(1, 1, 33, 33, dtype=taps.dtype)
    impulse[0, 0, 16, 16] = 1
    grid = torch.cartesian_prod(*[torch.arange(TAPS) - TAPS // 2] * 2)  # y, x of every tap
    offsets = ((RATIO - 1) * grid).reshape(1, -1, 1, 1).expand(-1, -1, 33, 33).to(taps)
    answer = deform_conv2d(impulse, offsets, taps, padding=TAPS // 2)[0, 0]
    expected = np.pad(kernels["deformation"].taps, 1)[::-1, ::-1]  # a correlation turns its kernel around
    np.testing.assert_allclose(answer.numpy(), expected, atol=1e-12)


def test_dilation_multiplies_by_the_transfer_of_its_gaussian(kernels, source):
    transfer = np.exp(-2 * (np.pi * 0.5 * FREQUENCIES) ** 2)
    expected = SampledKernel(source, 1).response * np.outer(transfer, transfer)
    error = np.abs(kernels["dilation"].response - expected).max() / np.abs(expected).max()
    assert error < 0.05  # the layer cuts its Gaussian off at two standard deviations


def test_requery_passes_through_the_taps_of_the_source_grid(kernels, source):
    middle = len(kernels["requery"].taps) // 2
    kept = kernels["requery"].taps[middle % RATIO :: RATIO, middle % RATIO :: RATIO]
    np.testing.assert_allclose(RATIO**2 * kept, source, atol=1e-12)


def test_all_ways_keep_the_answer_to_a_constant_image(kernels):
    sums = {name: kernel.taps.sum() for name, kernel in kernels.items()}
    assert sums["dilation"] == pytest.approx(sums["deformation"])
    for name in ("dilation", "requery"):
        assert sums[name] == pytest.approx(sums["continuous"], abs=0.02 * np.abs(kernels["continuous"].response).max())


@pytest.mark.parametrize("cycles", [0.2, 0.45, 0.55, 1.0])
def test_energy_is_counted_on_its_side_of_the_nyquist_frequency(cycles):
    row = measure({"continuous": wave(0.2), "other": wave(cycles)}).iloc[1]
    deviation = 1 / (2 * np.pi * np.sqrt(2) * WINDOW)  # of the energy, which is normally distributed around the wave's
    above = norm.sf(NYQUIST, cycles, deviation)
    overlap = np.exp(-((np.pi * WINDOW * (cycles - 0.2)) ** 2))
    assert row["above_share"] == pytest.approx(above, abs=5e-3)  # the band is summed in steps of 1/40
    assert row["in_band_energy"] == pytest.approx(1 - above, abs=5e-3)
    assert row["response_error"] == pytest.approx(np.sqrt(2 - 2 * overlap), abs=5e-3)


def test_the_profile_peaks_at_the_frequency_of_a_wave():
    curves = profile({"continuous": wave(0.5), "other": wave(1.0)})
    for name, cycles in (("continuous", 0.5), ("other", 1.0)):
        assert curves["frequency"][curves[name].idxmax()] == pytest.approx(cycles, abs=0.03)
    assert curves["continuous"].max() == 1
    assert curves["frequency"].iloc[-1] == pytest.approx(RATIO / 2 - 1 / 80)


@pytest.mark.parametrize("seed", range(4))
def test_requery_is_nearest_to_the_kernel_dilation_loses_detail_and_deformation_adds_copies(seed):
    rows = measure(enlarge(example_layer(seed))).set_index("kernel")
    error, above, inside = rows["response_error"], rows["above_share"], rows["in_band_energy"]
    assert error["continuous"] == 0
    assert error["requery"] < 0.03 < 0.1 < error["dilation"] < error["deformation"]
    assert inside["dilation"] < 0.95 * inside["requery"]
    assert above["deformation"] == pytest.approx(1 - 1 / RATIO**2, abs=0.01)  # one of nine copies is in band
    assert above["requery"] == pytest.approx(above["continuous"], abs=0.003)


def test_equal_seeds_write_equal_bytes_and_others_another_kernel(kernels, tmp_path):
    contents = []
    for name in ("first", "second"):
        files, table = write_figure(tmp_path / name, enlarge(example_layer(1)))
        assert [file.name for file in files] == ["kernel.png", "kernel.pdf", "kernel.csv", "kernel-response.csv"]
        pd.testing.assert_frame_equal(pd.read_csv(files[2]), table, atol=1e-6)
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    assert not np.allclose(table["response_error"], measure(kernels)["response_error"], rtol=0.05)


def test_the_committed_numbers_are_those_of_the_command(kernels):
    for name, frame in (("kernel", measure(kernels)), ("kernel-response", profile(kernels))):
        pd.testing.assert_frame_equal(pd.read_csv(COMMITTED / f"{name}.csv"), frame, atol=1e-5)
