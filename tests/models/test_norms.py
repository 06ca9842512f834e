"""Laws of the batch-norm statistics for every size: a model has those of the trained size nearest to its images."""

import copy
from fractions import Fraction

import pytest
import torch
from torch import nn

from restool.models import DCN, ModelSpec, Solver, build_model
from restool.models.norms import attach_norms, attach_norms_of, detach_norms, put_norms, sized_norms
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


def mixed(sizes=(8, 12), spec=SPEC):
    """A model with the statistics shift(n) for every size n, left with others."""
    torch.manual_seed(0)
    model = spec.build().eval()
    attach_norms(model, sizes)
    for size in sizes:
        shift(model, size)
        sized_norms(model).keep(model, size)
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
        put_norms(model, size)
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
            put_norms(model, size)
            assert torch.equal(statistics(model), statistics(plain(nearest))), (trained, size)
    put_norms(tied := mixed((8, 32)), 16)
    assert torch.equal(statistics(tied), statistics(plain(32)))


def test_a_set_is_kept_apart_from_the_model_and_from_other_sets():
    model = mixed()
    put_norms(model, 8)
    shift(model, 3.0)
    put_norms(model, 12)
    put_norms(model, 8)
    assert torch.equal(statistics(model), statistics(plain(8)))  # what was put on was not kept
    shift(model, 3.0)
    sized_norms(model).keep(model, 8)
    for size, amount in ((12, 12), (8, 3.0)):
        put_norms(model, size)
        assert torch.equal(statistics(model), statistics(plain(amount)))


def test_every_set_starts_from_the_present_statistics():
    model = plain(2.0)
    attach_norms(model, [8, 12, 16])
    for size in (8, 12, 16):
        shift(model, 9.0)
        put_norms(model, size)
        assert torch.equal(statistics(model), statistics(plain(2.0)))


def test_a_checkpoint_keeps_the_sets(tmp_path):
    model = mixed()
    save_checkpoint(tmp_path / "a.safetensors", Checkpoint(spec=SPEC, model=model.state_dict()))
    loaded, _ = load_model(tmp_path / "a.safetensors")
    assert torch.equal(statistics(loaded), statistics(model))
    for size in (8, 12):
        put_norms(loaded, size)
        assert torch.equal(statistics(loaded), statistics(plain(size)))


def test_a_copy_has_sets_of_its_own():
    model = mixed()
    other = copy.deepcopy(model)
    shift(other, 5.0)
    sized_norms(other).keep(other, 8)
    put_norms(model, 8)
    assert torch.equal(statistics(model), statistics(plain(8)))


@pytest.mark.parametrize("sizes", [[], [8], [8, 8]])
def test_a_model_of_one_size_has_no_more_state_than_before(sizes):
    model, before = plain(1.0), plain(1.0).state_dict()
    attach_norms(model, sizes)
    attach_norms_of(model, before)
    put_norms(model, 12)
    assert sized_norms(model) is None
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("build", [lambda: DCN((4, 8), solver=Solver(steps=1)), lambda: nn.Conv2d(3, 3, 3)])
def test_a_model_without_batch_norms_is_left_alone(build):
    model = build()
    before = list(model.state_dict())
    attach_norms(model, [8, 12])
    put_norms(model, 12)
    detach_norms(model)
    assert sized_norms(model) is None
    assert list(model.state_dict()) == before


def test_a_model_that_forgets_its_sets_keeps_the_statistics_it_has():
    model = mixed()
    put_norms(model, 12)
    detach_norms(model)
    assert sized_norms(model) is None
    assert model.state_dict().keys() == plain(0.0).state_dict().keys()
    put_norms(model, 8)
    assert torch.equal(statistics(model), statistics(plain(12)))


def test_sets_are_no_parameters_and_move_with_the_model():
    model, parameters = mixed(), len(list(build_model("flexnet[3,4]").parameters()))
    assert len(list(model.parameters())) == parameters
    put_norms(model.double(), 12)
    assert torch.equal(statistics(model), statistics(plain(12)).double())
