"""Laws of the repairs of kernels and of the figures of layers and norms, against dense kernels and by hand."""

import copy
import math

import planted
import pytest
import torch
from planted import SOURCE, TARGET
from torch import nn

from restool.diagnosis.causes import over_source_area, without_aliasing
from restool.diagnosis.layers import compare_layers
from restool.kernels import GaussianMask, MAGNet
from restool.nn import ContinuousConv
from restool.transfer import resolve_protocol
from restool.transfer.protocols import SOURCE as AT_SOURCE


def even(root: float) -> ContinuousConv:
    """A kernel of 1 up to so many units, and 0 beyond."""
    return planted.layer(0.0, GaussianMask(2, sigma=1000 * root, threshold=math.exp(-0.5e-6)))


def random_layer(sigma: float = 0.2) -> ContinuousConv:
    torch.manual_seed(0)
    return ContinuousConv(2, 3, kernel=MAGNet(2, 6, hidden=8), mask=GaussianMask(2, sigma=sigma), reference_size=SOURCE)


@pytest.mark.parametrize("target", [8, 10, 11, 16, 20, 24])
@pytest.mark.parametrize("root", [0.2, 0.26, 0.6, 0.8])
@torch.no_grad()
def test_the_repair_of_the_crop_covers_the_area_of_the_source(root, target):
    layer = even(root)
    covered = layer.sample((SOURCE, SOURCE)).sum()
    repaired = over_source_area(layer, (target, target), target / SOURCE)
    assert repaired.dense().sum() == pytest.approx(covered.item(), rel=1e-5)
    requeried = layer.sample((target, target))
    assert repaired.basis.shape[-1] >= requeried.shape[-1] - 2


@torch.no_grad()
def test_at_the_source_no_repair_changes_a_kernel():
    layer = random_layer()
    own = layer.sample((SOURCE, SOURCE))
    for repair in (over_source_area, without_aliasing):
        assert torch.allclose(repair(layer, (SOURCE, SOURCE), 1.0).dense(), own, atol=1e-7)


@torch.no_grad()
def test_the_repair_of_aliasing_keeps_the_taps_and_the_values_at_those_of_the_source():
    layer = random_layer()
    repaired = without_aliasing(layer, (TARGET, TARGET), 2.0).dense()
    requeried = layer.sample((TARGET, TARGET))
    assert repaired.shape == requeried.shape
    middle = repaired.shape[-1] // 2
    shared = slice(middle % 2, None, 2)  # every second tap of 16 px lies on one of 8 px
    assert torch.allclose(repaired[..., shared, shared], requeried[..., shared, shared], atol=1e-5)
    assert (repaired - requeried).norm() > 0.05 * requeried.norm()


@torch.no_grad()
def test_kernel_figures_are_those_of_the_dense_kernels():
    layer = random_layer()
    model = torch.nn.Sequential(layer)
    images = [torch.randn(4, 2, size, size) for size in (SOURCE, TARGET)]
    moved = resolve_protocol("requery").apply(model, SOURCE, TARGET)
    [figures], norms = compare_layers(AT_SOURCE.apply(model, SOURCE, SOURCE), moved, model, *images)
    assert norms == []
    at, to = (layer.sample((size, size)).sum((2, 3)) for size in (SOURCE, TARGET))
    whole = [layer.uncropped().sample((size, size)).sum((2, 3)) for size in (SOURCE, TARGET)]
    left_out = (to - whole[1]) - (at - whole[0])
    assert figures.sum_change == pytest.approx(float((to - at).norm() / at.norm()), rel=1e-4)
    assert figures.sum_change_by_crop == pytest.approx(float(left_out.norm() / at.norm()), rel=1e-3)
    assert (figures.source_taps, figures.target_taps) == tuple(layer.sample((n, n)).shape[-1] for n in (SOURCE, TARGET))
    here, there = layer(images[0]), layer(images[1]).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-4)
    assert figures.growth == figures.response


@torch.no_grad()
def test_a_norm_is_compared_with_what_it_keeps():
    model = planted.shifted()
    images = [planted.dataset(planted.levels).split("test", size).images for size in (SOURCE, TARGET)]
    images = [(each - 100) / 20 for each in images]
    _, [norm] = compare_layers(model, model, model, *images)
    assert norm.shift == pytest.approx(float(images[1].mean() + 3 - 1.5) / 0.5, rel=1e-3)
    assert norm.spread == pytest.approx(float(images[1].std()) / 0.5, rel=1e-3)


def test_a_response_to_a_sequence_is_averaged_over_the_steps_of_the_source():
    torch.manual_seed(0)
    layer = nn.Conv1d(1, 2, 3, padding=1)
    model = nn.Sequential(layer).eval()
    coarse, fine = torch.randn(2, 1, 8), torch.randn(2, 1, 16)
    with torch.no_grad():
        [figures], norms = compare_layers(model, copy.deepcopy(model), model, coarse, fine)
        here, there = layer(coarse), layer(fine).unflatten(2, (8, 2)).mean(3)
    assert norms == []
    assert figures.response == pytest.approx(float((there - here).norm() / here.norm()), rel=1e-5)
