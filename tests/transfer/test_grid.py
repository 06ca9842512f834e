"""Laws of the grid: it does what is missing and nothing else, and however it is stopped, the records are the same."""

import copy
import json
import math
import shutil

import pytest
import torch

from restool.data import Batches
from restool.errors import UsageError
from restool.models import ModelSpec
from restool.training import load_checkpoint, load_model
from restool.transfer import Cell, evaluate_model
from restool.transfer.grid import describe

EPOCH = 2  # steps
STEPS = 2 * EPOCH + 13 + 2 * EPOCH  # training, one batch of test images a cell, fine-tuning at two sizes


def snapshot(path):
    return {file.relative_to(path): (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("*.*")}


def test_every_cell_has_a_record_and_every_trained_model_a_checkpoint(lab, finished):
    cells = lab.plan()
    assert len(cells) == 1 + 2 * 5 + 2
    records = lab.records(finished)
    assert {key: record["cell"] for key, record in records.items()} == {cell.key: cell.fields for cell in cells}
    assert all(record["result"]["n"] == 32 for record in records.values())
    tuned = [cell for cell in cells if cell.protocol == "finetune"]
    names = {f"{key}.safetensors" for key in [cells[0].run.key, *(cell.key for cell in tuned)]}
    assert {file.name for file in (finished / "checkpoints").iterdir()} == names


def test_records_hold_what_the_checkpoints_give_by_hand(lab, finished):
    device, cells = torch.device("cpu"), lab.plan()
    for cell in cells:
        trained = cell.key if cell.protocol == "finetune" else cell.run.key
        model, checkpoint = load_model(finished / "checkpoints" / f"{trained}.safetensors")
        accuracy = lab.records(finished)[cell.key]["result"]["accuracy"]
        if cell.protocol in ("source", "finetune"):
            images, labels = next(Batches(lab.dataset, "test", cell.target, batch_size=32, device=device).epoch())
            with torch.no_grad():
                assert accuracy == (model(images).argmax(1) == labels).double().mean().item()
        else:
            rows = evaluate_model(
                model, checkpoint.spec, lab.dataset, [cell.target], protocols=[cell.protocol], device=device
            )
            assert rows[0]["accuracy"] == accuracy


def test_checkpoints_say_what_they_are(lab, finished):
    for cell in lab.plan():
        if cell.protocol in ("source", "finetune"):
            tuned = cell.protocol == "finetune"
            key = cell.key if tuned else cell.run.key
            checkpoint = load_checkpoint(finished / "checkpoints" / f"{key}.safetensors")
            assert (checkpoint.spec.name, checkpoint.spec.reference_size) == ("flexnet[3,4]", 8)
            assert (checkpoint.epoch, checkpoint.optimizer) == (1 if tuned else 2, {})
            expected = {"source": 8, "seed": 0, "dataset": "gabors", "size": cell.target}
            assert checkpoint.facts.items() >= expected.items()
            assert all(set(epoch) >= {"loss", "accuracy", "validation_accuracy"} for epoch in checkpoint.history)


def test_fine_tuning_starts_from_the_source_model_and_leaves_it_alone(lab, finished):
    source_cell, *_, tuned_cell = lab.plan()
    source = load_checkpoint(finished / "checkpoints" / f"{source_cell.run.key}.safetensors").model
    tuned = load_checkpoint(finished / "checkpoints" / f"{tuned_cell.key}.safetensors").model
    count = "stem_norm.num_batches_tracked"
    assert (source[count], tuned[count]) == (2 * EPOCH, 3 * EPOCH)
    distance = (tuned["head.weight"] - source["head.weight"]).abs().max()
    assert 0 < distance < 0.01 * 2.2 * EPOCH  # Adam moves a weight by little more than the rate a step


def test_a_second_run_does_nothing(lab, finished):
    before, progress = snapshot(finished), lab.progress()
    outcome = lab.run(finished, progress)
    assert (outcome.done, outcome.failed, progress.activities) == ([], [], [])
    assert snapshot(finished) == before


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished study that may be written to."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.mark.parametrize("index", [0, 3, 11])
def test_a_deleted_record_is_the_only_one_made_again(lab, finished, folder, index):
    cell, before, progress = lab.plan()[index], snapshot(folder), lab.progress()
    (folder / "records" / f"{cell.key}.json").unlink()
    assert lab.run(folder, progress).done == [cell]
    assert [text for text in progress.activities if text.startswith("test")] == [f"test {describe(cell)}"]
    assert sum(steps for text, steps in progress.steps.items() if text.startswith("train")) == 0
    after = snapshot(folder)
    changed = {file for file in before if after.pop(file) != before[file]}
    assert {file.name for file in changed} <= {f"{cell.key}.json"}
    assert after == {}
    assert lab.records(folder) == lab.records(finished)


def test_new_targets_are_added_to_what_is_there(lab, finished, folder):
    progress = lab.progress()
    outcome = lab.run(folder, progress, test=(10, 12, 14), finetune_epochs=0)
    assert [(cell.target, cell.protocol) for cell in outcome.done] == [
        (14, name) for name in ("requery", "bandlimit", "as-is", "resize", "bn-recalibrate")
    ]
    assert lab.records(folder).items() >= lab.records(finished).items()


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 9, 15, 16, 17, 18, STEPS])
def test_a_study_stopped_at_a_step_resumes_to_the_same_records(lab, finished, tmp_path, step):
    with pytest.raises(lab.stopped):
        lab.run(tmp_path, lab.progress(stop_after=step))
    assert not [file for file in tmp_path.rglob("*") if file.suffix == ".tmp"]
    progress = lab.progress()
    assert lab.run(tmp_path, progress).failed == []
    assert lab.records(tmp_path) == lab.records(finished)
    checkpoints = sorted((finished / "checkpoints").iterdir())
    for expected, actual in zip(checkpoints, sorted((tmp_path / "checkpoints").iterdir()), strict=True):
        assert actual.name == expected.name
        assert actual.read_bytes() == expected.read_bytes()
    # at most the epoch in flight and the cell in flight are done twice
    assert sum(progress.steps.values()) <= STEPS - step + EPOCH


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


