"""The cells of a grid: each is decided by its fields alone, and its key is a hash of them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from restool.data import Dataset
from restool.transfer.config import StudyConfig
from restool.transfer.protocols import FINETUNE, SOURCE

FORMAT = 1
"""Part of every key: raised when the same fields come to mean another result."""


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """One trained model. `data` is the fingerprint of the images, so a changed data set is another run."""

    model: str
    dataset: str
    data: str
    limit: int | None
    source: int
    seed: int
    alias_penalty: str
    epochs: int
    batch_size: int
    learning_rate: float
    precision: str = "float32"

    @property
    def fields(self) -> dict[str, Any]:
        """Everything that decides the weights; the precision is told only where it is not float32.

        It came later than the first records, whose keys must stay what they are.
        """
        fields = asdict(self)
        return fields if self.precision != "float32" else {k: v for k, v in fields.items() if k != "precision"}

    @property
    def key(self) -> str:
        """Names the checkpoint."""
        return _hash(self.fields)


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


def plan(config: StudyConfig, dataset: Dataset) -> list[Cell]:
    """The cells of a study: for every source run its own accuracy, then targets by protocol, then fine-tuning."""
    recipe = config.recipe
    protocols = config.zero_shot_protocols()
    cells = []
    for seed in config.seeds:
        for source in config.train:
            run = SourceRun(
                model=config.model,
                dataset=dataset.name,
                data=dataset.fingerprint,
                limit=config.limit,
                source=source,
                seed=seed,
                alias_penalty=recipe.alias_penalty,
                epochs=recipe.epochs,
                batch_size=recipe.batch_size,
                learning_rate=float(recipe.learning_rate),  # 1 and 1.0 are one run
                precision=recipe.precision,
            )
            cells.append(Cell(run=run, target=source, protocol=SOURCE))
            cells += [Cell(run=run, target=target, protocol=name) for target in config.test for name in protocols]
            if config.finetune_epochs:
                cells += [
                    Cell(run=run, target=target, protocol=FINETUNE, finetune_epochs=config.finetune_epochs)
                    for target in config.test
                ]
    return cells


def _hash(fields: dict[str, Any]) -> str:
    text = json.dumps({"format": FORMAT, **fields}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
