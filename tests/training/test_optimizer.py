"""Laws of the schedule and of the optimiser's groups; the golden arrays are the official scheduler's."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from restool.kernels import GaussianMask
from restool.models import MODELS, build_model
from restool.training.optimizer import (
    FINAL_LEARNING_RATE,
    MASK_RATE_FACTOR,
    learning_rate,
    make_optimizer,
    warmup_steps,
)

STEPS = 782  # CIFAR-10's 50,000 images in batches of 64


def schedule(epochs: int, steps_per_epoch: int, base: float = 0.01) -> np.ndarray:
    total = epochs * steps_per_epoch
    warmup = warmup_steps(epochs, steps_per_epoch)
    return np.array([learning_rate(step, base, warmup=warmup, total=total) for step in range(total)])


@pytest.mark.parametrize(("group", "factor"), [("lr_main", 1.0), ("lr_mask", MASK_RATE_FACTOR)])
def test_every_rate_of_the_official_run_is_met(shared, group, factor):
    golden = np.load(shared / "golden/lr_schedule_e100_bs64.npz")[group]
    rates = schedule(100, STEPS, 0.01 * factor)
    # the official rates are a recursion, whose round-off grows to this over the 78,200 steps; ours are in closed form
    assert np.abs(rates - golden).max() <= 1e-14 * golden.max()
    rise = slice(5 * STEPS + 2)
    assert np.abs(rates - golden)[rise].max() <= 4e-16 * golden.max()


@pytest.mark.parametrize(
    ("epochs", "warmup_epochs"), [(0, 0), (1, 0.1), (8, 0.8), (10, 1), (49, 4.9), (50, 5), (100, 5), (350, 5)]
)
def test_warmup_is_a_tenth_of_a_short_run_and_five_epochs_of_a_long_one(epochs, warmup_epochs):
    assert warmup_steps(epochs, 1000) == 1000 * warmup_epochs


@pytest.mark.parametrize("epochs", [1, 3, 8, 40, 100])
@pytest.mark.parametrize("steps_per_epoch", [3, 47, STEPS])
def test_rates_rise_linearly_then_only_fall_and_end_at_the_floor(epochs, steps_per_epoch):
    warmup = warmup_steps(epochs, steps_per_epoch)
    rates = schedule(epochs, steps_per_epoch)
    if warmup:
        np.testing.assert_allclose(rates[: warmup + 2], 0.01 / warmup * np.arange(warmup + 2), rtol=1e-15)
        assert rates.argmax() == warmup + 1  # the official overshoot
    else:
        assert rates[0] == rates.max() == 0.01
    assert (np.diff(rates[warmup + 1 if warmup else 0 :]) < 0).all()
    # the last step is at most two before the end of the cosine, where its square bends away from the floor
    decay = len(rates) - warmup
    assert FINAL_LEARNING_RATE <= rates[-1] <= FINAL_LEARNING_RATE + rates.max() * (math.pi / decay) ** 2


def test_without_warmup_the_rates_are_a_plain_cosine():
    rates = [learning_rate(i, 0.3, warmup=0, total=6) for i in range(7)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6, eta_min=1e-6)
    for rate in rates:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-14)
        optimizer.step()
        cosine.step()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "flexnet-7-conv33"])
def test_every_parameter_is_in_one_group_and_masks_are_in_the_slow_one(name):
    model = build_model(name)
    owners = {id(p): module for module in model.modules() for p in module.parameters(recurse=False)}
    groups = make_optimizer(model, 0.02).param_groups
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    for group in groups:
        for parameter in group["params"]:
            masked = isinstance(owners[id(parameter)], GaussianMask)
            assert group["base"] == pytest.approx(0.002 if masked else 0.02, rel=1e-15)


class MaskedSum(nn.Module):
    """Two numbers times a mask at two points."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.float64))
        self.mask = GaussianMask(1, sigma=0.5).double()

    def forward(self) -> torch.Tensor:
        return (self.weight * self.mask(torch.tensor([[0.2], [0.9]], dtype=torch.float64))).sum()


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_two_steps_are_those_of_adam_by_hand_with_decay_of_all_but_masks_which_move_at_a_tenth_of_the_rate(decay):
    model = MaskedSum()
    optimizer = make_optimizer(model, 0.02, decay)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in expected.items()}
    for step, rate in enumerate([0.02, 0.01], start=1):
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * rate / 0.02
        optimizer.zero_grad()
        model().backward()
        for name, parameter in model.named_parameters():
            gradient, masked = parameter.grad, name.startswith("mask.")
            mean = 0.9 * moments[name][0] + 0.1 * gradient
            square = 0.999 * moments[name][1] + 0.001 * gradient**2
            moments[name] = mean, square
            own_rate = rate * (0.1 if masked else 1)
            kept = 1 if masked else 1 - own_rate * decay
            corrected = (square / (1 - 0.999**step)).sqrt() + 1e-8
            expected[name] = kept * expected[name] - own_rate * mean / (1 - 0.9**step) / corrected
        optimizer.step()
    assert set(names.values()) == {"weight", "mask.mean", "mask.sigma"}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-12, atol=0)


def test_without_decay_the_optimiser_is_adam_to_the_bit():
    model, plain = (build_model("flexnet[3,4]", reference_size=8).eval() for _ in range(2))  # without dropout
    plain.load_state_dict(model.state_dict())
    ours = make_optimizer(model, 0.02)
    masks = {id(p) for module in plain.modules() if isinstance(module, GaussianMask) for p in module.parameters()}
    groups = [[p for p in plain.parameters() if (id(p) in masks) == masked] for masked in (False, True)]
    adam = torch.optim.Adam([{"params": groups[0]}, {"params": groups[1], "lr": 0.002}], lr=0.02, fused=True)
    for group in ours.param_groups:
        group["lr"] = group["base"]
    images = torch.randn(3, 3, 8, 8)
    for _ in range(3):
        for network, optimizer in ((model, ours), (plain, adam)):
            optimizer.zero_grad()
            network(images).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
