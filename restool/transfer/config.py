"""What a study is: every choice that decides its results, checked before anything is read or written."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from restool.aliasing import report
from restool.errors import UsageError
from restool.models import ModelSpec, find_model
from restool.training import Recipe
from restool.training.recipe import AliasPenalty, Precision
from restool.transfer.protocols import FINETUNE, applicable, refusal, resolve_protocol

SMALLEST_SIZE = 4
MOST_VALUES = 1000
"""Of one range: more is a slip of the finger."""

DEFAULT_EPOCHS = {"gabors": 8}
"""Epochs of training where a user names none; the official 100 for real data."""
OFFICIAL_EPOCHS = 100


def parse_numbers(text: str, option: str, *, least: int) -> tuple[int, ...]:
    """Numbers of a list of values and ranges: `16,20`, `28..36` (inclusive, step 1), `28..36:2` (step 2).

    Args:
        text: as typed.
        option: named in messages.
        least: smallest value allowed.

    Returns:
        The distinct values in ascending order.

    Raises:
        UsageError: not a list of numbers and ranges, a range that runs backwards, or a value below `least`.
    """
    values: set[int] = set()
    for part in text.split(","):
        values.update(_parse_range(part.strip(), option))
    if min(values) < least:
        raise UsageError(f"{option} takes values of at least {least}, but got {min(values)}")
    return tuple(sorted(values))


def _parse_range(part: str, option: str) -> Sequence[int]:
    bounds, _, step = part.partition(":")
    first, dots, last = bounds.partition("..")
    numbers = [first, *([last] if dots else []), *([step] if ":" in part else [])]
    if not all(number.isascii() and number.isdigit() for number in numbers) or (":" in part and not dots):
        raise UsageError(f"{option} takes numbers and ranges such as 16,20 or 28..36 or 28..36:2, but got {part!r}")
    if not dots:
        return [int(first)]
    if int(last) < int(first) or (step and int(step) < 1):
        raise UsageError(f"{option} takes ranges that run upwards by 1 or more, such as 28..36:2, but got {part!r}")
    count = (int(last) - int(first)) // int(step or 1) + 1  # len() of a range overflows
    if count > MOST_VALUES:
        raise UsageError(f"{option} takes ranges of at most {MOST_VALUES} values, but {part!r} has {count}")
    return range(int(first), int(last) + 1, int(step or 1))


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A grid of train and test resolutions for one model, data set and recipe.

    Attributes:
        model: name, see `restool ls models`.
        dataset: name, see `restool ls datasets`.
        train: source resolutions in pixels.
        test: target resolutions in pixels.
        seeds: one source model each.
        epochs: of training at a source; None for the data set's default.
        finetune_epochs: of training on at every target; 0 for none.
        protocols: zero-shot protocols; None for all that apply to the model.
        limit: use this many training and as many test images; None for all.
        alias_penalty, batch_size, learning_rate, precision: see `Recipe`.

    Raises:
        UsageError: any value that breaks a rule.
    """

    model: str = "flexnet-3"
    dataset: str = "gabors"
    train: tuple[int, ...] = (16,)
    test: tuple[int, ...] = (32,)
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    finetune_epochs: int = 0
    protocols: tuple[str, ...] | None = None
    alias_penalty: AliasPenalty = "none"
    limit: int | None = None
    batch_size: int = 64
    learning_rate: float = 0.01
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if find_model(self.model).dims != 2:
            raise UsageError(
                f"{self.model} takes sequences, and data set {self.dataset!r} holds images; choose an image model"
            )
        for option, sizes in (("--train", self.train), ("--test", self.test)):
            if not sizes or min(sizes) < SMALLEST_SIZE:
                raise UsageError(f"{option} takes sizes of at least {SMALLEST_SIZE} pixels, but got {sizes}")
        if self.finetune_epochs < 0:
            raise UsageError(f"--finetune-epochs must be 0 or more, but is {self.finetune_epochs}")
        for name in self.protocols or ():
            if name == FINETUNE:
                raise UsageError("finetune is asked for by --finetune-epochs, or by `restool finetune`")
            resolve_protocol(name)
        if self.recipe.alias_penalty != "none":
            self._check_penalty()

    def _check_penalty(self) -> None:
        try:
            report(self._example(), self.train[0])
        except ValueError as error:
            raise UsageError(f"--alias-penalty does not apply to {self.model}: {error}; use none") from error

    def _example(self) -> nn.Module:
        return ModelSpec(self.model, reference_size=self.train[0]).build()

    @property
    def recipe(self) -> Recipe:
        """Of the source models."""
        epochs = DEFAULT_EPOCHS.get(self.dataset, OFFICIAL_EPOCHS) if self.epochs is None else self.epochs
        return self._recipe(epochs)

    @property
    def finetune_recipe(self) -> Recipe:
        """Of fine-tuning: the same, with a fresh optimiser and schedule."""
        return self._recipe(self.finetune_epochs)

    def _recipe(self, epochs: int) -> Recipe:
        return Recipe(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            alias_penalty=self.alias_penalty,
            precision=self.precision,
        )

    def zero_shot_protocols(self) -> tuple[str, ...]:
        """Those asked for, or all that apply to the model.

        Raises:
            UsageError: one that was asked for does not apply.
        """
        model = self._example()
        if self.protocols is None:
            return tuple(applicable(model))
        for name in self.protocols:
            if not resolve_protocol(name).applies(model):
                raise UsageError(refusal(name, model, self.model))
        return self.protocols
