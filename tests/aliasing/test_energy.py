"""Laws of the spectral penalty: it is the energy of the sampled kernel above Nyquist, and learns like any loss."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from restool.aliasing import energies, penalty
from restool.aliasing.energy import FINER, layer_energy
from restool.correlation import FactoredKernel
from restool.kernels import SIREN, GaussianMask, MAGNet
from restool.models import build_model
from restool.nn import ContinuousConv

SIZE = 8
THREE = 3  # taps a pixel of kernels made here
EDGE = 1 / (2 * FINER)  # Nyquist of the coarse grid, in cycles per tap of the fine one
CASES = [
    (kind, dims, sigma)
    for kind in (MAGNet, SIREN)
    for dims, sigma in [(1, None), (1, [0.4]), (2, None), (2, [0.3, 0.12]), (2, [0.1, 0.5])]
]


def layer(kind=MAGNet, dims=2, sigma=None, seed=0):
    torch.manual_seed(seed)
    mask = None if sigma is None else GaussianMask(dims)
    conv = ContinuousConv(2, 3, kernel=kind(dims, 6, hidden=5), mask=mask, reference_size=SIZE).double()
    if mask is not None:
        with torch.no_grad():
            mask.sigma.copy_(torch.tensor(sigma))
            mask.mean.copy_(torch.linspace(0.05, -0.1, dims))
    return conv


def taps(conv):
    return conv.sample([FINER * SIZE] * conv.kernel.dims).detach().numpy()


def energy_below(kernel, dims):
    """Integral of |DTFT|^2 over the band, by Gauss and Legendre: of [O, I, *K] the energies [O, I]."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    spectrum, total = kernel.astype(complex), np.array(1.0)
    for axis in range(2, 2 + dims):
        waves = np.exp(-2j * np.pi * EDGE * nodes[:, None] * np.arange(kernel.shape[axis]))
        spectrum = np.moveaxis(np.moveaxis(spectrum, axis, -1) @ waves.T, -1, axis)
        total = total[..., None] * (EDGE * weights)
    return (np.abs(spectrum) ** 2 * total).sum(tuple(range(2, 2 + dims)))


def energy(kernel):
    return (kernel**2).sum(tuple(range(2, kernel.ndim)))


@pytest.mark.parametrize(("kind", "dims", "sigma"), CASES)
def test_the_energies_of_a_layer_are_those_of_its_dense_kernels(kind, dims, sigma):
    conv = layer(kind, dims, sigma)
    (found,), kernel = energies(conv, SIZE), taps(conv)
    below, whole = energy_below(kernel, dims), energy(kernel)
    assert sigma != [0.3, 0.12] or kernel.shape[2] > kernel.shape[3] + 4  # a rectangular crop
    assert found.whole.item() == pytest.approx(whole.sum(), rel=1e-10)
    assert found.above.item() == pytest.approx((whole - below).sum(), abs=1e-10 * whole.sum())
    assert found.ratio.item() == pytest.approx(1 - below.sum() / whole.sum(), abs=1e-10)
    assert 1e-5 < found.ratio.item() < 1


@pytest.mark.parametrize(("kind", "dims", "sigma"), CASES)
def test_the_ratio_is_the_share_of_a_zero_padded_transform(kind, dims, sigma):
    conv, points = layer(kind, dims, sigma), 6000 if dims == 1 else 760
    kernel = taps(conv)
    axes = tuple(range(2, 2 + dims))
    power = np.abs(np.fft.fftn(kernel, [points] * dims, axes)) ** 2 / points**dims
    distance = np.abs(np.fft.fftfreq(points, 1 / points)) - points // 4  # the edge of the band lies on a frequency
    inside = np.where(distance == 0, 0.5, distance < 0)
    for axis in axes:
        power = np.moveaxis(np.moveaxis(power, axis, -1) * inside, -1, axis)
    expected = 1 - power.sum() / (kernel**2).sum()
    # the trapezoid rule errs by slope * step^2 / 6 an axis, a power of degree n has slopes of 2 pi n (Bernstein) times
    # its peak, and its peak is at most n times its mean (Cauchy)
    tolerance = sum(2 * math.pi * kernel.shape[axis] ** 2 / 6 / points**2 for axis in axes)
    assert tolerance < 0.01
    assert energies(conv, SIZE)[0].ratio.item() == pytest.approx(expected, abs=tolerance)