def test_a_cell_that_fails_is_listed_and_the_others_are_done(lab, folder):
    cells = lab.plan()
    bad = Cell(run=cells[0].run, target=12, protocol="interpolate")
    missing = cells[2:5]
    for cell in missing:
        (folder / "records" / f"{cell.key}.json").unlink()
    progress = lab.progress()
    outcome = lab.study(folder, progress).run([missing[0], bad, *missing[1:]])
    assert (outcome.done, outcome.failed) == (missing, [bad])
    reason = "protocol 'interpolate' does not apply to this model; `restool ls models` lists what does"
    assert progress.failures == [("flexnet[3,4] 8 -> 12 px, interpolate, seed 0", reason)]
    assert not (folder / "records" / f"{bad.key}.json").exists()


def test_a_run_that_diverges_fails_its_cells_and_leaves_no_record(lab, tmp_path):
    progress = lab.progress()
    outcome = lab.run(tmp_path, progress, learning_rate=1e30, protocols=("requery",), test=(10,), finetune_epochs=0)
    assert outcome.done == []
    assert [cell.protocol for cell in outcome.failed] == ["source", "requery"]
    for _, reason in progress.failures:
        assert reason.startswith("the loss became nan in epoch ")
        assert reason.endswith(" of 2; lower --learning-rate")
    assert not (tmp_path / "records").exists()


def test_a_damaged_checkpoint_fails_its_cells_in_one_line(lab, folder):
    cells = lab.plan()
    (folder / "checkpoints" / f"{cells[0].run.key}.safetensors").write_bytes(b"half a file")
    (folder / "records" / f"{cells[1].key}.json").unlink()
    progress = lab.progress()
    assert lab.run(folder, progress).failed == [cells[1]]
    assert "is damaged or no safetensors file" in progress.failures[0][1]


