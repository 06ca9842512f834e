"""Laws of the walk over layers: every one once, in order, and a copy with others in their places."""

import copy

import pytest
import torch
from torch import nn

from restool.modules import layers, named_layers, with_layers
from restool.nn import Rescaled


class Holder(nn.Module):
    """Layers in two places, inside of each other, and a place that is empty."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.rest = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Linear(3, 2), self.first)
        self.register_module("nothing", None)

    def forward(self, x):
        return self.rest(self.first(x))


def test_every_layer_comes_once_under_its_first_name_in_the_models_order():
    model = Holder()
    found = list(named_layers(model, nn.Linear))
    assert [name for name, _ in found] == ["first", "rest.0.0", "rest.1"]
    assert all(model.get_submodule(name) is layer for name, layer in found)
    assert list(layers(model, nn.Linear)) == [layer for _, layer in found]


def test_all_layers_of_a_kind_are_those_of_torchs_own_walk():
    model = Holder()
    expected = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ReLU)]
    assert list(named_layers(model, nn.ReLU)) == expected
    assert list(layers(model, nn.Conv2d)) == []


def test_inside_of_a_layer_none_is_looked_for_and_a_model_may_be_the_layer():
    model = Holder()
    assert [name for name, _ in named_layers(model, nn.Sequential)] == ["rest"]
    assert list(named_layers(model, Holder)) == [("", model)]


def halves(layer):
    """A linear layer with half the weights."""
    if not isinstance(layer, nn.Linear):
        return layer
    half = copy.deepcopy(layer)
    half.weight.data /= 2
    return half


@torch.no_grad()
def test_a_copy_has_other_layers_in_both_places_of_one_and_the_model_stays():
    model, x = Holder(), torch.randn(4, 2)
    state, modules, answer = copy.deepcopy(model.state_dict()), list(model.modules()), model(x)
    moved = with_layers(model, halves)
    assert moved.first is moved.rest[2]
    for name, layer in named_layers(model, nn.Linear):
        assert torch.equal(moved.get_submodule(name).weight, layer.weight / 2)
        assert torch.equal(moved.get_submodule(name).bias, layer.bias)
    assert list(model.modules()) == modules
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(x), answer)
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in moved.parameters()}


def test_a_rule_is_asked_once_about_each_module_and_not_about_what_it_replaced():
    asked = []

    def rule(module):
        asked.append(type(module))
        return nn.Identity() if isinstance(module, nn.Sequential) and len(module) == 2 else module

    moved = with_layers(Holder(), rule)
    assert asked == [Holder, nn.Linear, nn.Sequential, nn.Sequential, nn.Linear]
    assert isinstance(moved.rest[0], nn.Identity)
    assert moved.nothing is None


@torch.no_grad()
def test_a_layer_twice_in_one_sequence_is_replaced_in_both_places():
    layer, x = nn.Linear(2, 2), torch.randn(4, 2)
    moved = with_layers(nn.Sequential(layer, nn.ReLU(), layer), halves)
    assert moved[0] is moved[2]
    half = halves(layer)
    assert torch.equal(moved(x), half(half(x).relu()))
    assert not torch.equal(moved[0].weight, layer.weight)


@pytest.mark.parametrize("kind", [nn.Linear, nn.Sequential])
def test_a_layer_alone_is_replaced_too(kind):
    layer = nn.Linear(2, 2) if kind is nn.Linear else nn.Sequential(nn.Linear(2, 2))
    assert isinstance(with_layers(layer, lambda module: nn.Identity()), nn.Identity)
    assert isinstance(layer, kind)


class Wound(Rescaled):
    """A layer around a recurrent one."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4)

    def forward(self, sequence):
        return self.rnn(sequence)[0]


COPIES = [
    pytest.param(lambda model: with_layers(model, lambda layer: layer), id="with layers"),
    pytest.param(lambda model: nn.Sequential(model[0].at_scale(2.0)), id="at scale"),
]


@pytest.mark.parametrize("copied", COPIES)
def test_recurrent_layers_of_a_copy_are_put_into_one_piece_and_those_of_the_model_are_left_alone(copied, monkeypatch):
    model, put = nn.Sequential(Wound()), []
    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", lambda layer: put.append(layer))
    moved = copied(model)
    assert [id(layer) for layer in put] == [id(moved[0].rnn)]
    assert moved[0].rnn is not model[0].rnn


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_on_a_gpu_runs_without_the_warning_of_scattered_weights(copied):
    model, sequence = nn.Sequential(Wound()).cuda(), torch.randn(5, 2, 3, device="cuda")
    assert torch.allclose(copied(model)(sequence), model(sequence), atol=1e-6)
