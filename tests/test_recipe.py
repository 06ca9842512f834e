"""Laws of the recipe: a value out of range names the argument, and its identity tells what is not usual."""

import math
from dataclasses import fields, replace

import pytest

from restool.errors import ArgumentError
from restool.recipe import FIRST_FIELDS, Recipe

OTHER = {
    "alias_after": 0.5,
    "alias_penalty": "gabor",
    "alias_strength": 0.2,
    "batch_size": 32,
    "clip": 1.0,
    "enlarge": 2.0,
    "enlarge_share": 0.25,
    "learning_rate": 0.5,
    "precision": "bfloat16",
    "weight_decay": 0.1,
}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"batch_size": 1}, r"^`batch_size` must be at least 2 \(batch norm needs it\), but is 1$"),
        ({"batch_size": 2.5}, "^`batch_size` must be a whole number, but is 2.5$"),
        ({"batch_size": True}, "^`batch_size` must be a whole number, but is True$"),
        ({"learning_rate": 0.0}, "^`learning_rate` must be above 0, but is 0.0$"),
        ({"learning_rate": -0.1}, "^`learning_rate` must be above 0, but is -0.1$"),
        ({"learning_rate": math.nan}, "^`learning_rate` must be a number, but is nan$"),
        ({"learning_rate": math.inf}, r"^`learning_rate` must be at most 1e\+30, but is inf$"),
        ({"learning_rate": "0.1"}, "^`learning_rate` must be a number, but is '0.1'$"),
        (
            {"alias_penalty": "Gabor"},
            r"^`alias_penalty` must be one of none, gabor, gabor\+mask, spectral, but is 'Gabor'$",
        ),
        ({"alias_after": 1.1}, "^`alias_after` must be at most 1, but is 1.1$"),
        ({"alias_after": -0.1}, "^`alias_after` must be at least 0, but is -0.1$"),
        ({"alias_strength": -0.1}, "^`alias_strength` must be at least 0, but is -0.1$"),
        ({"enlarge": 0.5}, "^`enlarge` must be at least 1, but is 0.5$"),
        ({"enlarge": 8.5}, "^`enlarge` must be at most 8, but is 8.5$"),
        ({"enlarge": "2"}, "^`enlarge` must be a number, but is '2'$"),
        ({"enlarge_share": 1.1}, "^`enlarge_share` must be at most 1, but is 1.1$"),
        ({"enlarge_share": -0.1}, "^`enlarge_share` must be at least 0, but is -0.1$"),
        ({"precision": "float16"}, "^`precision` must be one of float32, bfloat16, but is 'float16'$"),
        ({"weight_decay": -1e-9}, "^`weight_decay` must be at least 0, but is -1e-09$"),
        ({"weight_decay": math.nan}, "^`weight_decay` must be a number, but is nan$"),
    ],
)
def test_a_recipe_out_of_range_is_rejected(choices, message):
    with pytest.raises(ArgumentError, match=message):
        Recipe(**choices)


def test_the_identity_tells_the_first_fields_always_and_others_where_they_are_not_usual():
    assert set(OTHER) == {field.name for field in fields(Recipe)}
    usual = Recipe()
    assert usual.identity == {name: getattr(usual, name) for name in FIRST_FIELDS}
    for name, value in OTHER.items():
        assert replace(usual, **{name: value}).identity == {**usual.identity, name: value}
    assert Recipe(**OTHER).identity == OTHER


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("alias_after", 1),
        ("alias_strength", 1),
        ("enlarge", 2),
        ("enlarge_share", 0),
        ("learning_rate", 1),
        ("weight_decay", 1),
    ],
)
def test_a_number_is_the_same_whether_written_as_1_or_as_1_0(name, number):
    whole, real = Recipe(**{name: number}), Recipe(**{name: float(number)})
    assert repr(whole) == repr(real)
