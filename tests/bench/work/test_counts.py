"""Laws of the floor: the slower of arithmetic and traffic, by the cheapest way, of everything that was counted."""

import pytest
import torch
from torch import nn

from restool.bench.harness.floor import Count, Floor, floor
from restool.bench.work.counts import evaluation_costs, layer_costs, training_costs
from restool.correlation.cost import work
from restool.models import build_model
from restool.models.layers import LAYER_KINDS


def test_the_floor_is_the_slower_of_arithmetic_and_traffic(round_machine):
    assert floor([{"a": Count(2e9, 1e8)}], round_machine) == Floor(seconds=2, arithmetic=2)
    assert floor([{"a": Count(2e9, 3e8)}], round_machine) == Floor(seconds=3, arithmetic=0)


def test_every_part_is_done_the_cheapest_way_and_parts_add_up(round_machine):
    parts = [{"a": Count(9e9, 0), "b": Count(4e9, 5e8)}, {"a": Count(1e9, 0), "b": Count(2e9, 0)}]
    assert floor(parts, round_machine) == Floor(seconds=5 + 1, arithmetic=1)


@pytest.fixture
def layer():
    layer = LAYER_KINDS["magnet"].factory(2, 16)(3, 5)
    layer.mask.sigma.data.fill_(0.3)  # 11 taps at 16 px
    return layer


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_counts_as_its_kernel_of_33_functions(layer, training):
    expected = work((7, 3, 16, 16), (5, 3, 11, 11), hidden=33, training=training)
    found = layer_costs(layer, 7, (16, 16), training=training)
    assert found == {way: Count(counted.operations, counted.bytes) for way, counted in expected.items()}


def test_a_layer_of_sequences_counts_as_a_causal_one():
    layer = LAYER_KINDS["ckconv-magnet"].factory(1, 40)(3, 5)
    expected = work((7, 3, 40), (5, 3, 40), causal=True, hidden=33, training=True)
    found = layer_costs(layer, 7, (40,), training=True)
    assert found == {way: Count(counted.operations, counted.bytes) for way, counted in expected.items()}


def test_a_step_on_sequences_counts_layers_shortcut_norms_and_optimiser():
    model = build_model("flextcn[4]", channels=1, reference_size=20)
    parts = training_costs(model, torch.zeros(7, 1, 20))
    assert len(parts) == 2 + 2 + 1 + 1 + 1  # layers, norms, shortcut, head, Adam
    assert bytes_of(parts, "read and write") == 2 * 5 * 4 * 7 * 4 * 20


def bytes_of(parts, *ways):
    return sum(part[way].bytes for part in parts for way in ways if way in part)


def test_a_training_step_counts_layers_norms_and_optimiser(layer):
    batch, model = 7, nn.Sequential(layer, nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.Flatten())
    model.append(nn.Linear(4 * 256, 10))
    parts = training_costs(model, torch.zeros(batch, 3, 16, 16))
    assert len(parts) == 5
    assert parts[0] == layer_costs(layer, batch, (16, 16), training=True)
    assert bytes_of(parts, "read and write") == 5 * 4 * batch * 5 * 256
    assert bytes_of(parts, "adam") == 7 * 4 * sum(parameter.numel() for parameter in model.parameters())
    shortcut, head = parts[2]["direct"], parts[3]["direct"]
    assert shortcut.operations == 3 * 2 * batch * 256 * 5 * 4
    assert head.operations == 3 * 2 * batch * 1024 * 10


def test_counting_leaves_a_model_as_it_was(layer):
    model = nn.Sequential(layer, nn.BatchNorm2d(5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training_costs(model, torch.ones(2, 3, 16, 16))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_evaluation_counts_what_grows_with_the_images_and_no_kernel(layer):
    model = nn.Sequential(layer, nn.BatchNorm2d(5))
    one, ten = (evaluation_costs(model, torch.zeros(batch, 3, 16, 16)) for batch in (1, 10))
    assert len(one) == 1
    for way, count in one[0].items():
        assert ten[0][way].operations == pytest.approx(10 * count.operations)
        assert count.bytes == 4 * (3 + 5) * 256
    full = layer_costs(layer, 1, (16, 16), training=False)
    assert all(one[0][way].operations < full[way].operations for way in full)


def test_kernel_networks_are_not_counted_as_layers_of_the_model():
    model = build_model("flexnet[4,6]", reference_size=8)
    assert len(evaluation_costs(model, torch.zeros(2, 3, 8, 8))) == 3 + 1 + 1  # layers, shortcut, head
