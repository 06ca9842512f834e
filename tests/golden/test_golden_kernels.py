"""Kernel networks with official weights give the official values on the official grids."""

import pytest
import torch
from official import fill, load, part

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, MAGNet
from restool.kernels.coordinates import lag_coordinates, offset_coordinates, points
from restool.testing import assert_close

FILES = {
    "magnet1d": MAGNet,
    "magnet2d_17": MAGNet,
    "magnet2d_29": MAGNet,
    "magnet2d_mu1": MAGNet,
    "siren2d": SIREN,
    "gabor2d": GaborNetwork,
    "fourier2d": FourierNetwork,
}


@pytest.mark.parametrize("name", FILES)
def test_network_values_are_the_official_ones(shared, name):
    arrays = load(shared, name)
    dims, outputs = arrays["grid"].shape[1], arrays["output"].shape[1]
    network = FILES[name](dims, outputs)
    fill(network, part(arrays, "sd/"))
    grid = arrays["grid"].reshape(dims, -1).T
    assert_close(network(grid), arrays["output"].reshape(outputs, -1))
    assert_close(network.double()(grid.double()), arrays["output64"].reshape(outputs, -1))


@pytest.mark.parametrize(("name", "size"), [("magnet2d_17", 16), ("magnet2d_29", 28), ("magnet2d_mu1", 32)])
def test_our_grid_of_offsets_is_the_official_one(shared, name, size):
    grid = load(shared, name)["grid"].reshape(2, -1).T
    axis = offset_coordinates(size, dtype=torch.float32, device="cpu")
    tolerance = 0 if size in (16, 32) else 1e-7  # the official linspace of 29 points rounds its step in float32
    assert_close(points([axis, axis]), grid, tolerance=tolerance)


def test_our_grid_of_lags_is_the_official_one(shared):
    lags = lag_coordinates(65, 65, dtype=torch.float32, device="cpu")
    assert torch.equal(lags, load(shared, "magnet1d")["grid"].flatten())