def interpolated(samples, reach, frequency=0.0):
    """Samples [..., 2 M + 1] of a coarse grid by sinc on taps -reach..reach of the fine one, times a cosine."""
    middle, steps = samples.shape[-1] // 2, torch.arange(-reach, reach + 1, dtype=torch.float64)
    places = torch.arange(-middle, middle + 1)
    waves = torch.sinc(steps / THREE - places[:, None])
    return samples @ waves * torch.cos(2 * math.pi * frequency * steps)


@pytest.mark.parametrize(("frequency", "kept"), [(0.0, 1.0), (1 / 3, 0.5)])
def test_a_kernel_between_source_samples_has_nothing_above_nyquist_and_one_modulated_beyond_it_nothing_below(
    frequency, kept
):
    # but for what is cut off: beyond tap J the sum of a_m sinc(j / 3 - m) is below 3 sum|a| / (pi (|j| - 3 M)), and
    # the sum of 1 / (j - 3 M)^2 over j > J is below 1 / (J - 3 M)
    middle, reach, generator = 2, 400, torch.Generator().manual_seed(0)
    samples = torch.randn(4, 2 * middle + 1, dtype=torch.float64, generator=generator)
    coefficients = torch.randn(3, 2, 4, dtype=torch.float64, generator=generator)
    found = layer_energy("x", FactoredKernel(coefficients, interpolated(samples, reach, frequency)), THREE)
    dense = coefficients @ samples  # [O, I, 2 M + 1]
    cut = 2 * (THREE * dense.abs().sum(2) / math.pi).square().sum() / (reach - THREE * middle)
    whole = kept * THREE * dense.square().sum()  # of the endless kernels
    wrong = found.above if frequency == 0 else found.whole - found.above
    assert whole - cut <= found.whole <= whole * (1 + 1e-9)
    assert 0 <= wrong <= cut
    assert cut / whole < 0.05
    assert found.ratio.item() == pytest.approx(0 if frequency == 0 else 1, abs=0.01)


def test_a_product_of_kernels_is_below_nyquist_where_both_are():
    generator = torch.Generator().manual_seed(1)
    low, high = torch.randn(2, 21, dtype=torch.float64, generator=generator)
    one = torch.ones(1, 1, 1, dtype=torch.float64)

    def above(basis):
        return layer_energy("x", FactoredKernel(one, basis[None]), THREE).ratio.item()

    together = above(low[:, None] * high[None, :14])
    assert together == pytest.approx(1 - (1 - above(low)) * (1 - above(high[:14])), rel=1e-12)
    smooth, wild = interpolated(torch.ones(1, 3).double(), 60)[0], interpolated(torch.ones(1, 3).double(), 60, 1 / 3)[0]
    assert above(smooth[:, None] * smooth) < 0.02
    for product in (smooth[:, None] * wild, wild[:, None] * smooth, wild[:, None] * wild):
        assert above(product) > 0.98


@pytest.mark.parametrize("factor", [1e-6, -3.0, 1e4])
def test_the_ratio_does_not_depend_on_the_scale_of_the_kernel(factor):
    conv = layer(sigma=[0.3, 0.2])
    before = energies(conv, SIZE)[0]
    with torch.no_grad():
        conv.kernel.output.weight *= factor
        conv.kernel.output.bias *= factor
    after = energies(conv, SIZE)[0]
    assert after.ratio.item() == pytest.approx(before.ratio.item(), rel=1e-9)
    assert after.whole.item() == pytest.approx(factor**2 * before.whole.item(), rel=1e-9)


