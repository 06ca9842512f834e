"""Laws of every layer that is measured in training pixels: at_scale makes a copy and nothing else."""

import copy
import math

import pytest
import torch
from torch import nn

from restool.nn import (
    FractionalGaussianConv,
    GaussianDerivativeConv,
    GaussianDilatedConv,
    PairwiseGaussianDerivativeConv,
    Rescalable,
)
from restool.nn.scaled import LARGEST_REACH, scaled_reach

TYPES = [GaussianDerivativeConv, PairwiseGaussianDerivativeConv, FractionalGaussianConv, GaussianDilatedConv]
SIGNAL = torch.randn(2, 2, 9, 8, generator=torch.Generator().manual_seed(0))


def build(kind):
    torch.manual_seed(0)
    return kind(2, 3)


@pytest.mark.parametrize("kind", TYPES)
def test_a_layer_at_another_scale_is_a_copy(kind):
    layer = build(kind)
    before, output = copy.deepcopy(layer.state_dict()), layer(SIGNAL)
    moved = layer.at_scale(1.75)
    assert not torch.allclose(moved(SIGNAL), output)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert torch.equal(layer(SIGNAL), output)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 1
    assert torch.equal(layer(SIGNAL), output)


@pytest.mark.parametrize("kind", TYPES)
def test_the_scale_counts_from_the_training_resolution_and_is_part_of_the_state(kind):
    layer = build(kind)
    twice = layer.at_scale(3).at_scale(1.75)
    assert torch.equal(twice(SIGNAL), layer.at_scale(1.75)(SIGNAL))
    assert torch.equal(layer.at_scale(1.0)(SIGNAL), layer(SIGNAL))
    restored = build(kind)
    restored.load_state_dict(twice.state_dict())
    assert torch.equal(restored(SIGNAL), twice(SIGNAL))


@pytest.mark.parametrize("kind", TYPES)
def test_a_layer_at_another_scale_can_be_trained(kind):
    moved = build(kind).at_scale(1.75)
    moved(SIGNAL).square().sum().backward()
    assert all(parameter.grad.any() for parameter in moved.parameters())


@pytest.mark.parametrize("scale", [0, -1.5])
def test_a_scale_that_is_not_positive_is_rejected(scale):
    with pytest.raises(ValueError, match=f"^scale must be positive, but is {scale}$"):
        build(GaussianDilatedConv).at_scale(scale)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("log2_sigma", [200.0, math.inf, math.nan, -60.0])
def test_a_diverging_width_neither_fails_nor_fills_the_memory(kind, log2_sigma):
    layer = build(kind)
    with torch.no_grad():
        layer.log2_sigma.fill_(log2_sigma)
    kernel = layer.discrete_kernel()
    assert max(kernel.shape) <= 4 * LARGEST_REACH + 1
    assert layer(SIGNAL).isfinite().all() == (not math.isnan(log2_sigma))


def test_in_training_a_width_is_rounded_up_to_scaled_reach():
    widths = (0.0, 0.2, 2.5, 3.0, 63.5, 65.0, math.inf, math.nan)
    assert [scaled_reach(width, 1.0) for width in widths] == [0, 1, 3, 3, 64, *[LARGEST_REACH] * 3]


@pytest.mark.parametrize("scale", [0.4, 0.75, 1.25, 2.0, 2.25, 3.0])
@pytest.mark.parametrize("reach", range(8))
def test_elsewhere_a_kernel_covers_the_area_that_it_covers_in_training_and_no_pixel_more(scale, reach):
    half = (reach + 0.5) * scale  # pixels
    found = scaled_reach(reach, scale)
    assert found + 0.5 >= half > found - 0.5


def test_only_a_layer_that_says_so_is_rescalable():
    assert all(isinstance(build(kind), Rescalable) for kind in TYPES)
    assert not isinstance(nn.Conv2d(1, 1, 3), Rescalable)
