"""What a study is: every choice that decides its results, checked before anything is read or written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
from torch import nn

from restool.aliasing import penalty
from restool.arguments import LARGEST_SEED, LARGEST_SIZE, MOST_EPOCHS, SMALLEST_SIZE, Knob, check_knobs, require_choice
from restool.data import Augment, Resample, dims_of, require_limit, usual
from restool.data.views import ViewChoices
from restool.errors import ArgumentError, UsageError
from restool.models import ModelSpec
from restool.models.names import comes_trained
from restool.recipe import Recipe
from restool.transfer.dims import require_dims
from restool.transfer.protocols import FINETUNE, SOURCE, applicable, refusal, resolve_protocol, starting_protocol
from restool.transfer.tuning import Tune, freeze_all_but

DEFAULT_EPOCHS = {"gabors": 8, "tones": 8}
"""A source model of these data sets is trained for so many epochs where a user names none."""
OFFICIAL_EPOCHS = 100
"""A source model of any other data set is trained for as many epochs as the official one."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A grid of train and test resolutions for one model, data set and recipe.

    Attributes:
        model: name, see `restool ls models`.
        dataset: name, see `restool ls datasets`.
        train: source resolutions in pixels, or in steps of a sequence; several in a tuple are those of one model, which
            is trained for the largest and shown images of every one of them; None for what is usual for the data set.
        test: target resolutions, likewise; None for the usual one.
        seeds: one source model each.
        epochs: of training at a source; None for the data set's default, or none for a model that comes trained.
        finetune_epochs: of training on at every target; 0 for none.
        tune: what that trains, or several to compare: "all", "head", "head+bn" or "bn", see `restool.transfer.tuning`.
        protocols: names of zero-shot protocols; "all" that apply to the model, or "start", the one that
            fine-tuning starts from.
        limit: use this many training and as many test images; None for all.
        resample: how sequences come to another number of steps, see `restool.data.rates`; images do not ask.
        views: how images come to a size; the first of several is for training and the source, all are tested.
        augment: what training does to images at random; None for what the data set allows.
        weights: file that a source model starts from instead of a draw, see `restool.interop.state`.
        new_head: the model's last layer, whose shape depends on the classes, is drawn all the same.
        mean: of grey levels in [0, 1], for every channel or for each; None for that of the trained model, or the data
            set's where nothing says how a model was trained.
        std: likewise.
        recipe: how source models are trained, and trained on.
        zero_shot: names of the zero-shot protocols that `protocols` comes to.

    Raises:
        UsageError: any value that breaks a rule, or a protocol or penalty that does not apply to the model.
    """

    model: str = "flexnet-3"
    dataset: str = "gabors"
    train: Sequence[int | Sequence[int]] = None  # type: ignore[assignment] # replaced below
    test: Sequence[int] = None  # type: ignore[assignment] # likewise
    seeds: Sequence[int] = (0,)
    epochs: Annotated[int | None, Knob("Epochs at a source.", "N", least=0, most=MOST_EPOCHS)] = None
    finetune_epochs: Annotated[int, Knob("Epochs at a target.", "N", least=0, most=MOST_EPOCHS)] = 0
    tune: Sequence[Tune] = ("all",)
    protocols: Sequence[str] | Literal["all", "start"] = "all"
    limit: int | None = None
    resample: Resample = "decimate"
    views: ViewChoices = ViewChoices()
    augment: Augment | None = None
    weights: str | Path | None = None
    new_head: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    recipe: Recipe = Recipe()
    zero_shot: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        require_choice("resample", self.resample, get_args(Resample))
        if self.augment is not None:
            require_choice("augment", self.augment, get_args(Augment))
        self._check_dims()
        sizes = usual(self.dataset)
        for name, size in (("train", sizes.train), ("test", sizes.target)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, (size,))
        object.__setattr__(self, "train", _train_sizes(self.train))
        for name, least, most, noun in (
            ("test", SMALLEST_SIZE, LARGEST_SIZE, "sizes in pixels"),
            ("seeds", 0, LARGEST_SEED, "seeds"),
        ):
            object.__setattr__(self, name, _distinct(name, getattr(self, name), least, most, noun))
        check_knobs(self)
        require_limit(self.limit)
        self._check_tune()
        self._check_start()
        if not isinstance(self.protocols, str):
            object.__setattr__(self, "protocols", tuple(dict.fromkeys(self.protocols)))
        elif self.protocols not in ("all", "start"):
            raise ArgumentError("protocols", "must be all, start, or several names", self.protocols, "put it in a list")
        object.__setattr__(self, "zero_shot", self._resolve_protocols())

    @property
    def sources(self) -> tuple[int, ...]:
        """The size that each model is trained for, the largest of its own."""
        return tuple(train if isinstance(train, int) else train[-1] for train in self.train)

    @property
    def source_epochs(self) -> int:
        """Epochs of training at a source, the default where none were asked for."""
        usual = 0 if self.comes_trained else DEFAULT_EPOCHS.get(self.dataset, OFFICIAL_EPOCHS)
        return usual if self.epochs is None else self.epochs

    @property
    def comes_trained(self) -> bool:
        """Whether a source model starts from weights that were trained elsewhere."""
        return self.weights is not None or comes_trained(self.model)

    @property
    def trains_head(self) -> bool:
        """Whether every model that is tested was trained with its head."""
        return self.source_epochs > 0 or (self.finetune_epochs > 0 and "bn" not in self.tune)

    def _check_start(self) -> None:
        if not isinstance(self.weights, str | Path | None):
            raise ArgumentError("weights", "must be the path of a file", self.weights)
        if self.weights is not None:
            object.__setattr__(self, "weights", Path(self.weights))
        elif self.new_head:
            raise UsageError("`new_head` needs `weights`, whose head it replaces")
        if self.new_head and not self.trains_head:
            raise UsageError("`new_head` must be trained, but `epochs` is 0; give it at least 1")
        for name in ("mean", "std"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _of_channels(name, getattr(self, name)))

    def _check_tune(self) -> None:
        asked = (self.tune,) if isinstance(self.tune, str) else tuple(dict.fromkeys(self.tune))
        if not asked:
            raise ArgumentError("tune", f"must be one or several of {', '.join(get_args(Tune))}", self.tune)
        for tune in asked:
            require_choice("tune", tune, get_args(Tune))
        if asked != ("all",) and not self.finetune_epochs:
            raise UsageError("`tune` says what fine-tuning trains, but `finetune_epochs` is 0; give it at least 1")
        object.__setattr__(self, "tune", asked)

    def _check_dims(self) -> None:
        """Refuse a model of images for sequences, the other way round, and what sequences have no meaning for."""
        dims = dims_of(self.dataset)
        if dims is None:  # whoever reads the data names what there is
            return
        require_dims(self.model, self.dataset, dims)
        if dims == 1 and self.recipe.enlarge > 1:
            raise ArgumentError("enlarge", "must be 1 for sequences", self.recipe.enlarge, "only images are sharpened")

    def _resolve_protocols(self) -> tuple[str, ...]:
        """The zero-shot protocols; the model is built once to find what applies to it."""
        asked = () if isinstance(self.protocols, str) else self.protocols
        for name in asked:
            if resolve_protocol(name) in (SOURCE, FINETUNE):
                rule = "must be zero-shot protocols"
                raise ArgumentError("protocols", rule, name, "fine-tuning is asked for by `finetune_epochs`")
        with torch.random.fork_rng(devices=[]):
            spec = ModelSpec(self.model, reference_size=self.sources[0])
            model = spec.blank()
            for tune in self.tune:
                if tune != "all":
                    freeze_all_but(tune, spec.blank(), spec)
        self._check_penalty(model)
        if self.protocols == "all":
            return tuple(applicable(model))
        if self.protocols == "start":
            return (starting_protocol(model).name,)
        for name in asked:
            if not resolve_protocol(name).applies(model):
                raise UsageError(refusal(name, model, self.model))
        return tuple(asked)

    def _check_penalty(self, model: nn.Module) -> None:
        if self.recipe.alias_penalty == "none":
            return
        try:
            penalty(model, self.sources[0], self.recipe.alias_penalty)
        except ValueError as error:
            raise UsageError(f"`alias_penalty` does not apply to {self.model}: {error}; use none") from error


def _of_channels(name: str, values: Any) -> tuple[float, ...]:
    """Numbers, for every channel or for each; ArgumentError for those that no image has."""
    found = tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else (values,)
    if not found or not all(isinstance(value, Real) and math.isfinite(value) for value in found):
        raise ArgumentError(name, "must hold numbers, one or one for each channel", values)
    if name == "std" and min(found) <= 0:
        raise ArgumentError(name, "must hold numbers above 0", values)
    return tuple(float(value) for value in found)


def _train_sizes(train: Any) -> tuple[int | tuple[int, ...], ...]:
    """Source sizes in their order, each once: a number, or an ascending tuple of several."""
    check = partial(_distinct, "train", least=SMALLEST_SIZE, most=LARGEST_SIZE, noun="sizes in pixels")
    if not isinstance(train, Iterable) or isinstance(train, str):
        return check(train)
    models: list[int | tuple[int, ...]] = []
    for one in train:
        several = isinstance(one, Iterable) and not isinstance(one, str)
        found = sorted(check(one if several else [one]))
        models.append(found[0] if len(found) == 1 else tuple(found))
    return tuple(dict.fromkeys(models)) or check(train)  # which refuses what holds nothing


def _distinct(name: str, values: Any, least: int, most: int, noun: str) -> tuple[int, ...]:
    """The values in their order, each once; ArgumentError unless all are whole numbers from `least` to `most`."""
    found = tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else ()
    whole = all(isinstance(value, Integral) and not isinstance(value, bool) for value in found)
    if not found or not whole or min(found) < least or max(found) > most:
        raise ArgumentError(name, f"must hold {noun} from {least} to {most:,}", found or values)
    return tuple(dict.fromkeys(int(value) for value in found))
