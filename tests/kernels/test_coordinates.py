"""Laws of the grids: they nest, stay inside [-1, 1], and put Nyquist where the docstrings say."""

import itertools
from fractions import Fraction
from functools import partial

import pytest
import torch

from restool.kernels.coordinates import (
    lag_coordinates,
    nyquist_frequency,
    offset_coordinates,
    pixel_area_ratio,
    points,
)
from restool.testing import assert_grids_nest

DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_grids_of_offsets_nest_exactly(dtype):
    assert_grids_nest(partial(offset_coordinates, dtype=dtype, device="cpu"), range(4, 300))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reference", [4, 16, 17, 161, 784, 1000])
def test_grids_of_lags_nest_exactly(dtype, reference):
    grid = partial(lag_coordinates, reference=reference, dtype=dtype, device="cpu")
    assert_grids_nest(grid, [4, 5, 15, 16, 17, 100, 161, 784, 1001], causal=True)


@pytest.mark.parametrize("size", [4, 5, 16, 30, 31, 63])
def test_offset_j_of_n_pixels_has_the_float64_nearest_to_2j_over_n(size):
    grid = offset_coordinates(size, dtype=torch.float64, device="cpu")
    reach = size // 2
    assert grid.tolist() == [float(Fraction(2 * j, size)) for j in range(-reach, reach + 1)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_are_symmetric_about_an_exact_zero_and_never_beyond_one(dtype):
    for size in range(4, 200):
        grid = offset_coordinates(size, dtype=dtype, device="cpu")
        assert torch.equal(grid, -grid.flip(0))
        assert grid[size // 2] == 0
        assert grid[-1] == 1 if size % 2 == 0 else grid[-1] < 1


@pytest.mark.parametrize(("length", "reference"), [(16, 16), (32, 16), (24, 16), (15, 16), (161, 161), (80, 161)])
def test_lag_t_has_the_coordinate_of_the_definition(length, reference):
    grid = lag_coordinates(length, reference, dtype=torch.float64, device="cpu")
    exact = [1 - Fraction(2 * t * reference, (reference - 1) * length) for t in range(len(grid))]
    assert exact[-1] >= -1 > 1 - Fraction(2 * len(grid) * reference, (reference - 1) * length)  # all that fit
    assert grid.flip(0).tolist() == pytest.approx([float(x) for x in exact], abs=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_newest_lag_is_exactly_one_and_the_oldest_of_the_reference_exactly_minus_one(dtype):
    for reference, factor in itertools.product([4, 7, 16, 100, 784], [1, 2, 3]):
        grid = lag_coordinates(reference * factor, reference, dtype=dtype, device="cpu")
        assert (grid[0], grid[-1]) == (-1, 1)


def test_points_list_y_before_x_with_x_varying_fastest():
    rows, columns = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-0.5, 0.5])
    assert points([rows, columns]).tolist() == [list(p) for p in itertools.product([-1, 0, 1], [-0.5, 0.5])]
    assert points([columns]).tolist() == [[-0.5], [0.5]]


def test_pixel_area_ratio_is_the_area_of_a_pixel_over_that_of_a_reference_pixel():
    assert pixel_area_ratio((32, 8), 16) == (2 / 32) * (2 / 8) / (2 / 16) ** 2
    assert pixel_area_ratio((48,), 16) == pytest.approx((1 / 48) / (1 / 16))


@pytest.mark.parametrize("size", [4, 16, 30])
def test_a_wave_at_nyquist_alternates_from_pixel_to_pixel(size):
    grid = offset_coordinates(size, dtype=torch.float64, device="cpu")
    wave = torch.cos(2 * torch.pi * nyquist_frequency(size) * grid)
    steps = torch.arange(len(grid)) - size // 2
    torch.testing.assert_close(wave, (1 - 2 * (steps % 2)).double())
