"""Frequencies known from the parameters, against the Fourier transform of the densely sampled kernel."""

import math

import pytest
import torch

from restool.kernels import SIREN, FourierNetwork, GaborNetwork, GaussianMask, MAGNet
from restool.kernels.spectrum import filter_frequencies, mask_frequency

SPAN, SAMPLES = 16.0, 4096  # units, and samples over them: frequencies up to 128 in steps of 1/16


def energy_beyond(values, limit):
    """Share of the energy of [..., SAMPLES] at frequencies above a limit, in cycles per unit."""
    energy = torch.fft.rfft(values.double(), dim=-1).abs().square()
    return (energy[..., torch.fft.rfftfreq(SAMPLES, SPAN / SAMPLES) > limit].sum() / energy.sum()).item()


def line():
    return torch.linspace(-SPAN / 2, SPAN / 2, SAMPLES, dtype=torch.float64)


def test_a_single_gabor_filter_has_the_closed_form_energy_beyond_its_frequency():
    network = MAGNet(1, 1, hidden=1, layers=0).double()
    with torch.no_grad():
        network.output.bias.zero_()
        network.filters[0].weight.fill_(2 * math.pi * 8)  # 8 cycles per unit
        network.filters[0].inverse_width.fill_(-5.0)
        values = network(line()[:, None])[0]
        frequency = filter_frequencies(network).item()
    assert frequency == pytest.approx(8 + 2 * 5 / (2 * math.pi))
    # the energy spectrum is a normal density around 8 whose deviation is 1 / sqrt(2) of the amplitude's
    assert energy_beyond(values, frequency) == pytest.approx(math.erfc(2) / 2, rel=0.05)  # bins are 1/16 wide


def test_a_mask_has_the_closed_form_energy_beyond_its_frequency():
    mask = GaussianMask(1, sigma=-0.04).double()
    with torch.no_grad():
        frequency = mask_frequency(mask).item()
        assert energy_beyond(mask(line()[:, None]), frequency) == pytest.approx(math.erfc(2), rel=0.05)


def test_the_bandwidth_of_a_mask_is_that_of_its_narrowest_axis():
    mask = GaussianMask(2)
    mask.sigma.data = torch.tensor([0.5, -0.1])
    assert mask_frequency(mask).item() == pytest.approx(2 / (2 * math.pi * 0.1))


@pytest.mark.parametrize("kind", [MAGNet, GaborNetwork, FourierNetwork])
@pytest.mark.parametrize("seed", range(3))
def test_the_sum_of_the_filters_frequencies_bounds_the_kernel(kind, seed):
    torch.manual_seed(seed)
    network = kind(1, 6, input_scale=8.0).double()
    values = network(line()[:, None]).detach()
    values = (values - network.output.bias.detach()[:, None]) * torch.exp(-0.5 * (line() / 1.0) ** 2)  # so it ends
    bound = filter_frequencies(network).sum().item() + 2 / (2 * math.pi)
    assert energy_beyond(values, bound) < 0.003
    assert energy_beyond(values, bound / 10) > 0.003  # no empty promise


@pytest.mark.parametrize(("kind", "windowed"), [(MAGNet, True), (GaborNetwork, True), (FourierNetwork, False)])
def test_a_filter_counts_its_largest_weight_and_its_largest_inverse_width_of_any_unit(kind, windowed):
    torch.manual_seed(0)
    network = kind(2, 3)
    for filter_, frequency in zip(network.filters, filter_frequencies(network), strict=True):
        expected = abs(filter_.weight.detach().numpy()).max() / (2 * math.pi)
        if windowed:
            expected += 2 * abs(filter_.inverse_width.detach().numpy()).max() / (2 * math.pi)
        assert frequency.item() == pytest.approx(expected, rel=1e-6)


def test_a_siren_has_no_known_frequency():
    with pytest.raises(
        ValueError, match="^SIREN has no frequency known from its parameters; use a MAGNet, Gabor or Fourier"
    ):
        filter_frequencies(SIREN(2, 1))
