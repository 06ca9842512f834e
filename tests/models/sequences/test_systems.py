"""Laws of the listed systems: time steps are the published ones, or shorter where a sequence would last longer."""

import pytest
import torch

from restool.models import build_model

CYCLES = 3.0


@pytest.mark.parametrize("name", ["lipschitz-rnn", "cornn"])
@torch.no_grad()
def test_models_for_another_number_of_steps_follow_the_same_trajectory(name):
    answers = []
    for steps in (784, 1568, 3136):
        torch.manual_seed(0)
        model = build_model(name, channels=1, reference_size=steps).double().eval()
        time = (torch.arange(steps, dtype=torch.float64) + 1) / steps
        answers.append(model(torch.sin(2 * torch.pi * CYCLES * time)[None, None]))
    errors = [float((answer - answers[2]).norm() / answers[2].norm()) for answer in answers[:2]]
    assert errors[1] < 0.6 * errors[0]  # first order in the step: 1/3 of it, but for what is beyond
    assert errors[0] < 0.05


@pytest.mark.parametrize(("name", "published"), [("lipschitz-rnn", 0.03), ("cornn", 0.042), ("unicornn", 0.19)])
def test_a_time_step_is_never_longer_than_the_published_one(name, published):
    for steps, share in ((128, 1), (256, 1), (784, 1), (1568, 1 / 2)):
        model = build_model(name, channels=1, reference_size=steps)
        found = {module.step for module in model.modules() if hasattr(module, "step")}
        assert found == {published * share}
