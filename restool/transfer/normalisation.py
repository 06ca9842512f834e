"""What images are normalised by: mean and deviation of the data set, of a trained model, or those asked for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from restool.data import Dataset
from restool.errors import ArgumentError
from restool.models.pretrained import preprocessing_of
from restool.transfer.config import StudyConfig

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation by channels."""


def statistics(config: StudyConfig, dataset: Dataset) -> Statistics | None:
    """What takes the place of a data set's own mean and standard deviation in a study, None where nothing does.

    Raises:
        ArgumentError: there are numbers for other channels.
    """
    trained = preprocessing_of(config.model) if config.comes_trained else None
    if trained is not None and len(trained.mean) != dataset.channels:
        trained = None
    if trained is None and config.mean is None and config.std is None:
        return None
    usual = dataset if trained is None else trained
    mean = usual.mean if config.mean is None else _by_channel("mean", config.mean, dataset)
    std = usual.std if config.std is None else _by_channel("std", config.std, dataset)
    return mean, std


def normalised(dataset: Dataset, chosen: Statistics | None) -> Dataset:
    """A data set with other statistics, or as it is."""
    return dataset if chosen is None else replace(dataset, mean=chosen[0], std=chosen[1])


def as_trained(dataset: Dataset, facts: Mapping[str, Any]) -> Dataset:
    """A data set as a checkpoint's model got it, of whose training these are the facts."""
    mean, std = (tuple(facts.get(name, usual)) for name, usual in (("mean", dataset.mean), ("std", dataset.std)))
    return replace(dataset, mean=mean, std=std)


def _by_channel(name: str, values: Any, dataset: Dataset) -> tuple[float, ...]:
    if len(values) not in (1, dataset.channels):
        rule = f"must hold 1 or {dataset.channels} numbers for {dataset.name}"
        raise ArgumentError(name, rule, ",".join(f"{value:g}" for value in values))
    return tuple(values) if len(values) == dataset.channels else tuple(values) * dataset.channels
