"""Laws of the listed systems: a sequence lasts as long, however many steps a model is trained at."""

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
