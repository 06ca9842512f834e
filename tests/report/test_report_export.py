"""Exports hold what the records say."""

import io
import json

import pandas as pd
import pytest

from restool.report.export import as_csv, as_jsonl, write_tensorboard


def test_jsonl_has_an_object_a_record_with_all_that_it_says(study):
    rows = {row["key"]: row for row in map(json.loads, as_jsonl(study).splitlines())}
    paths = list((study / "records").iterdir())
    assert len(rows) == len(paths)
    for path in paths:
        record = json.loads(path.read_text())
        row = rows[record["key"]]
        assert row["accuracy_percent"] == pytest.approx(100 * record["result"]["accuracy"])
        assert row["n"] == record["result"]["n"]
        assert row["timing_train_seconds"] == record["timing"]["train_seconds"]
        assert row["environment_device"] == record["environment"]["device"]
        assert {name: row[name] for name in record["cell"]} == record["cell"]


def test_csv_has_the_same_rows(study, write):
    write(study, 0.5, seed=9, added_later=3)
    table = pd.read_csv(io.StringIO(as_csv(study)), dtype={"key": str})
    rows = [json.loads(line) for line in as_jsonl(study).splitlines()]
    assert list(table["key"]) == [row["key"] for row in rows]
    assert table["accuracy_percent"].tolist() == pytest.approx([row["accuracy_percent"] for row in rows])
    assert table["added_later"].dropna().tolist() == [3]


def test_tensorboard_reads_the_accuracies_by_target(study):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_ndarray = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    folders = {folder.name: folder for folder in write_tensorboard(study, study / "board") if "none" not in folder.name}
    run = next(folder for folder in (study / "board").glob("*no-aliasing*/requery-from-16-px"))
    assert folders["requery-from-16-px"].parent.parent == study / "board"
    events = accumulator.EventAccumulator(str(run))
    events.Reload()
    found = {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors("accuracy_percent")}
    assert found == pytest.approx({28: 83, 32: 82})
    changed = {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors("difference_points")}
    assert changed == pytest.approx({28: -8, 32: -9})
