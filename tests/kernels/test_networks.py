"""Kernel networks: values against their formula in NumPy, initial distributions against SciPy's."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gamma, kstest, uniform

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, MAGNet
from restool.testing import assert_close

NETWORKS = [MAGNet, GaborNetwork, FourierNetwork, SIREN]


def array(parameter):
    return parameter.detach().double().numpy()


def siren_values(network, p):
    values = np.sin(30 * (p @ array(network.first.weight).T + array(network.first.bias)))
    return np.sin(30 * (values @ array(network.second.weight).T + array(network.second.bias)))


def filter_values(filter_, p):
    values = np.sin(p @ array(filter_.weight).T + array(filter_.bias))
    if hasattr(filter_, "center"):
        center, inverse_width = array(filter_.center), array(filter_.inverse_width)
        for d in range(p.shape[1]):
            width = inverse_width[:, min(d, inverse_width.shape[1] - 1)]
            values = values * np.exp(-0.5 * (width * (p[:, d, None] - center[:, d])) ** 2)
    return values


def multiplicative_values(network, p):
    values = filter_values(network.filters[0], p)
    for linear, filter_ in zip(network.linears, list(network.filters)[1:], strict=True):
        values = filter_values(filter_, p) * (values @ array(linear.weight).T + array(linear.bias))
    return values


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_those_of_the_formula(kind, dims, dtype):
    torch.manual_seed(0)
    network = kind(dims, 5).to(dtype)
    p = np.random.default_rng(0).integers(-16, 17, (40, dims)) / 16  # exact in float32
    hidden = (siren_values if kind is SIREN else multiplicative_values)(network, p)
    expected = array(network.output.weight) @ hidden.T + array(network.output.bias)[:, None]
    assert_close(network(torch.from_numpy(p).to(dtype)), torch.from_numpy(expected))


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_output_is_its_coefficients_times_the_basis(kind):
    torch.manual_seed(0)
    network = kind(2, 3).double()
    p = torch.rand(20, 2, dtype=torch.float64)
    basis, coefficients = network.basis(p), network.coefficients()
    assert torch.equal(basis[:, -1], torch.ones(20, dtype=torch.float64))
    assert_close(torch.einsum("oh,ph->op", coefficients, basis), network(p))


def assert_uniform(tensor, bound):
    """Bound kept and nearly reached; Kolmogorov-Smirnov does not reject at 1 in 10,000."""
    values = tensor.detach().double().flatten().numpy()
    assert np.abs(values).max() <= bound * (1 + 1e-6)  # the bound itself is rounded to float32
    assert kstest(values, uniform(-bound, 2 * bound).cdf).pvalue > 1e-4


@pytest.mark.parametrize("kind", [MAGNet, GaborNetwork, FourierNetwork])
def test_mixing_layers_start_uniform_with_the_official_bounds(kind):
    torch.manual_seed(0)
    network = kind(2, 40)
    bound = 1 / math.sqrt(32)
    for linear in [*network.linears, network.output]:
        assert_uniform(linear.weight, bound)
        assert_uniform(linear.bias, bound)


@pytest.mark.parametrize(("kind", "shapes"), [(MAGNet, [6, 3, 2, 1.5]), (GaborNetwork, [1.5] * 4)])
def test_gabor_filters_start_with_the_official_distributions(kind, shapes):
    torch.manual_seed(0)
    network = kind(2, 1, hidden=400, center_range=0.125)
    for filter_, shape in zip(network.filters, shapes, strict=True):
        inverse_width = filter_.inverse_width.detach()
        assert inverse_width.shape == (400, 2 if kind is MAGNet else 1)
        assert kstest(inverse_width.flatten().numpy(), gamma(shape).cdf).pvalue > 1e-4
        assert inverse_width.mean() == pytest.approx(shape, rel=0.2)
        assert_uniform(filter_.center, 0.125)
        assert_uniform(filter_.bias, math.pi)
        assert_uniform(filter_.weight / inverse_width, 25.6 / 2 / math.sqrt(2))


def test_fourier_filters_start_with_the_official_distributions():
    torch.manual_seed(0)
    for filter_ in FourierNetwork(2, 1, hidden=400).filters:
        assert_uniform(filter_.weight, 256 / 2 / math.sqrt(2))
        assert_uniform(filter_.bias, math.pi)


def test_siren_layers_start_with_the_official_distributions():
    torch.manual_seed(0)
    network = SIREN(2, 40, hidden=400)
    assert_uniform(network.first.weight, 1 / 2)
    assert_uniform(network.first.bias, 1 / math.sqrt(2))
    for linear in (network.second, network.output):
        assert_uniform(linear.weight, math.sqrt(6 / 400) / 30)
        assert_uniform(linear.bias, 1 / math.sqrt(400))
