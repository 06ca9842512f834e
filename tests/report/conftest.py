"""Records as a sweep writes them, with the settings that a test does not name left at one value."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restool.integrity import key_of

SETTINGS = {
    "model": "flexnet-3",
    "dataset": "gabors",
    "data": "0123456789abcdef",
    "limit": None,
    "source": 16,
    "target": 16,
    "seed": 0,
    "protocol": "source",
    "alias_penalty": "none",
    "epochs": 8,
    "finetune_epochs": 0,
    "batch_size": 64,
    "learning_rate": 0.01,
}

Write = Callable[..., Path]


@pytest.fixture
def write() -> Write:
    """A function (out, accuracy, n=1000, **fields of the cell) -> path of the record; its first images are correct.

    `figures`, `seconds` of its test and `device` are what else the record says; the first records have no figures.
    """

    def write_record(
        out: Path,
        accuracy: float,
        n: int = 1000,
        figures: dict[str, float] | None = None,
        seconds: float = 1.0,
        device: str = "cpu",
        **cell: Any,
    ) -> Path:
        cell = SETTINGS | cell
        correct = np.arange(n) < round(accuracy * n)
        assert correct.mean() == pytest.approx(accuracy), "no number of images has this accuracy"
        key = key_of(cell)
        record = {
            "format": 1,
            "key": key,
            "cell": cell,
            "result": {
                "accuracy": correct.mean(),
                "n": n,
                "correct": base64.b64encode(np.packbits(correct).tobytes()).decode(),
            },
            "timing": {"train_seconds": 1.0, "evaluate_seconds": seconds},
            "environment": {"restool": "0.1.0", "device": device},
        } | ({"figures": figures} if figures else {})
        path = out / "records" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    return write_record


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of figures are empty: what is written is of interest, and not how it looks."""
    monkeypatch.setattr("restool.report.page.render", lambda figure, suffix: b"<svg></svg>")
    monkeypatch.setattr("restool.report.figures.render", lambda figure, suffix: b"")


@pytest.fixture
def pair(tmp_path: Path, write: Write) -> Path:
    """The smallest study with a heat map: one source accuracy and one cell."""
    write(tmp_path, 0.9)
    write(tmp_path, 0.8, target=32, protocol="requery")
    return tmp_path


@pytest.fixture
def study(tmp_path: Path, write: Write) -> Path:
    """Two penalties; two seeds before and after fine-tuning with one, one seed and a missing cell with the other."""
    for seed, (source, requery, tuned) in enumerate([(0.9, 0.8, 0.92), (0.92, 0.84, 0.93)]):
        write(tmp_path, source, seed=seed)
        write(tmp_path, requery, seed=seed, target=32, protocol="requery")
        write(tmp_path, requery + 0.01, seed=seed, target=28, protocol="requery")
        write(tmp_path, source, seed=seed, target=32, protocol="resize")
        write(tmp_path, tuned, seed=seed, target=32, protocol="finetune", finetune_epochs=10)
    for source in (16, 20):
        write(tmp_path, 0.9, source=source, target=source, alias_penalty="gabor+mask")
        write(tmp_path, 0.888, source=source, target=32, protocol="requery", alias_penalty="gabor+mask")
    write(tmp_path, 0.905, source=20, target=28, protocol="requery", alias_penalty="gabor+mask")
    return tmp_path
