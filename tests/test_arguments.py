"""Laws of arguments: a knob takes the numbers inside its bounds, and an error calls an argument as its teller does."""

import math
import pickle
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import pytest

from restool.arguments import Knob, check_knobs, knobs, nearest, require_choice, require_value, unknown_name
from restool.errors import ArgumentError, CellsFailedError, MissingDataError, RestoolError, UsageError

NUMBERS = [-math.inf, -3, -1, -0.5, 0, 1e-9, 0.5, 1, 1.5, 2, 3, 10**20, 1e30, math.inf]


@dataclass(frozen=True)
class Oven:
    """Settings of all kinds, and one without a knob."""

    heat: Annotated[int, Knob("Degrees.", least=20, most=1200)] = 200
    hours: Annotated[float, Knob("Of baking.", above=0, most=48)] = 1
    steam: Annotated[float | None, Knob("Litres.", least=0)] = None
    mode: Annotated[Literal["fan", "grill"], Knob("What heats.")] = "fan"
    label: str = ""

    def __post_init__(self) -> None:
        check_knobs(self)


@pytest.mark.parametrize("least", [None, -1, 0, 1.5])
@pytest.mark.parametrize("above", [None, 0, 1])
@pytest.mark.parametrize("most", [None, 0.5, 2, 1e30])
def test_a_knob_is_broken_by_exactly_the_numbers_outside_its_bounds(least, above, most):
    for value in NUMBERS:
        inside = [least is None or value >= least, above is None or value > above, most is None or value <= most]
        rule = Knob("", least=least, above=above, most=most).broken(value)
        assert (rule == "") == all(inside)
        if rule:
            words = ("must be at least", "must be above", "must be at most")
            assert rule.startswith(words[inside.index(False)])


@pytest.mark.parametrize("bounds", [{}, {"least": 0}, {"above": 0}, {"most": 3}])
def test_no_knob_takes_nan(bounds):
    assert Knob("", **bounds).broken(math.nan) == "must be a number"


@pytest.mark.parametrize(
    ("bounds", "value", "rule"),
    [
        ({"least": 2, "because": "batch norm needs it"}, 1, "must be at least 2 (batch norm needs it)"),
        ({"least": 2, "most": 5, "because": "batch norm needs it"}, 6, "must be at most 5"),
        ({"most": 1_000_000}, 10**7, "must be at most 1,000,000"),
        ({"most": 1e30}, math.inf, "must be at most 1e+30"),
        ({"above": 0}, 0, "must be above 0"),
        ({"above": 0.25}, 0.2, "must be above 0.25"),
    ],
)
def test_a_rule_tells_the_bound_as_it_was_set_and_its_reason(bounds, value, rule):
    assert Knob("", **bounds).broken(value) == rule


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("heat", 19, "`heat` must be at least 20, but is 19"),
        ("heat", 1201, "`heat` must be at most 1,200, but is 1201"),
        ("heat", 200.0, "`heat` must be a whole number, but is 200.0"),
        ("heat", True, "`heat` must be a whole number, but is True"),
        ("heat", "200", "`heat` must be a whole number, but is '200'"),
        ("heat", None, "`heat` must be a whole number, but is None"),
        ("hours", 0, "`hours` must be above 0, but is 0"),
        ("hours", math.nan, "`hours` must be a number, but is nan"),
        ("hours", False, "`hours` must be a number, but is False"),
        ("hours", "1", "`hours` must be a number, but is '1'"),
        ("hours", 1j, "`hours` must be a number, but is 1j"),
        ("hours", None, "`hours` must be a number, but is None"),
        ("steam", -0.1, "`steam` must be at least 0, but is -0.1"),
        ("steam", "none", "`steam` must be a number, but is 'none'"),
        ("mode", "steam", "`mode` must be one of fan, grill, but is 'steam'"),
        ("mode", None, "`mode` must be one of fan, grill, but is None"),
    ],
)
def test_a_value_of_another_kind_or_out_of_range_is_refused(field, value, message):
    with pytest.raises(ArgumentError) as error:
        Oven(**{field: value})
    assert str(error.value) == message
    assert error.value.field == field
    assert error.value.value is value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heat", 20),
        ("heat", 1200),
        ("heat", np.int64(300)),
        ("hours", 48),
        ("hours", 1e-9),
        ("hours", np.float32(2)),
        ("hours", Fraction(1, 3)),
        ("steam", None),
        ("steam", 0),
        ("mode", "grill"),
        ("label", 5),
    ],
)
def test_a_value_that_is_allowed_is_kept_as_it_is(field, value):
    assert getattr(Oven(**{field: value}), field) is value


def test_the_first_field_that_is_no_good_is_told():
    with pytest.raises(ArgumentError, match="^`heat` "):
        Oven(heat=0, hours=0, mode="steam")
    with pytest.raises(ArgumentError, match="^`hours` "):
        Oven(hours=0, mode="steam")


