"""The cells of a grid: each is decided by its fields alone, and its key is a hash of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from restool.data import Dataset
from restool.data.views import WHOLE, View
from restool.integrity import key_of
from restool.interop.weights import hash_of
from restool.models.external import source_hash
from restool.recipe import Recipe
from restool.transfer.config import StudyConfig
from restool.transfer.preparation import other_views
from restool.transfer.protocols import FINETUNE, SOURCE, possible
from restool.transfer.tuning import Tune


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """One trained model. `data` is the fingerprint of the images, so a changed data set is another run.

    `source` is the size that the model is trained for; some of the batches may have `smaller` sizes. `resample` is how
    sequences come to another number of steps; images have None. `weights` is the hash of the file that training starts
    from, but for the head if that is new. `shown` is what a record says of how images come to a size, are normalised
    and are changed at random in training: nothing where all is as in the first records.
    """

    model: str
    dataset: str
    data: str
    limit: int | None
    source: int
    seed: int
    epochs: int
    recipe: Recipe
    smaller: tuple[int, ...] = ()
    resample: str | None = None
    weights: str | None = None
    new_head: bool = False
    shown: tuple[tuple[str, Any], ...] = ()
    code: str | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes of its batches."""
        return (*self.smaller, self.source)

    @property
    def trained_at(self) -> str:
        """The sizes as they are typed: 16, or 12+14+16."""
        return "+".join(map(str, self.sizes))

    @property
    def unit(self) -> str:
        """What a size counts."""
        return "px" if self.resample is None else "steps"

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Everything that decides the weights, flat, as a record stores it."""
        recipe = self.recipe.identity
        return {
            "model": self.model,
            "dataset": self.dataset,
            "data": self.data,
            "limit": self.limit,
            "source": self.source,
            "seed": self.seed,
            "alias_penalty": recipe.pop("alias_penalty"),  # the order of the first records
            "epochs": self.epochs,
            **recipe,
            **({"train_sizes": self.trained_at} if self.smaller else {}),
            **({"unit": self.unit, "resample": self.resample} if self.resample else {}),
            **({"weights": self.weights} if self.weights else {}),
            **({"new_head": True} if self.new_head else {}),
            **({"code": self.code} if self.code else {}),
            **{name: list(value) if isinstance(value, tuple) else value for name, value in self.shown},
        }

    @cached_property
    def key(self) -> str:
        """Names the checkpoint."""
        return key_of(self.fields)

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.model} at {self.trained_at} {self.unit}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the grid: a source run met with a target by a protocol.

    `view` is how the test images come to the target, if not as in training. `tune` is what fine-tuning trains.
    """

    run: SourceRun
    target: int
    protocol: str
    finetune_epochs: int = 0
    tune: Tune = "all"
    view: View | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Everything that decides the result, flat, as a record stores it."""
        return {
            **self.run.fields,
            "target": self.target,
            "protocol": self.protocol,
            "finetune_epochs": self.finetune_epochs,
            **({} if self.tune == "all" else {"finetune_tune": self.tune}),
            **self._test_view,
        }

    @property
    def is_own(self) -> bool:
        """Whether it is what the source model itself answers, to images that are shown as in training."""
        return self.protocol == SOURCE.name and self.view is None

    @property
    def tuned(self) -> str:
        """What fine-tuning trains, where that is not all, to follow other words."""
        return "" if self.tune == "all" else f", tune {self.tune}"

    @property
    def _test_view(self) -> dict[str, Any]:
        if self.view is None:
            return {}
        in_training = WHOLE.like(dict(self.run.shown))
        return {f"test_{name}": value for name, value in self.view.fields(in_training).items()}

    @cached_property
    def key(self) -> str:
        """Names the record, and the checkpoint of a fine-tuned model."""
        return key_of(self.fields)

    def __str__(self) -> str:
        """In a few words."""
        run = self.run
        sizes = run.trained_at if self.protocol == SOURCE.name else f"{run.trained_at} -> {self.target}"
        where = f"{sizes} {run.unit}"
        plural = "" if self.finetune_epochs == 1 else "s"
        tuned = f" {self.finetune_epochs} epoch{plural}{self.tuned}" if self.protocol == FINETUNE.name else ""
        shown = f", {self.view}" if self.view else ""
        return f"{run.model} {where}, {self.protocol}{tuned}{shown}, seed {run.seed}"


def plan(config: StudyConfig, dataset: Dataset) -> list[Cell]:
    """The cells of a study: for every source run its own accuracy, then targets by protocol, then fine-tuning.

    Zero-shot cells are repeated for every further view that images are tested in.

    Args:
        config: of the study.
        dataset: of `StudyConfig.shown`.
    """
    cells = []
    weights = None if config.weights is None else hash_of(Path(config.weights))
    others, code = other_views(config, dataset), source_hash(config.model)
    zero_shot = possible(config.zero_shot, dataset) if config.protocols == "all" else config.zero_shot
    for seed in config.seeds:
        for train in config.train:
            *smaller, source = (train,) if isinstance(train, int) else train
            run = SourceRun(
                model=config.model,
                dataset=dataset.name,
                data=dataset.fingerprint,
                limit=config.limit,
                source=source,
                seed=seed,
                epochs=config.source_epochs,
                recipe=config.recipe,
                smaller=tuple(smaller),
                resample=dataset.resample if dataset.dims == 1 else None,
                weights=weights,
                new_head=config.new_head,
                shown=tuple(dataset.chosen.items()),
                code=code,
            )
            cells.append(Cell(run=run, target=source, protocol=SOURCE.name))
            cells += [Cell(run=run, target=t, protocol=name) for t in config.test for name in zero_shot]
            for view in others:
                cells.append(Cell(run=run, target=source, protocol=SOURCE.name, view=view))
                cells += [Cell(run=run, target=t, protocol=name, view=view) for t in config.test for name in zero_shot]
            if config.finetune_epochs:
                tuned = partial(Cell, run=run, protocol=FINETUNE.name, finetune_epochs=config.finetune_epochs)
                cells += [tuned(target=target, tune=tune) for tune in config.tune for target in config.test]
    return cells
