"""Three Adam steps of a small FlexNet-3 give the official losses and weights."""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from official import load, part, read
from torch import Tensor, nn

from restool.aliasing import penalty
from restool.models.dropout import Dropout
from restool.nn import ContinuousConv
from restool.testing import assert_close

KERNEL_NORM_STRENGTH = 1e-4


class Run(NamedTuple):
    """What three steps gave, and what the official ones did."""

    dtype: torch.dtype
    arrays: dict[str, Tensor]
    losses: Tensor  # [3 terms, 3 steps]
    gradient: dict[str, Tensor]
    expected_gradient: dict[str, Tensor]
    model: nn.Module
    final: nn.Module


def kernel_norms(model, size):
    """Unsquared norms of every sampled kernel and every bias (LnLoss of the official code)."""
    convs = [module for module in model.modules() if isinstance(module, ContinuousConv)]
    return sum(conv.sample(size).norm() + conv.bias.norm() for conv in convs)


def train(model, images, labels):
    """One Adam step per batch without dropout; the three terms of every step's loss, and the first step's gradient."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    model.train()
    masks = [parameter for name, parameter in model.named_parameters() if ".mask." in name]
    others = [parameter for name, parameter in model.named_parameters() if ".mask." not in name]
    optimizer = torch.optim.Adam([{"params": others, "lr": 0.01}, {"params": masks, "lr": 0.001}])
    losses, first = [], {}
    for x, y in zip(images, labels, strict=True):
        terms = [
            F.cross_entropy(model(x), y),
            penalty(model, 16, strength=0.1),
            KERNEL_NORM_STRENGTH * kernel_norms(model, (16, 16)),
        ]
        optimizer.zero_grad()
        sum(terms).backward()
        first = first or {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        losses.append(torch.stack(terms).detach())
        optimizer.step()
    return torch.stack(losses, dim=1), first


def comparable(name):
    """False for biases before a batch norm, whose gradient is round-off that Adam turns into steps, and its mean."""
    return not name.endswith(("conv1.bias", "conv2.bias", "stem.bias", "running_mean", "num_batches_tracked"))


@pytest.fixture(scope="module", params=["train3_f64", "train3"])
def run(request, shared, tmp_path_factory):
    dtype = torch.float64 if request.param == "train3_f64" else torch.float32
    arrays, folder = load(shared, request.param), tmp_path_factory.mktemp(request.param)
    model = read(part(arrays, "sd0/"), folder, reference_size=16, dtype=dtype)
    losses, gradient = train(model, arrays["x"].to(dtype), arrays["y"])
    states = part(arrays, "sd3/"), part(arrays, "sd0/") | part(arrays, "grad0/")
    final, first = (read(state, folder, reference_size=16, dtype=dtype) for state in states)
    return Run(dtype, arrays, losses, gradient, dict(first.named_parameters()), model, final)


def test_losses_of_three_steps_are_the_official_ones(run):
    assert_close(run.losses[0], run.arrays["loss_ce"])
    assert_close(run.losses[1], run.arrays["loss_reg"], tolerance=1e-6)  # official frequencies are always float32
    assert_close(run.losses[2], run.arrays["loss_ln"], tolerance=2e-3)  # counts the biases that move by round-off


def test_first_gradient_is_the_official_one(run):
    # in float64 the official frequencies are float32 still; in float32 sums over images and pixels cancel
    tolerance = 1e-6 if run.dtype == torch.float64 else 5e-5
    for name, expected in run.expected_gradient.items():
        if comparable(name):
            assert_close(run.gradient[name], expected, tolerance=tolerance)


def test_weights_after_three_steps_are_the_official_ones(run):
    # in float32 Adam makes the round-off of a tiny gradient a part of a step of 0.01
    tolerance = 1e-9 if run.dtype == torch.float64 else 5e-3
    actual = run.model.state_dict()
    for name, expected in run.final.state_dict().items():
        if comparable(name):
            assert_close(actual[name], expected, tolerance=tolerance)
