"""CKTCN is the shell of its paper around causal kernels that are sine networks with normalised weights."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest, uniform

from restool.kernels import NormedSIREN
from restool.models import build_model
from restool.models.dropout import Dropout
from restool.models.sequences.cktcn import CKTCN
from restool.nn import ContinuousConv, sample_together
from restool.testing import assert_close, assert_requery_consistent, relative_error


def build(**options):
    torch.manual_seed(0)
    model = CKTCN(2, 10, **{"steps": 20, "hidden": 4, **options}).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm | ContinuousConv):
            torch.nn.init.normal_(module.bias)
        if isinstance(module, torch.nn.GroupNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def continuous_layers(model):
    return [module for module in model.modules() if isinstance(module, ContinuousConv)]


@pytest.mark.parametrize(
    ("channels", "hidden", "count"),
    [(1, 30, 98_286), (3, 30, 100_386), (96, 30, 198_036), (1, 100, 1_030_546), (3, 100, 1_037_546)],
)
def test_size_is_the_published_one(channels, hidden, count):
    model = CKTCN(channels, 10, steps=784, hidden=hidden)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_magnet_kernels_without_masks_make_the_published_size():
    model = build_model("flextcn[30,30]-ckconv-magnet", channels=1, reference_size=784)
    assert sum(parameter.numel() for parameter in model.parameters()) == 105_540


def siren(state, name, p, omega):
    """[P, 1] -> [outputs, P]."""

    def linear(part, h):
        g, v = (state[f"{name}.{part}.parametrizations.weight.original{index}"] for index in (0, 1))
        return h @ (g * v / v.square().sum(1, keepdim=True).sqrt()).T + state[f"{name}.{part}.bias"]

    return linear("output", torch.sin(omega * linear("second", torch.sin(omega * linear("first", p))))).T


def norm(state, name, h):
    """Of every sequence, over channels and steps."""
    centred = h - h.mean((1, 2), keepdim=True)
    scaled = centred / centred.square().mean((1, 2), keepdim=True).sqrt()
    return scaled * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]


@torch.no_grad()
def test_cktcn_is_the_network_of_the_paper():
    model = build(omega=17.0)
    for parameter in model.parameters():  # gains that are no norms
        parameter.mul_(torch.empty_like(parameter).uniform_(0.5, 1.5))
    state = model.state_dict()
    p = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]

    def conv(name, x):
        kernel = siren(state, f"{name}.kernel", p, omega=17.0).view(4, x.shape[1], 20)
        return F.conv1d(F.pad(x, (19, 0)), kernel, state[f"{name}.bias"])

    x = torch.randn(3, 2, 20, dtype=torch.float64)
    h = x
    for block in ("blocks.0", "blocks.1"):
        out = F.relu(norm(state, f"{block}.norm1", conv(f"{block}.conv1", h)))
        out = F.relu(norm(state, f"{block}.norm2", conv(f"{block}.conv2", out)))
        if block == "blocks.0":
            h = F.conv1d(h, state[f"{block}.shortcut.weight"], state[f"{block}.shortcut.bias"])
        h = F.relu(out + h)
    assert_close(model.features(x), h)
    assert_close(model(x), h[:, :, -1] @ state["head.weight"].T + state["head.bias"])


@torch.no_grad()
def test_kernels_are_causal():
    for layer in continuous_layers(build()):
        x = torch.randn(2, layer.in_channels, 20, dtype=torch.float64)
        changed = x.clone()
        changed[:, :, 12:] += 1
        before, after = layer(x), layer(changed)
        assert_close(after[:, :, :12], before[:, :, :12])
        assert relative_error(after[:, :, 12:], before[:, :, 12:]) > 1e-3


@pytest.mark.parametrize("size", [20, 13, 40])
def test_a_requeried_kernel_is_the_same_function(size):
    layers = continuous_layers(build())
    assert len(layers) == 4
    for layer in layers:
        assert layer.mask is None
        assert_requery_consistent(layer, (size,))


def test_kernels_sampled_together_are_those_sampled_alone():
    layers = continuous_layers(build())
    for layer, kernel in zip(layers, sample_together(layers, (33,)), strict=True):
        assert_close(kernel.dense(), layer.sample((33,)))


@pytest.mark.parametrize("length", [20, 31])
def test_gradients_reach_every_parameter(length):
    torch.manual_seed(0)
    model = CKTCN(2, 10, steps=20)
    F.cross_entropy(model(torch.randn(2, 2, length)), torch.tensor([3, 7])).backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def assert_uniform(tensor, bound):
    values = tensor.detach().double().flatten().numpy()
    assert np.abs(values).max() <= bound * (1 + 1e-6)  # rounded to float32, and divided by its norm
    assert kstest(values, uniform(-bound, 2 * bound).cdf).pvalue > 1e-4


def test_kernel_networks_start_with_the_documented_distributions():
    torch.manual_seed(0)
    network = NormedSIREN(1, 400, hidden=400, omega_0=31.09)
    assert_uniform(network.first.weight, 1.0)
    for linear in (network.second, network.output):
        assert_uniform(linear.weight, math.sqrt(6 / 400) / 31.09)
    for linear in (network.first, network.second, network.output):
        assert_uniform(linear.bias, 1.0)


@torch.no_grad()
def test_only_the_gain_scales_a_weight():
    torch.manual_seed(0)
    linear = NormedSIREN(1, 5).second
    gain, direction = linear.parametrizations.weight.original0, linear.parametrizations.weight.original1
    before = linear.weight.clone()
    direction.mul_(torch.rand_like(gain) + 0.5)
    assert_close(linear.weight, before)
    gain.mul_(3)
    assert_close(linear.weight, 3 * before)


def test_omega_and_dropout_are_those_for_sequential_mnist():
    model = CKTCN(1, 10, steps=784)
    assert [layer.kernel.omega_0.item() for layer in continuous_layers(model)] == pytest.approx([31.09] * 4)
    assert {module.p for module in model.modules() if isinstance(module, Dropout)} == {0.1}
    rates = CKTCN(1, 10, steps=784, dropout=0.2, input_dropout=0.3)
    assert [rates.input_dropout.p, rates.blocks[0].dropout.p] == [0.3, 0.2]
