"""How images are prepared for a model: normalised, brought to a size, and changed at random in training.

What a user asks for counts first, then what a trained model of a library was trained with, then what is usual for the
data set.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from restool.data import Dataset
from restool.data.resampling import Filter
from restool.data.views import View, ViewChoices
from restool.errors import ArgumentError, UsageError
from restool.models.external import source_hash
from restool.models.pretrained import Preprocessing, preprocessing_of
from restool.transfer.config import StudyConfig


def prepared(config: StudyConfig, dataset: Dataset) -> Dataset:
    """The data set as a study trains on it and, but for `other_views`, tests on it.

    Its `chosen` says what a record tells of that: every choice about photographs, and else those that are not usual for
    the data set.

    Raises:
        ArgumentError: numbers for other channels, or augmentation of sequences.
        UsageError: a view of what is not resized as images are.
    """
    if config.augment is not None and dataset.dims == 1:
        raise ArgumentError("augment", "must be left out for sequences", config.augment)
    trained = preprocessing_of(config.model) if config.comes_trained else None
    if trained is not None and len(trained.mean) != dataset.channels:
        trained = None
    told: dict[str, Any] = {}
    view = _usual_view(config.views, dataset, trained)
    if view is not None:
        told |= view.fields(None if dataset.photographs else dataset.view)
    augment = config.augment or dataset.augment
    if dataset.photographs or augment != dataset.augment:
        told["augment"] = augment
    usual = dataset if trained is None else trained
    mean = usual.mean if config.mean is None else _by_channel("mean", config.mean, dataset)
    std = usual.std if config.std is None else _by_channel("std", config.std, dataset)
    if trained is not None or config.mean is not None or config.std is not None:
        told |= {"mean": mean, "std": std}
    return replace(dataset, view=view, augment=augment, mean=mean, std=std, chosen=told)


def other_views(config: StudyConfig, dataset: Dataset) -> tuple[View, ...]:
    """Further ways in which test images come to a size, beside that of a `prepared` data set."""
    return () if dataset.view is None else config.views.views(dataset.view)[1:]


def as_trained(dataset: Dataset, facts: Mapping[str, Any], views: ViewChoices) -> Dataset:
    """A data set prepared as in the training of a checkpoint, of which these are the facts, unless a view is asked for.

    Raises:
        UsageError: several views, or one of what is not resized as images are.
    """
    view = dataset.view if dataset.view is None else dataset.view.like(facts)
    view = _usual_view(views, replace(dataset, view=view), None)
    if view is not None and len(views.views(view)) > 1:
        raise UsageError(
            "a checkpoint is tested in one view at a time; choose one filter, ratio, antialiasing and low pass"
        )
    mean, std = (tuple(facts.get(name, usual)) for name, usual in (("mean", dataset.mean), ("std", dataset.std)))
    return replace(dataset, mean=mean, std=std, view=view)


def differences(dataset: Dataset, facts: Mapping[str, Any], model: str) -> list[str]:
    """What to tell of a test on other images, other classes or other code than a checkpoint's training had.

    Args:
        dataset: to be tested on.
        facts: of the checkpoint.
        model: its name.

    Raises:
        UsageError: the classes are the same in another order, so that every answer would be counted wrong.
    """
    told = []
    own, found = facts.get("class_names"), list(dataset.class_names)
    if own and own != found and sorted(own) == sorted(found):
        raise UsageError(
            f"{dataset.name} has the classes of the training in another order, {', '.join(found[:3])}, ... in place of "
            f"{', '.join(own[:3])}, ...; give a file with their order as `classes`"
        )
    if own and own != found:
        told.append(f"its classes are {', '.join(found[:3])}, ..., those of the training {', '.join(own[:3])}, ...")
    elif facts.get("data", dataset.fingerprint) != dataset.fingerprint:
        told.append("other images than those of the training")
    if facts.get("code") and facts["code"] != source_hash(model):
        told.append(f"the source of {model} has changed since the training")
    return told


def _usual_view(views: ViewChoices, dataset: Dataset, trained: Preprocessing | None) -> View | None:
    """The first view that is asked for, None where there is none."""
    if dataset.view is None:
        if views:
            kind = "sequences" if dataset.dims == 1 else "images that are rendered at every size"
            raise UsageError(f"`crop_ratio`, `fit`, `antialias`, `low_pass` and filters must be left out for {kind}")
        return None
    view = dataset.view
    if trained is not None:
        known = {"resample": trained.interpolation} if trained.interpolation in get_args(Filter) else {}
        view = replace(view, crop_ratio=min(1.0, trained.crop_ratio), **known)  # type: ignore[arg-type] # it is a filter
    return views.views(view)[0]


def _by_channel(name: str, values: Any, dataset: Dataset) -> tuple[float, ...]:
    if len(values) not in (1, dataset.channels):
        rule = f"must hold 1 or {dataset.channels} numbers for {dataset.name}"
        raise ArgumentError(name, rule, ",".join(f"{value:g}" for value in values))
    return tuple(values) if len(values) == dataset.channels else tuple(values) * dataset.channels
