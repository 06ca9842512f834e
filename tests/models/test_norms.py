"""Laws of the batch-norm statistics for every size: a model has those of the trained size nearest to its images."""

import copy
from fractions import Fraction

import pytest
import torch
from torch import nn

from restool.models import DCN, ModelSpec, Solver, build_model
from restool.models.norms import NormsInTurn, keep_sets, kept_sizes, put_nearest
from restool.training import Checkpoint, load_model, save_checkpoint

SPEC = ModelSpec("flexnet[3,4]", 3, 3, 8)


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def statistics(model):
    return torch.cat([torch.cat([norm.running_mean, norm.running_var]) for norm in norms(model)])


def shift(model, amount):
    """Statistics that are told apart: means that fall with an amount, variances of one plus it, all different."""
    with torch.no_grad():
        for place, norm in enumerate(norms(model)):
            steps = torch.arange(len(norm.running_mean)) / 100 + place / 10
            norm.running_mean.copy_(-amount / 100 - steps)  # below 0: no rectifier is dead
            norm.running_var.copy_(1 + amount + steps)


def keep(model, size):
    """Let a model's present statistics be those of a size."""
    getattr(model, f"batch_norms_at_{size}").copy_(statistics(model))


def mixed(sizes=(8, 12), spec=SPEC):
    """A model with the statistics shift(n) for every size n, left with others."""
    torch.manual_seed(0)
    model = spec.build().eval()
    keep_sets(model, sizes)
    for size in sizes:
        shift(model, size)
        keep(model, size)
    shift(model, 0.5)
    return model


def plain(amount):
    """The same model with one set of statistics."""
    torch.manual_seed(0)
    model = SPEC.build().eval()
    shift(model, amount)
    return model


@torch.no_grad()
def test_a_model_with_sets_gives_at_a_size_what_its_set_says():
    model, images = mixed(), torch.randn(2, 3, 12, 12)
    answers = []
    for size in (12, 8, 12):
        put_nearest(model, size)
        answers.append(model(images))
        assert torch.equal(answers[-1], plain(size)(images))
    assert not torch.allclose(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_the_nearest_size_is_the_one_of_the_least_ratio_and_the_larger_of_two():
    for trained in [(8, 12), (8, 32), (6, 24), (9, 16), (12, 14, 16), (16, 20, 25, 33)]:
        model = mixed(trained)
        for size in range(4, 70):
            ratio = {t: max(Fraction(t, size), Fraction(size, t)) for t in trained}
            nearest = max(t for t in trained if ratio[t] == min(ratio.values()))
            put_nearest(model, size)
            assert torch.equal(statistics(model), statistics(plain(nearest))), (trained, size)
    put_nearest(tied := mixed((8, 32)), 16)
    assert torch.equal(statistics(tied), statistics(plain(32)))


def test_a_set_is_kept_apart_from_the_model_and_from_other_sets():
    model = mixed()
    put_nearest(model, 8)
    shift(model, 3.0)
    put_nearest(model, 12)
    put_nearest(model, 8)
    assert torch.equal(statistics(model), statistics(plain(8)))  # what was put on was not kept
    shift(model, 3.0)
    keep(model, 8)
    for size, amount in ((12, 12), (8, 3.0)):
        put_nearest(model, size)
        assert torch.equal(statistics(model), statistics(plain(amount)))


def test_a_size_that_was_never_met_has_no_say_and_starts_from_the_last_statistics():
    model = plain(2.0)
    keep_sets(model, [8, 12, 16])
    put_nearest(model, 12)
    assert torch.equal(statistics(model), statistics(plain(2.0)))  # none is met
    turns = NormsInTurn(model)
    turns.turn_to(8)
    turns.turn_to(16)
    assert torch.equal(statistics(model), statistics(plain(2.0)))
    shift(model, 9.0)
    turns.end_at(16)
    for size, amount in ((8, 2.0), (11, 2.0), (12, 9.0), (16, 9.0)):
        put_nearest(model, size)
        assert torch.equal(statistics(model), statistics(plain(amount)))


def test_sets_for_other_sizes_take_the_place_of_those_there_are():
    model = mixed((8, 12))
    keep_sets(model, (12, 16))
    assert kept_sizes(model.state_dict()) == (12, 16)
    put_nearest(model, 8)
    assert torch.equal(statistics(model), statistics(plain(12)))


def test_a_checkpoint_keeps_the_sets(tmp_path):
    model = mixed()
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint(spec=SPEC, model=model.state_dict()))
    loaded, _ = load_model(tmp_path / "a.safetensors")
    assert torch.equal(statistics(loaded), statistics(model))
    for size in (8, 12):
        put_nearest(loaded, size)
        assert torch.equal(statistics(loaded), statistics(plain(size)))


def test_a_copy_has_sets_of_its_own():
    model = mixed()
    other = copy.deepcopy(model)
    shift(other, 5.0)
    keep(other, 8)
    put_nearest(model, 8)
    assert torch.equal(statistics(model), statistics(plain(8)))


@pytest.mark.parametrize("sizes", [[], [8], [8, 8]])
def test_a_model_of_one_size_has_no_more_state_than_before(sizes):
    model, before = plain(1.0), plain(1.0).state_dict()
    keep_sets(model, sizes)
    keep_sets(model, kept_sizes(before))
    put_nearest(model, 12)
    assert not kept_sizes(model.state_dict())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("build", [lambda: DCN((4, 8), solver=Solver(steps=1)), lambda: nn.Conv2d(3, 3, 3)])
def test_a_model_without_batch_norms_is_left_alone(build):
    model = build()
    before = list(model.state_dict())
    keep_sets(model, [8, 12])
    put_nearest(model, 12)
    keep_sets(model, ())
    assert not kept_sizes(model.state_dict())
    assert list(model.state_dict()) == before


def test_a_model_that_forgets_its_sets_keeps_the_statistics_it_has():
    model = mixed()
    put_nearest(model, 12)
    keep_sets(model, ())
    assert not kept_sizes(model.state_dict())
    assert model.state_dict().keys() == plain(0.0).state_dict().keys()
    put_nearest(model, 8)
    assert torch.equal(statistics(model), statistics(plain(12)))


def test_sets_are_no_parameters_and_move_with_the_model():
    model, parameters = mixed(), len(list(build_model("flexnet[3,4]").parameters()))
    assert len(list(model.parameters())) == parameters
    put_nearest(model.double(), 12)
    assert torch.equal(statistics(model), statistics(plain(12)).double())


@torch.no_grad()
def test_a_sequence_of_layers_gives_the_same_with_sets_as_without():
    # models from elsewhere may be one
    model, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval(), torch.randn(2, 3, 8, 8)
    expected = model(images)
    keep_sets(model, (8, 12))
    assert torch.equal(model(images), expected)
