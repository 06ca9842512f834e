"""Lists of numbers as they are typed, against a brute-force reading of the rule, and every rejection."""

import itertools
import re

import pytest

from restool.cli.parsing import model_names, names, numbers, sizes, train_sizes
from restool.errors import UsageError
from restool.transfer import StudyConfig

MOST = 100_000
NUMBER = "[0-9]+"
PART = re.compile(f" *({NUMBER})(?:[.][.]({NUMBER})(?::({NUMBER}))?)? *")


def read_slowly(text: str) -> list[int] | None:
    """All n that a part of the text counts to from its first number; None where a part is no number and no range."""
    members = set()
    for part in text.split(","):
        match = PART.fullmatch(part)
        if match is None:
            return None
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step < 1:
            return None
        members |= {n for n in range(last + 1) if n >= first and (n - first) % step == 0}
    return sorted(members)


def assert_read_alike(text: str) -> None:
    expected = read_slowly(text)
    if expected is None or min(expected) < 4:
        with pytest.raises(UsageError, match="^`test` must "):
            numbers(text, "test", least=4, most=MOST)
    else:
        assert list(numbers(text, "test", least=4, most=MOST)) == expected


def test_every_short_text_is_read_by_the_rule():
    accepted = 0
    for length in range(6):
        for symbols in itertools.product("39.,: -", repeat=length):
            text = "".join(symbols)
            assert_read_alike(text)
            accepted += read_slowly(text) is not None
    assert accepted > 400


@pytest.mark.parametrize("step", range(1, 12))
def test_every_range_is_read_by_the_rule(step):
    for first, width in itertools.product((4, 9, 28, 100), range(14)):
        assert_read_alike(f"{first}..{first + width}:{step}")
        assert_read_alike(f"64,{first}..{first + width}:{step}, {first + 1}")


def test_the_documented_examples():
    assert numbers("16,20", "train", least=4, most=MOST) == (16, 20)
    assert numbers("28..36", "test", least=4, most=MOST) == tuple(range(28, 37))
    assert numbers("28..36:2", "test", least=4, most=MOST) == (28, 30, 32, 34, 36)
    assert numbers("0..4", "seeds", least=0, most=MOST) == (0, 1, 2, 3, 4)


UNREADABLE = ["", " ", ",", "16,", ",16", "sixteen", "16px", "-4", "+16", "1.5", "1e2", "0x10", "1 6", "28-36"]
UNREADABLE += ["28..", "..36", "..", "28...36", "28..36..40", "28 .. 36", "28:2", "28..36:", "28..36:2:2", "28..36:-2"]
UNREADABLE += ["٣٢", "²8", "１６"]  # digits to Unicode, not to the shell's user


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_list_of_numbers_is_rejected(text):
    message = r"^`test` must be numbers and ranges such as 16,20 or 28\.\.36 or 28\.\.36:2, but is '(.*)'$"
    with pytest.raises(UsageError, match=message) as caught:
        numbers(text, "test", least=4, most=MOST)
    assert re.match(message, str(caught.value))[1] in [part.strip() for part in text.split(",")]


@pytest.mark.parametrize("text", ["36..28", "28..27", "28..36:0", "16,36..28:2"])
def test_a_range_that_does_not_run_upwards_is_rejected(text):
    part = re.escape(text.split(",")[-1])
    message = rf"^`seeds` must be ranges that run upwards by 1 or more, such as 28\.\.36:2, but is '{part}'$"
    with pytest.raises(UsageError, match=message):
        numbers(text, "seeds", least=0, most=MOST)


@pytest.mark.parametrize(
    ("text", "count"), [("4..1004", 1001), ("16,0..4000:2", 2001), ("4..99999999999999999999", 99999999999999999996)]
)
def test_a_range_that_nobody_means_is_rejected(text, count):
    part = re.escape(text.split(",")[-1])
    with pytest.raises(
        UsageError, match=f"^`test` must be ranges of at most 1000 values, but is '{part}'; it has {count}$"
    ):
        numbers(text, "test", least=0, most=MOST)
    assert len(numbers("4..1003", "test", least=4, most=MOST)) == 1000


@pytest.mark.parametrize(("text", "least"), [("3", 3), ("16,2..8", 2), ("0", 0), ("16,03", 3)])
def test_a_value_that_is_too_small_is_rejected(text, least):
    with pytest.raises(UsageError, match=f"^`train` must hold values of at least 4, but is {least}$"):
        numbers(text, "train", least=4, most=MOST)


def test_a_value_that_is_too_large_is_rejected():
    with pytest.raises(UsageError, match="^`seeds` must hold values of at most 4,000, but is 4001$"):
        numbers("1,4001", "seeds", least=0, most=4000)
    assert numbers("4000", "seeds", least=0, most=4000) == (4000,)


def test_sizes_are_those_that_a_study_takes():
    assert sizes("4,65536", "train") == (4, 65536)
    for text in ("3", "65537"):
        with pytest.raises(UsageError, match="^`train` must hold values of at "):
            sizes(text, "train")


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("16", (16,)),
        ("16,20..24:2", (16, 20, 22, 24)),
        ("12+14+16", ((12, 14, 16),)),
        ("16+12+14", ((12, 14, 16),)),
        ("16,12+16", (16, (12, 16))),
        ("12+16, 8 ,20 + 24", ((12, 16), 8, (20, 24))),
        ("8..10+16", ((8, 9, 10, 16),)),
    ],
)
def test_sizes_joined_by_plus_are_those_of_one_model(text, models):
    assert train_sizes(text) == models


def test_one_size_joined_to_itself_is_that_size_to_a_study():
    assert StudyConfig(train=train_sizes("16+16")) == StudyConfig(train=(16,))


@pytest.mark.parametrize(("text", "part"), [("12+", ""), ("+", ""), ("12+a", "a"), ("16,+12", ""), ("12++16", "")])
def test_plus_without_two_numbers_is_rejected(text, part):
    message = r"^`train` must be numbers and ranges such as 16,20 or 28\.\.36 or 28\.\.36:2, but is '(.*)'$"
    with pytest.raises(UsageError, match=message) as caught:
        train_sizes(text)
    assert re.match(message, str(caught.value))[1] == part


@pytest.mark.parametrize(("text", "wrong"), [("3+16", "least 4, but is 3"), ("16+65537", "most 65,536, but is 65537")])
def test_a_size_of_several_that_no_study_takes_is_rejected(text, wrong):
    with pytest.raises(UsageError, match=f"^`train` must hold values of at {wrong}$"):
        train_sizes(text)


def test_names_are_taken_once_in_their_order_without_the_spaces_around_them():
    assert names("resize, requery,resize") == ("resize", "requery")


def test_names_of_models_keep_the_commas_of_their_own():
    assert model_names("flexnet[4,6], cornn,flextcn[4,4]-siren,cornn") == (
        "flexnet[4,6]",
        "cornn",
        "flextcn[4,4]-siren",
    )
