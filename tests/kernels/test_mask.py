"""Laws of the Gaussian mask: its values, the threshold, and the taps it leaves."""

import math

import pytest
import torch
from scipy.stats import norm

from restool.kernels import GaussianMask
from restool.kernels.coordinates import lag_coordinates, offset_coordinates
from restool.kernels.mask import causal_cut, centered_cut, half_widths
from restool.testing import assert_close

CASES = [(0.0, 0.075), (0.0, 0.3), (0.1, 0.15), (-0.2, 0.4), (0.5, 0.05), (-0.9, 0.02), (3.0, 0.1)]


def offsets(size):
    return offset_coordinates(size, dtype=torch.float32, device="cpu")


def lags(length):
    return lag_coordinates(length, length, dtype=torch.float32, device="cpu")


def centered_support(mask, grid, axis=0):
    widths = half_widths(mask.sigma, mask.threshold)
    cut = centered_cut(mask.mean[axis], widths[axis], grid).item()
    return slice(cut, len(grid) - cut)


def causal_support(mask, grid):
    return slice(causal_cut(mask.mean, half_widths(mask.sigma, mask.threshold), grid).item(), len(grid))


def test_values_are_the_product_of_normal_densities_over_their_peaks():
    mask = GaussianMask(2).double()
    mask.mean.data, mask.sigma.data = torch.tensor([0.1, -0.4]).double(), torch.tensor([0.2, 0.7]).double()
    grid = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, sigma = mask.mean.detach().numpy(), mask.sigma.detach().numpy()
    expected = norm.pdf(grid.numpy(), mean, sigma) / norm.pdf(0, 0, sigma)
    assert_close(mask(grid), torch.from_numpy(expected.prod(axis=1)))


@pytest.mark.parametrize("threshold", [0.5, 0.1, 0.01])
def test_the_mask_is_at_the_threshold_one_half_width_from_its_mean(threshold):
    mask = GaussianMask(1, mean=0.2, sigma=-0.3, threshold=threshold)
    for sign in (-1, 1):
        value = mask((mask.mean + sign * half_widths(mask.sigma, threshold))[None])
        assert_close(value, torch.tensor([threshold]))


@pytest.mark.parametrize(("size", "taps"), [(16, 3), (20, 3), (28, 5), (30, 5), (32, 5), (34, 5), (36, 5)])
def test_the_initial_support_in_2d_is_the_published_one(size, taps):
    grid = offsets(size)
    assert len(grid[centered_support(GaussianMask(2), grid)]) == taps


@pytest.mark.parametrize(
    ("sigma", "size", "taps"), [(0.3, 16, 11), (0.3, 28, 19), (0.3, 32, 21), (0.3, 36, 23), (0.47, 32, 33)]
)
def test_wider_supports_in_2d_are_the_published_ones(sigma, size, taps):
    grid = offsets(size)
    assert len(grid[centered_support(GaussianMask(2, sigma=sigma), grid, axis=1)]) == taps


@pytest.mark.parametrize(("length", "taps"), [(784, 64), (1024, 83), (1000, 81)])
def test_the_initial_support_in_1d_is_the_published_one(length, taps):
    grid = lags(length)
    assert len(grid[causal_support(GaussianMask(1, mean=1.0), grid)]) == taps


@pytest.mark.parametrize("size", [16, 17, 33])
@pytest.mark.parametrize(("mean", "sigma"), CASES)
def test_every_tap_cut_from_a_same_kernel_is_below_the_threshold(size, mean, sigma):
    mask, grid = GaussianMask(1, mean=mean, sigma=sigma), offsets(size)
    support = centered_support(mask, grid)
    values = torch.exp(-0.5 * ((grid - mean) / sigma) ** 2)
    assert (torch.cat([values[: support.start], values[support.stop :]]) <= 0.1).all()
    assert torch.equal(grid[support], -grid[support].flip(0))  # so the kernel keeps its odd length
    if mean == 0:
        assert (values[support] > 0.1).all()


def test_a_tap_exactly_at_the_threshold_is_cut():
    threshold = math.exp(-2)  # reached at exactly two standard deviations
    same, causal = (GaussianMask(1, mean=mean, sigma=0.125, threshold=threshold) for mean in (0.0, 1.0))
    assert offsets(16)[centered_support(same, offsets(16))].tolist() == [-0.125, 0, 0.125]
    assert lags(17)[causal_support(causal, lags(17))].tolist() == [0.875, 1]


@pytest.mark.parametrize(("mean", "sigma"), [(1.0, 0.075), (1.0, 0.3), (0.6, 0.2), (0.0, 0.3), (1.3, 0.2)])
def test_lags_cut_from_a_causal_kernel_are_the_older_ones_below_the_threshold(mean, sigma):
    mask, grid = GaussianMask(1, mean=mean, sigma=sigma), lags(64)
    values = torch.exp(-0.5 * ((grid - mean) / sigma) ** 2)
    older = grid < mean
    expected = grid[(values > 0.1) | ~older]
    assert 0 < len(expected) < len(grid)
    assert torch.equal(grid[causal_support(mask, grid)], expected)


@pytest.mark.parametrize(("mean", "sigma"), [(1.3, 0.1), (-1.0, 0.4), (0.0, 5.0)])
def test_a_causal_mask_that_starts_outside_the_kernel_crops_nothing(mean, sigma):
    grid = lags(64)
    assert len(grid[causal_support(GaussianMask(1, mean=mean, sigma=sigma), grid)]) == 64


@pytest.mark.parametrize(("mean", "sigma"), CASES)
def test_the_sign_of_sigma_has_no_meaning(mean, sigma):
    positive, negative = GaussianMask(1, mean=mean, sigma=sigma), GaussianMask(1, mean=mean, sigma=-sigma)
    grid = offsets(32)
    assert torch.equal(positive(grid[:, None]), negative(grid[:, None]))
    assert centered_support(positive, grid) == centered_support(negative, grid)
    assert causal_support(positive, grid) == causal_support(negative, grid)


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0])
def test_no_support_is_empty(mean):
    for sigma in (1e-6, 1e-3, 0.0):
        mask = GaussianMask(1, mean=mean, sigma=sigma)
        for size in (4, 5, 16, 33):
            assert len(offsets(size)[centered_support(mask, offsets(size))]) % 2 == 1
            assert len(lags(size)[causal_support(mask, lags(size))]) >= 1


@pytest.mark.parametrize(("mean", "sigma"), CASES)
def test_threshold_zero_keeps_every_tap(mean, sigma):
    mask = GaussianMask(1, mean=mean, sigma=sigma, threshold=0)
    assert len(offsets(16)[centered_support(mask, offsets(16))]) == 17
    assert len(lags(16)[causal_support(mask, lags(16))]) == 16


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_a_threshold_outside_its_range_is_rejected(threshold):
    with pytest.raises(ValueError, match=rf"^threshold must lie in \[0, 1\).* but is {threshold}$"):
        GaussianMask(2, threshold=threshold)
