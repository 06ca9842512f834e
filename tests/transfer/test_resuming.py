"""Laws of a study that is stopped, shared or broken: the records are those of one that was not."""

import json

import pytest
import torch

from restool.models import ModelSpec
from restool.training import load_checkpoint
from restool.transfer import Cell

EPOCH = 2  # steps
STEPS = 2 * EPOCH + 13 + 2 * EPOCH  # training, one batch of test images a cell, fine-tuning at two sizes


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 9, 15, 16, 17, 18, STEPS])
def test_a_study_stopped_at_a_step_resumes_to_the_same_records(lab, finished, tmp_path, step):
    with pytest.raises(lab.stopped):
        lab.run(tmp_path, lab.progress(stop_after=step))
    assert not [file for file in tmp_path.rglob("*") if file.suffix == ".tmp"]
    progress = lab.progress()
    assert lab.run(tmp_path, progress) == []
    assert lab.records(tmp_path) == lab.records(finished)
    checkpoints = sorted((finished / "checkpoints").iterdir())
    for expected, actual in zip(checkpoints, sorted((tmp_path / "checkpoints").iterdir()), strict=True):
        assert actual.name == expected.name
        assert actual.read_bytes() == expected.read_bytes()
    # at most the epoch in flight and the cell in flight are done twice, and the source answers once more
    assert sum(progress.steps.values()) <= STEPS - step + EPOCH + 1


@pytest.mark.slow
def test_the_same_study_elsewhere_gives_the_same_records_and_another_seed_others(lab, finished, tmp_path):
    torch.manual_seed(77)
    lab.run(tmp_path / "again")
    assert lab.records(tmp_path / "again") == lab.records(finished)
    lab.run(tmp_path / "other", seeds=(1,), test=(10,), finetune_epochs=0)
    key, other = lab.plan()[0].run.key, lab.plan(seeds=(1,))[0].run.key
    weights = [
        load_checkpoint(folder / "checkpoints" / f"{name}.safetensors").model["head.weight"]
        for folder, name in ((finished, key), (tmp_path / "other", other))
    ]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("step", [3, 5])
def test_a_training_that_another_process_began_is_not_timed_as_if_it_were_whole(lab, tmp_path, step):
    choices = {"test": (10,), "protocols": ("requery",), "finetune_epochs": 0}
    with pytest.raises(lab.stopped):
        lab.run(tmp_path, lab.progress(stop_after=step), **choices)
    lab.run(tmp_path, **choices)
    record = tmp_path / "records" / f"{lab.plan(**choices)[0].key}.json"
    assert set(json.loads(record.read_text())["timing"]) == {"evaluate_seconds"}


def test_a_cell_that_fails_is_listed_and_the_others_are_done(lab, folder, monkeypatch):
    cells, progress = lab.plan(), lab.progress()
    bad = Cell(run=cells[0].run, target=12, protocol="interpolate")
    missing = cells[2:5]
    for cell in missing:
        (folder / "records" / f"{cell.key}.json").unlink()
    wanted = [missing[0], bad, *missing[1:]]
    monkeypatch.setattr("restool.transfer.study.plan", lambda config, dataset: wanted)
    assert lab.run(folder, progress) == [bad]
    assert lab.study(folder).missing() == [bad]
    reason = "protocol 'interpolate' does not apply to this model; requery, bandlimit, as-is, resize, bn-recalibrate do"
    assert progress.failures == [("flexnet[3,4] 8 -> 12 px, interpolate, seed 0", reason)]
    assert progress.tested == [str(cell) for cell in missing]
    assert not (folder / "records" / f"{bad.key}.json").exists()


def test_a_run_that_diverges_fails_its_cells_and_leaves_no_record(lab, tmp_path):
    progress = lab.progress()
    failed = lab.run(tmp_path, progress, learning_rate=1e30, protocols=("requery",), test=(10,), finetune_epochs=0)
    assert [cell.protocol for cell in failed] == ["source", "requery"]
    for _, reason in progress.failures:
        assert reason.startswith("the loss became nan in epoch ")
        assert reason.endswith(" of 2; lower `learning_rate`")
    assert len(progress.activities) == 1  # tried once, not once a cell
    assert not (tmp_path / "records").exists()


def test_a_damaged_checkpoint_fails_its_cells_in_one_line(lab, folder):
    cells = lab.plan()
    (folder / "checkpoints" / f"{cells[0].run.key}.safetensors").write_bytes(b"half a file")
    (folder / "records" / f"{cells[1].key}.json").unlink()
    progress = lab.progress()
    assert lab.run(folder, progress) == [cells[1]]
    assert "is damaged or no safetensors file" in progress.failures[0][1]


def test_an_error_that_nobody_can_mend_is_not_swallowed(lab, folder, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError

    (folder / "records" / f"{lab.plan()[1].key}.json").unlink()
    monkeypatch.setattr("restool.transfer.study.predictions", broken)
    with pytest.raises(ZeroDivisionError):
        lab.run(folder)


def test_a_cell_that_another_process_holds_is_waited_for(lab, folder, monkeypatch):
    cells, waits, progress = lab.plan(), [], lab.progress()
    for cell in cells[1:3]:
        (folder / "records" / f"{cell.key}.json").unlink()
    study = lab.study(folder, progress)
    lock = study.folder.lock(cells[1].key)
    lock.__enter__()

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            lock.__exit__(None, None, None)

    monkeypatch.setattr("restool.transfer.turns.time.sleep", sleep)
    study.run()
    assert progress.tested == [str(cells[2]), str(cells[1])]
    assert len(waits) == 2
    assert progress.waits == [1, 1]


def test_a_cell_that_another_process_has_finished_meanwhile_is_not_repeated(lab, folder, finished, monkeypatch):
    cell, progress = lab.plan()[1], lab.progress()
    record = folder / "records" / f"{cell.key}.json"
    content = record.read_bytes()
    record.unlink()
    study = lab.study(folder, progress)
    lock = study.folder.lock(cell.key)
    lock.__enter__()

    def sleep(seconds):
        record.write_bytes(content)
        lock.__exit__(None, None, None)

    monkeypatch.setattr("restool.transfer.turns.time.sleep", sleep)
    study.run()
    assert study.failed == progress.activities == []
    assert record.read_bytes() == content


def test_a_source_model_that_another_process_trains_is_waited_for(lab, tmp_path, monkeypatch):
    cells, progress = lab.plan(test=(10,), finetune_epochs=0, epochs=1), lab.progress()
    study = lab.study(tmp_path, progress, test=(10,), finetune_epochs=0, epochs=1)
    lock = study.folder.lock(cells[0].run.key)
    lock.__enter__()

    waits, builds, build = [], [], ModelSpec.build
    monkeypatch.setattr(ModelSpec, "build", lambda spec: builds.append(spec) or build(spec))

    def sleep(seconds):
        assert progress.activities == builds == []  # waiting is cheap
        waits.append(seconds)
        lock.__exit__(None, None, None)

    monkeypatch.setattr("restool.transfer.turns.time.sleep", sleep)
    study.run()
    assert progress.tested == [str(cell) for cell in cells]
    assert len(waits) == 1
    assert list(progress.trainings) == ["train flexnet[3,4] at 8 px, seed 0"]
