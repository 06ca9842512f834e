"""A data set with a test part alone: models are evaluated on it, and whatever asks for training images says why not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import restool
from restool.data import Dataset, load
from restool.errors import UsageError
from restool.models import ModelSpec
from restool.transfer import applicable, evaluate_model, open_study

MODEL = "flexnet[3,4]"


@pytest.fixture
def name(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    for index in range(12):
        file = tmp_path / "set" / "val" / "ab"[index % 2] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return f"folder:{tmp_path / 'set'}"


def config(name: str, **choices: object) -> restool.StudyConfig:
    return restool.StudyConfig(**{"model": MODEL, "dataset": name, "train": [8], "test": [12], "epochs": 0, **choices})


def test_it_is_evaluated_by_all_protocols_that_need_no_training_images(name: str, tmp_path: Path) -> None:
    study = open_study(config(name), tmp_path / "out", device="cpu")
    study.folder.create()
    study.run()
    assert (study.failed, study.missing()) == ([], [])
    protocols = {cell.protocol for cell in study.cells}
    assert {"source", "requery", "bandlimit", "resize"} <= protocols
    assert "bn-recalibrate" not in protocols


def test_a_protocol_that_was_asked_for_and_needs_them_fails_with_the_reason(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = open_study(config(name, protocols=["requery", "bn-recalibrate"]), tmp_path / "out", device="cpu")
    study.folder.create()
    study.run()
    assert [cell.protocol for cell in study.failed] == ["bn-recalibrate"]
    assert "folder:set has no train images; add a training part" in capsys.readouterr().err


@pytest.mark.parametrize("choices", [{"epochs": 1}, {"epochs": None}, {"finetune_epochs": 1}])
def test_training_is_refused_before_anything_is_written(name: str, choices: dict[str, object], tmp_path: Path) -> None:
    message = "^folder:set has no train images; add a training part, or evaluate a trained model with `epochs` 0$"
    with pytest.raises(UsageError, match=message):
        restool.sweep(config(name, **choices), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_evaluated_on_it(name: str) -> None:
    dataset: Dataset = load(name)
    spec = ModelSpec(MODEL, 2, 3, 8)
    torch.manual_seed(0)
    model = spec.build().eval()
    rows = evaluate_model(model, spec, dataset, [12], device=torch.device("cpu"))
    assert [row["protocol"] for row in rows] == ["source", *(p for p in applicable(model) if p != "bn-recalibrate")]
    assert {row["n"] for row in rows} == {12}
