"""The aliasing penalty of the official code: frequencies, value and gradient."""

import pytest
import torch
from official import load, part, read

from restool.aliasing import penalty, report
from restool.kernels.spectrum import mask_frequency
from restool.testing import assert_close

CASES = [(target, horizon) for target in ("gabor", "gabor+mask") for horizon in (17, 33)]


@pytest.fixture(scope="module")
def reference(shared):
    return load(shared, "regularizer")


@pytest.fixture
def model(reference, tmp_path):
    return read(part(reference, "sd/"), tmp_path, reference_size=16)


@pytest.mark.parametrize(("target", "horizon"), CASES)
def test_frequencies_and_limits_are_the_official_ones(reference, model, target, horizon):
    layers = report(model, horizon - 1, target)
    expected = reference[f"freqs/{target}"]
    if target == "gabor+mask":
        masks = reference["mask_freqs/gabor+mask"]
        convs = [model.get_submodule(layer.layer) for layer in layers]
        assert_close(torch.stack([mask_frequency(conv.mask) for conv in convs]), masks)
        expected = expected + masks[:, None] / 4  # shared by the four filters
    assert_close(torch.stack([layer.filters for layer in layers]), expected)
    assert {layer.limit for layer in layers} == {float(reference[f"nyquist/h{horizon}"]) / 4}


@pytest.mark.parametrize(("target", "horizon"), CASES)
def test_penalty_and_its_gradient_are_the_official_ones(reference, model, tmp_path, target, horizon):
    value = penalty(model, horizon - 1, target, strength=0.1)
    assert_close(value, reference[f"reg/{target}/together/h{horizon}"])

    value.backward()
    nothing = {key: torch.zeros_like(array) for key, array in part(reference, "sd/").items()}
    gradients = nothing | part(reference, f"grad/{target}/h{horizon}/")
    expected = read(gradients, tmp_path, reference_size=16)  # a model whose parameters are the gradients
    for parameter, gradient in zip(model.parameters(), expected.parameters(), strict=True):
        assert_close(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad, gradient)


@pytest.mark.parametrize(("target", "horizon"), CASES)
def test_reported_frequencies_give_the_official_sum_form_too(reference, model, target, horizon):
    layers = report(model, horizon - 1, target)
    excess = [torch.relu(layer.filters.sum() - len(layer.filters) * layer.limit) for layer in layers]
    assert_close(0.1 * torch.stack(excess).square().sum(), reference[f"reg/{target}/summed/h{horizon}"])


def test_penalty_of_flexnet_7_is_the_official_one(shared, tmp_path):
    reference = load(shared, "flexnet7")
    model = read(part(reference, "sd/"), tmp_path, reference_size=16)
    for target, horizon in CASES:
        assert_close(penalty(model, horizon - 1, target, strength=0.1), reference[f"reg/{target}/h{horizon}"])
