"""A small training that may be stopped at any step, and what it must leave."""

import math

import torch
from torch import nn

from restool.models import ModelSpec
from restool.recipe import Recipe
from restool.training import train

SPEC = ModelSpec("flexnet[3,4]", 3, 3, 8)
RECIPE = Recipe(batch_size=7)
EPOCHS = 3
CHOICES = {"epochs": EPOCHS, "spec": SPEC, "size": 8, "seed": 0}
STEPS = 3  # of an epoch of the fixture `batches`


class Stopped(Exception):  # noqa: N818 (not an error: a test asked for it)
    """As a time limit or a user would."""


class StopAt:
    """Raises after a number of steps, and keeps the figures of every epoch."""

    def __init__(self, step: float = math.inf, epoch: float = math.inf) -> None:
        self.left, self.epochs_left = step, epoch
        self.figures: list[dict[str, float]] = []

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped

    def epoch(self, figures: dict[str, float]) -> None:
        self.figures.append(dict(figures))
        self.epochs_left -= 1
        if self.epochs_left == 0:
            raise Stopped


def fresh(spec: ModelSpec = SPEC) -> nn.Module:
    torch.manual_seed(5)
    return spec.build()


def run(batches, recipe=RECIPE, **choices):
    model = fresh(choices.get("spec", SPEC))
    history = train(model, batches, recipe, **{**CHOICES, **choices})
    return model, history


def assert_same_bits(actual: nn.Module, expected: nn.Module) -> None:
    state = actual.state_dict()
    assert state.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(state[name], value), name