def test_an_error_that_nobody_can_mend_is_not_swallowed(lab, folder, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError

    (folder / "records" / f"{lab.plan()[1].key}.json").unlink()
    monkeypatch.setattr("restool.transfer.grid.correct_predictions", broken)
    with pytest.raises(ZeroDivisionError):
        lab.run(folder)


def test_a_cell_that_another_process_holds_is_waited_for(lab, folder, monkeypatch):
    cells, waits = lab.plan(), []
    for cell in cells[1:3]:
        (folder / "records" / f"{cell.key}.json").unlink()
    study = lab.study(folder)
    lock = study.folder.lock(cells[1].key)
    lock.__enter__()

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            lock.__exit__(None, None, None)

    monkeypatch.setattr("restool.transfer.grid.time.sleep", sleep)
    outcome = study.run(cells)
    assert outcome.done == [cells[2], cells[1]]
    assert len(waits) == 2


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

    monkeypatch.setattr("restool.transfer.grid.time.sleep", sleep)
    assert study.run([cell]).failed == []
    assert progress.activities == []
    assert record.read_bytes() == content


def test_a_source_model_that_another_process_trains_is_waited_for(lab, tmp_path, monkeypatch):
    cells, progress = lab.plan(test=(10,), finetune_epochs=0, epochs=1), lab.progress()
    study = lab.study(tmp_path, progress, epochs=1)
    lock = study.folder.lock(cells[0].run.key)
    lock.__enter__()

    waits, builds, build = [], [], ModelSpec.build
    monkeypatch.setattr(ModelSpec, "build", lambda spec: builds.append(spec) or build(spec))

    def sleep(seconds):
        assert progress.activities == builds == []  # waiting is cheap
        waits.append(seconds)
        lock.__exit__(None, None, None)

    monkeypatch.setattr("restool.transfer.grid.time.sleep", sleep)
    assert study.run(cells).done == cells
    assert len(waits) == 1
    assert sum(text.startswith("train") for text in progress.activities) == 1


def test_every_source_run_has_a_model_of_its_own(lab, tmp_path):
    choices = {"seeds": (0, 1), "train": (8, 9), "epochs": 0}
    study = lab.study(tmp_path, **choices)
    runs = list(dict.fromkeys(cell.run for cell in lab.plan(**choices)))
    assert len(runs) == 4
    for run in [*runs, *reversed(runs)]:
        torch.manual_seed(run.seed)
        expected = ModelSpec("flexnet[3,4]", 10, 3, run.source).build()
        model = study.source_model(run)
        assert str(model) == str(expected)  # it shows the reference size
        assert torch.equal(model.head.weight, expected.head.weight)


def test_every_training_of_a_study_has_a_seed_of_its_own(lab, tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr("restool.transfer.grid.train", lambda *arguments, seed, **options: seeds.append(seed))
    for _ in range(2):
        study, cells = lab.study(tmp_path, seeds=(0, 1)), lab.plan(seeds=(0, 1))
        study.run([cell for cell in cells if cell.protocol in ("source", "finetune")])
        for file in (tmp_path / "records").iterdir():
            file.unlink()
    assert seeds[:6] == seeds[6:]
    assert len(set(seeds)) == 6
    assert {seeds[0], seeds[3]} == {0, 1}


def test_fine_tuning_by_zero_epochs_changes_nothing(lab, folder):
    cells = lab.plan()
    requery, tuned = cells[1], Cell(run=cells[0].run, target=cells[1].target, protocol="finetune")
    assert lab.study(folder, finetune_epochs=0).run([tuned]).failed == []
    records = lab.records(folder)
    assert requery.protocol == "requery"
    assert records[tuned.key]["result"] == records[requery.key]["result"]
    assert not (folder / "checkpoints" / f"{tuned.key}.safetensors").exists()


def test_records_tell_the_time_of_their_own_training(lab, finished):
    for cell in lab.plan():
        timing = json.loads((finished / "records" / f"{cell.key}.json").read_text())["timing"]
        assert ("train_seconds" in timing) == (cell.protocol in ("source", "finetune"))
        assert all(math.isfinite(seconds) and seconds >= 0 for seconds in timing.values())


@pytest.mark.parametrize("step", [3, 5])
def test_a_training_that_another_process_began_is_not_timed_as_if_it_were_whole(lab, tmp_path, step):
    choices = {"test": (10,), "protocols": ("requery",), "finetune_epochs": 0}
    with pytest.raises(lab.stopped):
        lab.run(tmp_path, lab.progress(stop_after=step), **choices)
    lab.run(tmp_path, **choices)
    record = tmp_path / "records" / f"{lab.plan(**choices)[0].key}.json"
    assert set(json.loads(record.read_text())["timing"]) == {"evaluate_seconds"}


def test_a_source_model_is_not_changed_by_the_cells_that_use_it(lab, folder):
    study, cells = lab.study(folder), lab.plan()
    model = study.source_model(cells[0].run)
    before = copy.deepcopy(model.state_dict())
    for file in (folder / "records").iterdir():
        file.unlink()
    for cell in cells:
        if cell.protocol == "finetune":
            (folder / "checkpoints" / f"{cell.key}.safetensors").unlink()
    study.run(cells)
    assert study.source_model(cells[0].run) is model
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_evaluation_rejects_images_that_do_not_fit_and_training_in_disguise(lab, finished):
    model, checkpoint = load_model(finished / "checkpoints" / f"{lab.plan()[0].run.key}.safetensors")
    spec, device = checkpoint.spec, torch.device("cpu")
    with pytest.raises(UsageError, match="^finetune trains the model; use `restool finetune`$"):
        evaluate_model(model, spec, lab.dataset, [8], protocols=["finetune"], device=device)
    message = r"^flexnet\[3,4\] takes 1 channels and 7 classes, but gabors has 3 and 10; choose another --dataset$"
    with pytest.raises(UsageError, match=message):
        evaluate_model(model, type(spec)(spec.name, 7, 1, 8), lab.dataset, [8], device=device)