@pytest.mark.parametrize(("kind", "dims", "sigma"), [(MAGNet, 2, [0.3, 0.15]), (SIREN, 2, [0.3, 0.15]), CASES[1]])
def test_the_gradient_of_every_parameter_is_that_of_finite_differences(kind, dims, sigma):
    conv, step = layer(kind, dims, sigma), 1e-6
    energies(conv, SIZE)[0].ratio.backward()
    parameters = {name: p for name, p in conv.named_parameters() if name != "bias"}
    assert {"kernel.output.weight", "kernel.output.bias", "mask.mean", "mask.sigma"} < set(parameters)
    for name, parameter in parameters.items():
        direction, ends = torch.randn_like(parameter), []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                ends.append(energies(conv, SIZE)[0].ratio.item())
                parameter -= sign * step * direction
        expected = (ends[0] - ends[1]) / (2 * step)
        assert (parameter.grad * direction).sum().item() == pytest.approx(expected, rel=1e-4, abs=1e-8), name
        assert bool(parameter.grad.any()), name


def test_following_the_gradient_takes_the_energy_below_nyquist():
    conv = layer(sigma=[0.3, 0.3])
    optimizer, start = torch.optim.Adam(conv.parameters(), lr=0.02), penalty(conv, SIZE, "spectral").item()
    for _ in range(40):
        optimizer.zero_grad()
        penalty(conv, SIZE, "spectral").backward()
        optimizer.step()
    assert 0 < penalty(conv, SIZE, "spectral").item() < start / 3


def test_a_kernel_of_zeros_has_no_energy_above_nyquist_and_no_gradient_that_is_no_number():
    conv = layer(sigma=[0.3, 0.15])
    with torch.no_grad():
        conv.kernel.output.weight.zero_()
        conv.kernel.output.bias.zero_()
    ratio = energies(conv, SIZE)[0].ratio
    ratio.backward()
    assert ratio.item() == 0
    assert not any(p.grad.any() for name, p in conv.named_parameters() if name != "bias")  # NaN would be true


@pytest.mark.parametrize("name", ["flexnet[3,4]", "flexnet[3,4]-siren", "flexnet[3,4]-ckconv-magnet", "flextcn[3]"])
def test_the_penalty_is_its_strength_times_the_sum_of_the_ratios_of_all_layers(name):
    torch.manual_seed(0)
    model = build_model(name, reference_size=SIZE).double()
    layers = [(where, layer) for where, layer in model.named_modules() if isinstance(layer, ContinuousConv)]
    found = energies(model, SIZE)
    assert [entry.layer for entry in found] == [where for where, _ in layers]
    expected = []
    for _, conv in layers:
        kernel = taps(conv)
        expected.append(1 - energy_below(kernel, conv.kernel.dims).sum() / energy(kernel).sum())
    assert [entry.ratio.item() for entry in found] == pytest.approx(expected, abs=1e-9)
    assert penalty(model, SIZE, "spectral", 0.7).item() == pytest.approx(0.7 * sum(expected), rel=1e-8)
    assert penalty(model, SIZE, "spectral", 0.0).item() == 0


def test_layers_of_one_and_two_axes_come_in_the_order_of_the_model():
    model = nn.ModuleList([layer(dims=1), layer(seed=1), layer(SIREN, dims=1, seed=2)])
    found = energies(model, SIZE)
    assert [entry.layer for entry in found] == ["0", "1", "2"]
    for entry, alone in zip(found, model, strict=True):
        assert entry.ratio.item() == pytest.approx(energies(alone, SIZE)[0].ratio.item(), rel=1e-12)


def test_a_model_without_continuous_layers_has_no_penalty():
    with pytest.raises(ValueError, match="^the aliasing penalty needs a model with continuous kernels; this one has "):
        penalty(nn.Conv2d(3, 3, 3), 16, "spectral")


def test_siren_has_a_spectral_penalty_and_no_official_one():
    conv = layer(SIREN)
    assert penalty(conv, SIZE, "spectral").item() > 0
    with pytest.raises(ValueError, match="^SIREN has no frequency known from its parameters"):
        penalty(conv, SIZE, "gabor")
