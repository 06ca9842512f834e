"""Laws of the official penalty: exactly 0 inside the limit, gradient for offenders only, and what it promises holds."""

import math

import pytest
import torch
from torch import nn

from restool.aliasing import penalty, report
from restool.kernels import SIREN, FourierNetwork, GaborNetwork, GaussianMask, MAGNet
from restool.kernels.spectrum import filter_frequencies
from restool.models import build_model
from restool.nn import ContinuousConv

NETWORKS = [MAGNet, GaborNetwork, FourierNetwork]


def layer(kind=MAGNet, *, sigma=None, seed=0, dims=2):
    torch.manual_seed(seed)
    mask = None if sigma is None else GaussianMask(dims, sigma=sigma)
    return ContinuousConv(2, 3, kernel=kind(dims, 6), mask=mask, reference_size=16)


def set_frequencies(network, cycles):
    """Scale every filter so that its frequency is exactly, or by one rounding below, the given one."""
    with torch.no_grad():
        for index, filter_ in enumerate(network.filters):
            factor = cycles[index] / filter_frequencies(network)[index]
            filter_.weight.mul_(factor)
            if hasattr(filter_, "inverse_width"):
                filter_.inverse_width.mul_(factor)
            while filter_frequencies(network)[index] > cycles[index]:
                filter_.weight.mul_(1 - 1e-7)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("size", [16, 28, 33])
def test_the_penalty_is_exactly_zero_at_the_limit_and_positive_just_above(kind, size):
    conv = layer(kind)
    set_frequencies(conv.kernel, [size / 4 / 4] * 4)  # a quarter of Nyquist for each of four filters
    assert penalty(conv, size).item() == 0
    assert penalty(conv, size - 1).item() > 0
    with torch.no_grad():
        conv.kernel.filters[2].weight.mul_(1.001)
    assert penalty(conv, size).item() > 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_only_the_offending_filter_gets_gradient_in_its_largest_entries(kind):
    conv = layer(kind)
    set_frequencies(conv.kernel, [0.9, 1.0, 1.5, 0.2])  # the limit at 16 px is 1
    penalty(conv, 16).backward()
    for name, parameter in conv.named_parameters():
        offends = name in ("kernel.filters.2.weight", "kernel.filters.2.inverse_width")
        nonzero = 0 if parameter.grad is None else int(parameter.grad.count_nonzero())
        assert nonzero == (1 if offends else 0), name
        if offends:
            assert parameter.grad.abs().argmax() == parameter.abs().argmax()


def test_no_gradient_at_all_where_every_filter_is_inside():
    conv = layer()
    set_frequencies(conv.kernel, [1.0, 0.5, 0.9, 1.0])
    penalty(conv, 16).backward()
    assert all(p.grad is None or not p.grad.any() for p in conv.parameters())


@pytest.mark.parametrize(("target", "kept"), [("gabor", 0.0), ("gabor+mask", 1.0)])
def test_the_mask_counts_only_where_the_target_says_so(target, kept):
    sigma = 0.1
    conv = layer(sigma=sigma)
    set_frequencies(conv.kernel, [0.5] * 4)
    expected = 0.5 + kept * 2 / (2 * math.pi * sigma) / 4
    assert report(conv, 16, target)[0].filters.tolist() == pytest.approx([expected] * 4)
    penalty(conv, 16, target).backward()
    assert (conv.mask.sigma.grad is not None and bool(conv.mask.sigma.grad.any())) == (expected > 1)


def test_a_layer_without_a_mask_has_no_mask_to_count():
    conv = layer()
    assert penalty(conv, 16, "gabor+mask").item() == penalty(conv, 16, "gabor").item()


def test_the_penalty_is_the_sum_over_layers_and_filters_of_the_reported_excess_squared():
    torch.manual_seed(0)
    model = build_model("flexnet[4,4,6]")
    layers = report(model, 20, "gabor+mask")
    assert [entry.layer for entry in layers] == [
        "stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2"
    ]  # fmt: skip
    expected = 0.0
    for entry in layers:
        conv = model.get_submodule(entry.layer)
        mask = 2 / (2 * math.pi * conv.mask.sigma.abs().min().item()) / 4
        for filter_ in conv.kernel.filters:
            frequency = filter_.weight.abs().max().item() + 2 * filter_.inverse_width.abs().max().item()
            expected += 0.3 * max(frequency / (2 * math.pi) + mask - 20 / 16, 0) ** 2
    assert penalty(model, 20, "gabor+mask", strength=0.3).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("size", [16, 32])
def test_a_kernel_without_penalty_has_its_energy_below_nyquist(kind, size):
    conv = layer(kind, dims=1, seed=1).double()
    set_frequencies(conv.kernel, [size / 16] * 4)
    assert penalty(conv, size).item() == 0

    def energy_above_nyquist():
        span, samples = 32.0, 8192
        p = torch.linspace(-span / 2, span / 2, samples, dtype=torch.float64)
        window = torch.exp(-0.5 * (p / 3) ** 2)  # wide: its bandwidth is 0.1 cycles per unit
        constant = conv.kernel.output.bias.detach()[:, None]  # would hide the rest
        energy = torch.fft.rfft((conv.kernel(p[:, None]).detach() - constant) * window).abs().square()
        return (energy[:, torch.fft.rfftfreq(samples, span / samples) > size / 4 + 0.1].sum() / energy.sum()).item()

    assert energy_above_nyquist() < 1e-6
    set_frequencies(conv.kernel, [size / 2] * 4)  # eight times the limit
    assert energy_above_nyquist() > 0.01


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        (layer(), "mask", "^`target` must be one of gabor, gabor\\+mask, spectral, but is 'mask'$"),
        (
            nn.Conv2d(3, 3, 3),
            "gabor",
            "^the aliasing penalty needs a model with continuous kernels; this one has none$",
        ),
        (layer(SIREN), "gabor", "^SIREN has no frequency known from its parameters; use a MAGNet, Gabor or Fourier"),
    ],
)
def test_what_has_no_penalty_is_rejected(model, target, message):
    with pytest.raises(ValueError, match=message):
        penalty(model, 16, target)
