"""What a user may type: lists of numbers against a brute-force reading of the rule, and every rejection."""

import itertools
import math
import re

import pytest

from restool.errors import UsageError
from restool.models import MODELS
from restool.transfer import StudyConfig, parse_numbers
from restool.transfer.config import DEFAULT_EPOCHS, OFFICIAL_EPOCHS

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
        with pytest.raises(UsageError, match="^--test takes "):
            parse_numbers(text, "--test", least=4)
    else:
        assert list(parse_numbers(text, "--test", least=4)) == expected


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
    assert parse_numbers("16,20", "--train", least=4) == (16, 20)
    assert parse_numbers("28..36", "--test", least=4) == tuple(range(28, 37))
    assert parse_numbers("28..36:2", "--test", least=4) == (28, 30, 32, 34, 36)
    assert parse_numbers("0..4", "--seeds", least=0) == (0, 1, 2, 3, 4)


UNREADABLE = ["", " ", ",", "16,", ",16", "sixteen", "16px", "-4", "+16", "1.5", "1e2", "0x10", "1 6", "28-36"]
UNREADABLE += ["28..", "..36", "..", "28...36", "28..36..40", "28 .. 36", "28:2", "28..36:", "28..36:2:2", "28..36:-2"]
UNREADABLE += ["٣٢", "²8", "１６"]  # digits to Unicode, not to the shell's user


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_list_of_numbers_is_rejected(text):
    message = r"^--test takes numbers and ranges such as 16,20 or 28\.\.36 or 28\.\.36:2, but got '(.*)'$"
    with pytest.raises(UsageError, match=message) as caught:
        parse_numbers(text, "--test", least=4)
    assert re.match(message, str(caught.value))[1] in [part.strip() for part in text.split(",")]


@pytest.mark.parametrize("text", ["36..28", "28..27", "28..36:0", "16,36..28:2"])
def test_a_range_that_does_not_run_upwards_is_rejected(text):
    part = re.escape(text.split(",")[-1])
    message = rf"^--seeds takes ranges that run upwards by 1 or more, such as 28\.\.36:2, but got '{part}'$"
    with pytest.raises(UsageError, match=message):
        parse_numbers(text, "--seeds", least=0)


@pytest.mark.parametrize(
    ("text", "count"), [("4..1004", 1001), ("16,0..4000:2", 2001), ("4..99999999999999999999", 99999999999999999996)]
)
def test_a_range_that_nobody_means_is_rejected(text, count):
    part = re.escape(text.split(",")[-1])
    with pytest.raises(UsageError, match=f"^--test takes ranges of at most 1000 values, but '{part}' has {count}$"):
        parse_numbers(text, "--test", least=0)
    assert len(parse_numbers("4..1003", "--test", least=4)) == 1000


@pytest.mark.parametrize(("text", "least"), [("3", 3), ("16,2..8", 2), ("0", 0), ("16,03", 3)])
def test_a_value_that_is_too_small_is_rejected(text, least):
    with pytest.raises(UsageError, match=f"^--train takes values of at least 4, but got {least}$"):
        parse_numbers(text, "--train", least=4)


WRONG = [
    ({"model": "flexnet3"}, "^unknown model 'flexnet3'; the nearest is 'flexnet-3', the known ones are flexnet-3, "),
    ({"model": "flexnet[4,x]"}, r"^unknown model 'flexnet\[4,x\]'; the nearest is "),
    (
        {"model": "flexnet[4,4]-conv5"},
        "^unknown layer kind 'conv5' in .*; the nearest is 'conv3', the known ones are magnet, ",
    ),
    ({"model": "flextcn-2"}, "^flextcn-2 takes sequences, and data set 'gabors' holds images; choose an image model$"),
    ({"train": ()}, r"^--train takes sizes of at least 4 pixels, but got \(\)$"),
    ({"test": ()}, r"^--test takes sizes of at least 4 pixels, but got \(\)$"),
    ({"train": (16, 3)}, r"^--train takes sizes of at least 4 pixels, but got \(16, 3\)$"),
    ({"test": (0,)}, r"^--test takes sizes of at least 4 pixels, but got \(0,\)$"),
    ({"epochs": -1}, "^--epochs must be 0 or more, but is -1$"),
    ({"finetune_epochs": -2}, "^--finetune-epochs must be 0 or more, but is -2$"),
    ({"batch_size": 1}, r"^--batch-size must be at least 2 \(batch norm needs it\), but is 1$"),
    ({"learning_rate": 0.0}, r"^--learning-rate must lie above 0 and up to 1e\+30, but is 0.0$"),
    ({"learning_rate": math.nan}, r"^--learning-rate must lie above 0 and up to 1e\+30, but is nan$"),
    (
        {"protocols": ("requery", "rescaled")},
        "^unknown protocol 'rescaled'; the nearest is 'rescale', the ",
    ),
    ({"protocols": ("",)}, "^unknown protocol ''; the nearest is "),
    ({"protocols": ("finetune",)}, "^finetune is asked for by --finetune-epochs, or by `restool finetune`$"),
    ({"alias_penalty": "mask"}, r"^--alias-penalty must be none, gabor or gabor\+mask, but is 'mask'$"),
]


