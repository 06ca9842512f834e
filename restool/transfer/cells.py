"""The cells of a grid: each is decided by its fields alone, and its key is a hash of them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restool.data import Dataset
from restool.interop.weights import hash_of
from restool.recipe import Recipe
from restool.records import RECORD_FORMAT
from restool.transfer.config import StudyConfig
from restool.transfer.normalisation import statistics
from restool.transfer.protocols import FINETUNE, SOURCE


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """One trained model. `data` is the fingerprint of the images, so a changed data set is another run.

    `source` is the size that the model is trained for; some of the batches may have `smaller` sizes. `resample` is how
    sequences come to another number of steps; images have None. `weights` is the hash of the file that training starts
    from, but for the head if that is new, and `mean` and `std` stand where they are not the data set's.
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
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

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

    @property
    def fields(self) -> dict[str, Any]:
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
            **({"mean": list(self.mean)} if self.mean else {}),
            **({"std": list(self.std)} if self.std else {}),
        }

    @property
    def key(self) -> str:
        """Names the checkpoint."""
        return _hash(self.fields)

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.model} at {self.trained_at} {self.unit}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the grid: a source run met with a target by a protocol."""

    run: SourceRun
    target: int
    protocol: str
    finetune_epochs: int = 0

    @property
    def fields(self) -> dict[str, Any]:
        """Everything that decides the result, flat, as a record stores it."""
        return {
            **self.run.fields,
            "target": self.target,
            "protocol": self.protocol,
            "finetune_epochs": self.finetune_epochs,
        }

    @property
    def key(self) -> str:
        """Names the record, and the checkpoint of a fine-tuned model."""
        return _hash(self.fields)

    def __str__(self) -> str:
        """In a few words."""
        run = self.run
        sizes = run.trained_at if self.protocol == SOURCE.name else f"{run.trained_at} -> {self.target}"
        where = f"{sizes} {run.unit}"
        plural = "" if self.finetune_epochs == 1 else "s"
        tuned = f" {self.finetune_epochs} epoch{plural}" if self.protocol == FINETUNE.name else ""
        return f"{run.model} {where}, {self.protocol}{tuned}, seed {run.seed}"


def plan(config: StudyConfig, dataset: Dataset) -> list[Cell]:
    """The cells of a study: for every source run its own accuracy, then targets by protocol, then fine-tuning."""
    cells = []
    weights = None if config.weights is None else hash_of(Path(config.weights))
    mean, std = statistics(config, dataset) or (None, None)
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
                mean=mean,
                std=std,
            )
            cells.append(Cell(run=run, target=source, protocol=SOURCE.name))
            cells += [Cell(run=run, target=t, protocol=name) for t in config.test for name in config.zero_shot]
            if config.finetune_epochs:
                cells += [
                    Cell(run=run, target=target, protocol=FINETUNE.name, finetune_epochs=config.finetune_epochs)
                    for target in config.test
                ]
    return cells


def _hash(fields: dict[str, Any]) -> str:
    text = json.dumps({"format": RECORD_FORMAT, **fields}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
