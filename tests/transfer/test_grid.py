"""Laws of the grid: every cell has the record that its models give by hand, and only what is missing is done."""

import copy
import hashlib
import json
import math
import shutil

import numpy as np
import pytest
import torch

from restool.data import Batches
from restool.errors import DamagedError, UsageError
from restool.integrity import correct_bits
from restool.models import ModelSpec
from restool.records import read_logits
from restool.report import consistency, read_records
from restool.training import load_checkpoint, load_model
from restool.transfer import Cell, evaluate_model
from restool.transfer.check import check
from restool.transfer.trainer import Trainer

EPOCH = 2  # steps


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
            assert rows[1]["accuracy_percent"] == pytest.approx(100 * accuracy)


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
    assert lab.run(finished, progress) == []
    assert progress.activities == []
    assert snapshot(finished) == before


@pytest.mark.parametrize("index", [0, 3, 11])
def test_a_deleted_record_is_the_only_one_made_again(lab, finished, folder, index):
    cell, before, progress = lab.plan()[index], snapshot(folder), lab.progress()
    (folder / "records" / f"{cell.key}.json").unlink()
    assert lab.run(folder, progress) == []
    assert progress.tested == [str(cell)]
    assert sum(progress.trainings.values()) == 0
    after = snapshot(folder)
    changed = {file for file in before if after.pop(file) != before[file]}
    assert {file.name for file in changed} <= {f"{cell.key}.json"}
    assert after == {}
    assert lab.records(folder) == lab.records(finished)


def test_new_targets_are_added_to_what_is_there(lab, finished, folder):
    progress = lab.progress()
    lab.run(folder, progress, test=(10, 12, 14), finetune_epochs=0)
    assert progress.tested == [
        f"flexnet[3,4] 8 -> 14 px, {name}, seed 0"
        for name in ("requery", "bandlimit", "as-is", "resize", "bn-recalibrate")
    ]
    assert lab.records(folder).items() >= lab.records(finished).items()


def test_every_source_run_has_a_model_of_its_own(lab, tmp_path):
    choices = {"seeds": (0, 1), "train": (8, 9), "epochs": 0}
    study = lab.study(tmp_path, **choices)
    assert len(study.runs) == 4
    for run in [*study.runs, *reversed(study.runs)]:
        torch.manual_seed(run.seed)
        expected = ModelSpec("flexnet[3,4]", 10, 3, run.source).build()
        model = study.trainer.source(run).model
        assert str(model) == str(expected)  # it shows the reference size
        assert torch.equal(model.head.weight, expected.head.weight)


def test_every_training_of_a_study_has_a_seed_of_its_own(lab, tmp_path, monkeypatch):
    seeds = []

    def train(model, batches, recipe, *, epochs, seed, watch, **options):
        seeds.append(seed)
        for _ in range(epochs * len(batches)):
            watch.step()

    monkeypatch.setattr("restool.transfer.trainer.train", train)
    monkeypatch.setattr("restool.transfer.trainer.read_digest", lambda path: "")
    for _ in range(2):
        lab.run(tmp_path, seeds=(0, 1), protocols=())
        for file in (tmp_path / "records").iterdir():
            file.unlink()
    assert seeds[:6] == seeds[6:]
    assert len(set(seeds)) == 6
    assert {seeds[0], seeds[3]} == {0, 1}


def test_fine_tuning_by_zero_epochs_changes_nothing(lab, folder, monkeypatch):
    cells = lab.plan()
    requery, tuned = cells[1], Cell(run=cells[0].run, target=cells[1].target, protocol="finetune")
    monkeypatch.setattr("restool.transfer.study.plan", lambda config, dataset: [tuned])
    assert lab.run(folder, finetune_epochs=0) == []
    records = lab.records(folder)
    assert requery.protocol == "requery"
    assert records[tuned.key]["result"] == records[requery.key]["result"]
    assert load_checkpoint(folder / "checkpoints" / f"{tuned.key}.safetensors").epoch == 0


def test_records_tell_the_time_of_their_own_training(lab, finished):
    for cell in lab.plan():
        timing = json.loads((finished / "records" / f"{cell.key}.json").read_text())["timing"]
        assert ("train_seconds" in timing) == (cell.protocol in ("source", "finetune"))
        assert all(math.isfinite(seconds) and seconds >= 0 for seconds in timing.values())


def test_a_source_model_is_loaded_once_and_not_changed_by_the_cells_that_use_it(lab, folder, monkeypatch):
    study, sources, source = lab.study(folder), [], Trainer.source
    monkeypatch.setattr(Trainer, "source", lambda trainer, run: sources.append(source(trainer, run)) or sources[-1])
    before = copy.deepcopy(study.trainer.source(study.runs[0]).model.state_dict())
    for file in (folder / "records").iterdir():
        file.unlink()
    for cell in study.cells:
        if cell.protocol == "finetune":
            (folder / "checkpoints" / f"{cell.key}.safetensors").unlink()
    study.run()
    assert len(sources) == 2
    assert all(torch.equal(value, before[key]) for key, value in sources[1].model.state_dict().items())


def test_evaluation_rejects_images_that_do_not_fit_and_training_in_disguise(lab, finished):
    model, checkpoint = load_model(finished / "checkpoints" / f"{lab.plan()[0].run.key}.safetensors")
    spec, device = checkpoint.spec, torch.device("cpu")
    with pytest.raises(UsageError, match="^finetune trains the model, which an evaluation does not$"):
        evaluate_model(model, spec, lab.dataset, [8], protocols=["finetune"], device=device)
    message = r"^flexnet\[3,4\] takes 1 channels and 7 classes, but gabors has 3 and 10; choose another `dataset`$"
    with pytest.raises(UsageError, match=message):
        evaluate_model(model, ModelSpec(spec.name, 7, 1, 8), lab.dataset, [8], device=device)
    message = "^flextcn-2 takes sequences, and data set 'gabors' holds images; choose a model of images$"
    with pytest.raises(UsageError, match=message):
        evaluate_model(model, ModelSpec("flextcn-2", 10, 3, 8), lab.dataset, [8], device=device)


def test_kept_logits_are_those_of_the_answers_and_change_no_record(lab, folder):
    before = lab.records(folder)
    study = lab.study(folder, lab.progress(), keep_logits=True)
    assert study.missing() == study.cells  # each has its record, but no logits yet
    study.run()
    assert study.missing() == study.failed == []
    after = lab.records(folder)
    digests = {key: record.pop("logits") for key, record in after.items()}
    assert after == before
    labels = lab.dataset.split("test", 8).labels.numpy()
    for cell in study.cells:
        result, path = before[cell.key]["result"], study.folder.logits(cell.key)
        assert digests[cell.key] == hashlib.sha256(path.read_bytes()).hexdigest()
        logits = read_logits(path, result["n"], digests[cell.key])
        assert np.array_equal(logits.argmax(1) == labels, correct_bits(result["correct"], result["n"])), cell


def test_logits_of_another_cell_are_not_taken_for_its_own(lab, folder):
    study = lab.study(folder, keep_logits=True)
    study.run()
    first, last = (study.folder.logits(study.cells[place].key) for place in (0, -1))
    shutil.copy(first, last)
    named = rf"{last.name} is not the one that its record was written with; `restool check` lists what is damaged"
    with pytest.raises(DamagedError, match=named):
        consistency(folder, read_records(folder))
    assert [finding.path for finding in check(folder).findings] == [last]


def test_logits_are_kept_only_where_they_are_asked_for(folder):
    assert not (folder / "logits").exists()