@pytest.mark.parametrize(("choices", "message"), WRONG)
def test_a_study_that_breaks_a_rule_is_rejected_at_once(choices, message):
    with pytest.raises(UsageError, match=message) as caught:
        StudyConfig(**choices)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("flexnet[4,4]-siren", "SIREN has no frequency known from its parameters; "),
        ("ckcnn-7-siren", "SIREN has no frequency known from its parameters; "),
        ("flexnet-7-conv3", "the aliasing penalty needs a model with continuous kernels; "),
        ("cifar-resnet-32", "the aliasing penalty needs a model with continuous kernels; "),
    ],
)
@pytest.mark.parametrize("penalty", ["gabor", "gabor+mask"])
def test_a_penalty_that_the_model_cannot_have_is_rejected_at_once(model, reason, penalty):
    message = f"^--alias-penalty does not apply to {re.escape(model)}: {reason}.*; use none$"
    with pytest.raises(UsageError, match=message) as caught:
        StudyConfig(model=model, alias_penalty=penalty)
    assert "\n" not in str(caught.value)
    assert StudyConfig(model=model).recipe.alias_penalty == "none"


@pytest.mark.parametrize("penalty", ["gabor", "gabor+mask"])
@pytest.mark.parametrize("model", ["flexnet[4,4]", "flexnet[4,4]-fourier", "flexnet[4,4]-ckconv-gabor"])
def test_a_penalty_that_the_model_can_have_is_part_of_both_recipes(model, penalty):
    config = StudyConfig(model=model, alias_penalty=penalty, finetune_epochs=3)
    assert config.recipe.alias_penalty == config.finetune_recipe.alias_penalty == penalty


@pytest.mark.parametrize(
    ("model", "protocol"),
    [("flexnet-3", "interpolate"), ("cifar-resnet-32", "requery"), ("flexnet-7-conv3", "requery")],
)
def test_a_protocol_that_does_not_apply_is_rejected_before_anything_is_run(model, protocol):
    config = StudyConfig(model=model, protocols=("as-is", protocol))
    message = f"^protocol '{protocol}' does not apply to {model}; (requery, )?bandlimit, .*, bn-recalibrate do$"
    with pytest.raises(UsageError, match=message):
        config.zero_shot_protocols()


def test_protocols_are_those_asked_for_or_all_that_apply():
    assert StudyConfig(protocols=("resize", "as-is")).zero_shot_protocols() == ("resize", "as-is")
    everything = StudyConfig(model="cifar-resnet-32").zero_shot_protocols()
    assert everything == ("bandlimit", "interpolate", "as-is", "resize", "bn-recalibrate")


@pytest.mark.parametrize(
    ("dataset", "epochs", "expected"),
    [("gabors", None, DEFAULT_EPOCHS["gabors"]), ("cifar10", None, OFFICIAL_EPOCHS), ("gabors", 0, 0), ("mnist", 3, 3)],
)
def test_epochs_are_the_users_or_the_data_sets(dataset, epochs, expected):
    config = StudyConfig(dataset=dataset, epochs=epochs, finetune_epochs=7, batch_size=32, learning_rate=0.5)
    assert config.recipe.epochs == expected
    assert config.finetune_recipe.epochs == 7
    for recipe in (config.recipe, config.finetune_recipe):
        assert (recipe.batch_size, recipe.learning_rate) == (32, 0.5)


def test_every_image_model_makes_a_study():
    for name, entry in MODELS.items():
        if entry.dims == 2 and name != "flexnet-7-conv33":
            last = "resize" if name == "dcn-sigma-ji" else "bn-recalibrate"  # it has group norms
            assert StudyConfig(model=name).zero_shot_protocols()[-1] == last
