"""A study's file and the records of its sweeps, written by hand."""

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restool.integrity import key_of
from restool.studies import StudyFile, StudyResult, read_study, run_study

FILE = """
question = "Does it help?"
dataset = "gabors"
cut_down = "Everything."
reading = "It does."

[grid]
model = "flexnet[3,4]"
train = [8]
test = [10, 12]
seeds = [0, 1]
epochs = 3
limit = 64

[small]
epochs = 1
seeds = [0]

[[sweeps]]
label = "official"

[[sweeps]]
label = "robust"
recipe = "robust"
learning_rate = 0.5
finetune_epochs = 2

[[sweeps]]
label = "mixed"
train = [[6, 8]]

[[published]]
source = "a paper"
where = { protocol = "requery", source = 8 }
difference = { 12 = -3.5 }

[[published]]
source = "a talk"
where = { protocol = "finetune" }
accuracy = { 12 = 88.5 }
"""

CELL = {
    "model": "flexnet[3,4]",
    "dataset": "gabors",
    "data": "0123456789abcdef",
    "limit": 64,
    "source": 8,
    "seed": 0,
    "alias_penalty": "none",
    "epochs": 3,
    "batch_size": 64,
    "learning_rate": 0.01,
    "target": 8,
    "protocol": "source",
    "finetune_epochs": 0,
}

Write = Callable[..., None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The study's file."""
    path = tmp_path / "help.toml"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFile, Path, StudyResult]:
    """The small variant of a study, its folder and what its run gave; not to be written to."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "help.toml").write_text(FILE)
    study = read_study(folder / "help.toml", small=True)
    return study, folder / "out", run_study(study, folder / "out", device="cpu")


@pytest.fixture
def out(done: tuple[StudyFile, Path, StudyResult], tmp_path: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(done[1], tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function (bits, **fields of the cell) that writes a record into `out`."""

    def write_record(bits: Sequence[int], **fields: Any) -> None:
        cell = CELL | fields
        key = key_of(cell)
        packed = base64.b64encode(np.packbits(np.array(bits, dtype=bool)).tobytes()).decode()
        result = {"accuracy": float(np.mean(bits)), "n": len(bits), "correct": packed}
        path = tmp_path / "out" / "records" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"format": 1, "key": key, "cell": cell, "result": result, "timing": {}, "environment": {}}
        path.write_text(json.dumps(record))

    return write_record