def test_the_knobs_of_a_class_are_those_of_its_annotated_fields_with_their_types():
    found = knobs(Oven)
    assert list(found) == ["heat", "hours", "steam", "mode"]
    assert [kind for kind, _ in found.values()] == [int, float, float | None, Literal["fan", "grill"]]
    assert found["heat"][1] == Knob("Degrees.", least=20, most=1200)

    @dataclass(frozen=True)
    class Larger(Oven):
        racks: Annotated[int, Knob("Of iron.", least=1)] = 2
        heat: Annotated[int, Knob("Degrees.", least=0)] = 0
        note: Annotated[str, "no knob"] = ""

    assert set(knobs(Larger)) == {*found, "racks"}
    assert knobs(Larger)["heat"][1].least == 0


def test_a_value_is_required_by_itself_too():
    require_value("threads", None, int | None, Knob("", least=1))
    require_value("threads", 1, int | None, Knob("", least=1))
    with pytest.raises(ArgumentError, match="^`threads` must be at least 1, but is 0$"):
        require_value("threads", 0, int | None, Knob("", least=1))
    with pytest.raises(ArgumentError, match="^`threads` must be a whole number, but is None$"):
        require_value("threads", None, int, Knob("", least=1))


@pytest.mark.parametrize("words", [("a", "b"), ["b", "a"], {"a": 1, "b": 2}, (word for word in "ab")])
def test_a_choice_is_one_of_the_words(words):
    require_choice("letter", "a", words)


def test_another_choice_is_told_with_all_words_in_their_order():
    with pytest.raises(ArgumentError, match="^`letter` must be one of b, a, but is 'c'$"):
        require_choice("letter", "c", ["b", "a"])
    with pytest.raises(ArgumentError, match="^`letter` must be one of b, a, but is 'c'$"):
        require_choice("letter", "c", (word for word in "ba"))


@pytest.mark.parametrize("index", range(7))
def test_one_letter_more_less_or_other_is_nearest_to_its_word(index):
    known = ["requery", "bandlimit", "rescale", "interpolate", "as-is", "resize"]
    for word in known:
        place = min(index, len(word) - 1)
        for typo in (word[:place] + word[place + 1 :], word[:place] + "q" + word[place:]):
            assert nearest(typo, known) == word
        assert nearest(word, iter(known)) == word


def test_there_is_a_nearest_name_however_far_it_is():
    assert nearest("", ["one", "two"]) in ("one", "two")
    assert nearest("xyz", ["abc"]) == "abc"


def test_an_unknown_name_tells_the_nearest_and_all_that_are_known():
    error = unknown_name("model", "flexnt", (name for name in ("ckcnn", "flexnet")))
    assert isinstance(error, UsageError)
    assert str(error) == "unknown model 'flexnt'; the nearest is 'flexnet', the known ones are ckcnn, flexnet"
    error = unknown_name("kind", "a", ["b"], place=" in 'a-b'", more=" and others")
    assert str(error) == "unknown kind 'a' in 'a-b'; the nearest is 'b', the known ones are b and others"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ArgumentError("batch_size", "must be at least 2", 1), "<batch_size> must be at least 2, but is 1"),
        (ArgumentError("out", "must be new", "a b"), "<out> must be new, but is 'a b'"),
        (
            ArgumentError("out", "must be new", "a", "or name no `log`"),
            "<out> must be new, but is 'a'; or name no <log>",
        ),
        (UsageError("choose another `out`, or `dry_run`"), "choose another <out>, or <dry_run>"),
        (MissingDataError("run `restool ls runs` or `--help`"), "run `restool ls runs` or `--help`"),
        (CellsFailedError("2 of 5 cells failed"), "2 of 5 cells failed"),
        (RestoolError("an odd ` and `rate`"), "an odd ` and <rate>"),
    ],
)
def test_an_argument_in_backticks_is_called_as_its_teller_calls_it(error, told):
    assert error.told(lambda name: f"<{name}>") == told
    assert error.told(lambda name: f"`{name}`") == str(error)


def test_an_argument_error_is_a_value_error_with_its_parts_also_after_pickling():
    error = pickle.loads(pickle.dumps(ArgumentError("limit", "must be at least 1", 0, "leave it out")))
    assert isinstance(error, ValueError)
    assert (error.field, error.rule, error.value, error.mend) == ("limit", "must be at least 1", 0, "leave it out")
    assert str(error) == "`limit` must be at least 1, but is 0; leave it out"


def test_every_kind_of_error_ends_in_a_status_of_its_own():
    kinds = [RestoolError, UsageError, CellsFailedError, MissingDataError]
    assert [kind.exit_status for kind in kinds] == [1, 2, 3, 4]
    assert ArgumentError.exit_status == UsageError.exit_status
    assert issubclass(MissingDataError, FileNotFoundError)
