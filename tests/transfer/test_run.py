"""Laws of the calls from Python: the sweep of the README, what it leaves, and what is refused before it writes."""

import re
from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import pytest
import torch

import restool
from restool.cli.grid import study_config
from restool.cli.panels import Grid
from restool.cli.parsing import sizes
from restool.errors import ArgumentError, MissingDataError
from restool.recipe import Recipe
from restool.training import load_checkpoint
from restool.transfer.run import Place, Reading, open_study

README = Path(__file__).resolve().parents[2] / "README.md"


def first_block():
    """The first Python of the README."""
    return re.search(r"```python\n(.*?)```", README.read_text(), re.S)[1]


def test_the_five_lines_of_the_readme_run_the_sweep_of_the_demo(lab, folder, monkeypatch, capsys):
    asked = []

    def small(config, out):
        asked.append((config, out))
        return restool.transfer.sweep(lab.config(), folder, progress=lab.progress())

    monkeypatch.setattr(restool, "sweep", small, raising=False)
    code = first_block()
    assert len([line for line in code.splitlines() if line]) <= 5
    exec(code, {})
    typed = Grid(train="16", test="28..36")
    assert asked == [(study_config(typed, Recipe(), test=sizes(typed.test, "test")), "results/local")]
    assert capsys.readouterr().out == (folder / "table.md").read_text() + "\n"


def test_a_sweep_leaves_what_a_study_leaves_and_its_report(lab, finished, tmp_path):
    result = restool.sweep(lab.config(), tmp_path, device="cpu", progress=lab.progress())
    assert lab.records(tmp_path) == lab.records(finished)
    assert (result.cells, result.failed, result.missing, result.timed_out) == (lab.plan(), [], [], False)
    assert {file.name for file in result.files} >= {"table.md", "table.csv", "heatmap.png"}
    assert all(file.stat().st_size for file in result.files)
    assert str(result) == (tmp_path / "table.md").read_text()
    written = pd.read_csv(tmp_path / "table.csv")
    assert list(result.table.columns) == list(written.columns)
    by_hand = {(r["cell"]["protocol"], r["cell"]["target"]): 100 * r["result"]["accuracy"]
               for r in lab.records(tmp_path).values()}  # fmt: skip
    found = {(row.protocol, row.target): row.accuracy_percent for row in result.table.itertuples()}
    assert found == pytest.approx(by_hand)


@pytest.fixture
def undrawn(monkeypatch):
    """Sweeps whose report is of no interest leave it out."""
    monkeypatch.setattr("restool.report.write_report", lambda out: [])


@pytest.mark.usefixtures("undrawn")
def test_a_second_sweep_does_only_what_is_missing(lab, folder):
    cell = lab.plan()[4]
    (folder / "records" / f"{cell.key}.json").unlink()
    progress = lab.progress()
    assert restool.sweep(lab.config(), folder, progress=progress).missing == []
    assert progress.tested == [str(cell)]


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_out_of_time_stops_cleanly_and_goes_on(lab, finished, tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("restool.transfer.progress.time.monotonic", lambda: float(next(clock)))
    result = restool.sweep(lab.config(), tmp_path, time_limit=1 / 60, progress=lab.progress())
    assert result.timed_out
    assert (result.missing, result.files, str(result)) == (lab.plan(), [], f"no cell of {tmp_path} is done yet")
    config = lab.config(protocols=("requery",), finetune_epochs=0)
    again = restool.sweep(config, tmp_path, time_limit=1e6, progress=lab.progress())
    assert (again.timed_out, again.missing) == (False, [])
    assert lab.records(tmp_path).items() <= lab.records(finished).items()


@pytest.mark.usefixtures("undrawn")
def test_source_models_are_trained_alone_and_a_sweep_uses_them(lab, tmp_path):
    config = lab.config(seeds=(0, 1), test=(10,), protocols=("requery",), finetune_epochs=0)
    result = restool.train_sources(config, tmp_path, progress=lab.progress())
    assert (result.failed, result.timed_out, len(result.runs)) == ([], False, 2)
    for row, run in zip(result.rows, result.runs, strict=True):
        stored = load_checkpoint(row["checkpoint"])
        assert (row["source"], row["seed"], stored.epoch) == (8, run.seed, config.epochs)
        assert row["validation_accuracy"] == stored.history[-1]["validation_accuracy"]
    assert not (tmp_path / "records").exists()
    progress = lab.progress()
    restool.sweep(config, tmp_path, progress=progress)
    assert sum(steps for text, steps in progress.trainings.items() if text.startswith("train ")) == 0


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        (
            {"device": "gpu"},
            ArgumentError,
            "^`device` must be auto, cpu, cuda or cuda:K, K being the number of a GPU, but is 'gpu'$",
        ),
        ({"method": "best"}, ArgumentError, "^`method` must be one of auto, direct, fft, basis, dft, but is 'best'$"),
        ({"time_limit": 0}, ArgumentError, "^`time_limit` must be above 0 minutes, but is 0$"),
        ({"time_limit": float("nan")}, ArgumentError, "^`time_limit` must be above 0 minutes, but is nan$"),
    ],
)
def test_a_bad_place_is_refused_before_anything_is_written(lab, tmp_path, place, error, message):
    with pytest.raises(error, match=message):
        restool.sweep(lab.config(), tmp_path / "out", progress=lab.progress(), **place)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_argument_is_refused(lab, tmp_path):
    for call in (restool.sweep, restool.train_sources, restool.transfer.open_study):
        with pytest.raises(TypeError, match="unexpected keyword argument 'devices'"):
            call(lab.config(), tmp_path / "out", devices="cpu")
    assert get_type_hints(Place).keys() - get_type_hints(Reading).keys() == {
        name for name, parameter in signature(open_study).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert get_type_hints(Reading).keys() < {*signature(restool.data.load).parameters}


def test_missing_data_is_refused_before_anything_is_written(lab, tmp_path):
    with pytest.raises(MissingDataError, match="^mnist is missing or damaged in "):
        restool.sweep(lab.config(dataset="mnist"), tmp_path / "out", data_dir=tmp_path, progress=lab.progress())
    assert not (tmp_path / "out").exists()


def test_weight_decay_is_a_recipe_like_any_other(lab, finished, tmp_path):
    choices = {"weight_decay": 0.5, "test": (10,), "finetune_epochs": 0, "protocols": ("requery",)}
    assert lab.run(tmp_path, **choices) == []
    records = lab.records(tmp_path)
    assert not set(records) & set(lab.records(finished))
    assert {record["cell"]["weight_decay"] for record in records.values()} == {0.5}
    decayed, usual = (
        load_checkpoint(folder / "checkpoints" / f"{run.key}.safetensors").model["head.weight"]
        for folder, run in ((tmp_path, lab.plan(**choices)[0].run), (finished, lab.plan()[0].run))
    )
    assert not torch.equal(decayed, usual)
    assert decayed.norm() < usual.norm()
