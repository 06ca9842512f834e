"""Records to numbers, against figures worked out by hand and Python's own statistics."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from restool.errors import MissingDataError, UsageError
from restool.report import frame as report_frame
from restool.report import read_records, summarise
from restool.transfer import PROTOCOLS


def cells(out: Path, **where: Any) -> list[dict[str, Any]]:
    rows = summarise(read_records(out)).to_dict("records")
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def test_difference_is_paired_by_seed(tmp_path, write):
    sources, targets = [0.90, 0.94, 0.92], [0.80, 0.85, 0.87]
    for seed in range(3):
        write(tmp_path, sources[seed], seed=seed)
        write(tmp_path, targets[seed], seed=seed, target=32, protocol="requery")
    [row] = cells(tmp_path, protocol="requery")
    differences = [100 * (b - a) for a, b in zip(sources, targets, strict=True)]
    assert row["difference_points"] == pytest.approx(statistics.mean(differences))
    # the spread of differences tells pairing by seed from any other pairing, which has the same mean
    assert row["difference_sd_points"] == pytest.approx(statistics.stdev(differences))
    assert row["source_accuracy_percent"] == pytest.approx(92)


def test_spread_and_standard_error_are_those_over_seeds(tmp_path, write):
    values = [0.81, 0.85, 0.8, 0.77]
    for seed, value in enumerate(values):
        write(tmp_path, value, seed=seed)
    [row] = cells(tmp_path)
    assert (row["seeds"], row["n"]) == (4, 1000)
    assert row["accuracy_percent"] == pytest.approx(100 * statistics.mean(values))
    assert row["accuracy_sd_points"] == pytest.approx(100 * statistics.stdev(values))
    assert row["standard_error_points"] == pytest.approx(100 * statistics.stdev(values) / math.sqrt(4))


def test_one_seed_has_the_binomial_standard_error_and_no_spread(tmp_path, write):
    write(tmp_path, 0.9, n=400)
    [row] = cells(tmp_path)
    assert row["standard_error_points"] == pytest.approx(1.5)  # sqrt(0.9 * 0.1 / 400) = 0.015
    assert math.isnan(row["accuracy_sd_points"])
    assert math.isnan(row["difference_sd_points"])


@pytest.mark.parametrize(
    ("setting", "other"),
    [
        ("learning_rate", 1e-7),
        ("alias_penalty", "gabor"),
        ("limit", 500),
        ("data", "fedcba9876543210"),
        ("added_later", [1, 2]),
    ],
)
def test_different_settings_never_mix(tmp_path, write, setting, other):
    write(tmp_path, 0.9)
    write(tmp_path, 0.7, target=32, protocol="requery")
    write(tmp_path, 0.6, seed=1, **{setting: other})
    write(tmp_path, 0.5, target=32, protocol="requery", seed=1, **{setting: other})
    rows = cells(tmp_path, protocol="requery")
    assert [row["seeds"] for row in rows] == [1, 1]
    assert sorted(row["accuracy_percent"] for row in rows) == pytest.approx([50, 70])
    assert sorted(row["difference_points"] for row in rows) == pytest.approx([-20, -10])


def test_numbers_of_fine_tuning_epochs_are_rows_of_their_own_against_one_source(tmp_path, write):
    write(tmp_path, 0.9)
    for epochs, accuracy in [(10, 0.95), (2, 0.92)]:
        write(tmp_path, accuracy, target=32, protocol="finetune", finetune_epochs=epochs)
    rows = cells(tmp_path, protocol="finetune")
    assert [row["finetune_epochs"] for row in rows] == [2, 10]
    assert [row["difference_points"] for row in rows] == pytest.approx([2, 5])


def test_difference_is_blank_while_a_seed_lacks_its_source(tmp_path, write):
    write(tmp_path, 0.9)
    for seed in range(2):
        write(tmp_path, 0.8, seed=seed, target=32, protocol="requery")
    [row] = cells(tmp_path, protocol="requery")
    assert row["accuracy_percent"] == pytest.approx(80)
    assert math.isnan(row["difference_points"])
    assert math.isnan(row["source_accuracy_percent"])


def test_rows_are_sorted_by_number_and_protocol_order(tmp_path, write):
    order = ["requery", "bandlimit", "rescale", "interpolate", "as-is", "resize"]
    order += ["bn-recalibrate", "bandlimit+bn-recalibrate", "something-new", "finetune"]
    for source in (16, 8):
        for protocol in sorted(order):
            for target in (32, 100):
                epochs = 3 if protocol == "finetune" else 0
                write(tmp_path, 0.5, source=source, target=target, protocol=protocol, finetune_epochs=epochs)
    frame = read_records(tmp_path)
    assert list(frame["source"].unique()) == [8, 16]
    assert list(frame["target"][:2]) == [32, 100]
    assert list(frame["protocol"].unique()) == order


def damaged(path: Path, **changes: Any) -> str:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | changes))
    return path.name


MEND = "delete it and run the sweep again$"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 2}, "has format 2, but this restool reads format 1"),
        ({"key": "abc"}, "must be named after its key, which is abc"),
        ({"cell": None}, "has no cell or no result"),
        (
            {"cell": {"model": "flexnet-3", "dataset": "gabors", "source": "16"}},
            "must have cell.source of type int, got '16'",
        ),
        ({"result": {"accuracy": 91.2, "n": 10}}, "must have result.accuracy between 0 and 1, got 91.2"),
        ({"result": {"accuracy": float("nan"), "n": 10}}, "must have result.accuracy between 0 and 1, got nan"),
        ({"result": {"accuracy": 0.9, "n": 0}}, "must have result.n above 0, got 0"),
    ],
)
def test_a_damaged_record_is_named_with_its_mend(tmp_path, write, changes, problem):
    name = damaged(write(tmp_path, 0.9), **changes)
    with pytest.raises(UsageError, match=rf"^record \S*{name} {problem}: {MEND}"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"format": 1, "ke', "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "is not a record of restool"),
    ],
)
def test_a_foreign_file_is_named_with_its_mend(tmp_path, write, content, problem):
    write(tmp_path, 0.9).with_name("other.json").write_bytes(content)
    with pytest.raises(UsageError, match=rf"^record \S*other.json {problem}.*: {MEND}"):
        read_records(tmp_path)


def test_files_still_being_written_are_no_records(tmp_path, write):
    path = write(tmp_path, 0.9)
    path.with_name(".half.json").write_text("{")
    path.with_name("half.json.tmp").write_text("{")
    assert len(read_records(tmp_path)) == 1


def test_one_cell_in_two_records_is_rejected(tmp_path, write):
    path = write(tmp_path, 0.9)
    record = json.loads(path.read_text()) | {"key": "copy"}
    path.with_name("copy.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"copy\.json.*got one cell twice: delete both and run the sweep again$"):
        read_records(tmp_path)


def test_seeds_of_a_cell_must_share_the_number_of_test_images(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.9, n=999, seed=1)
    with pytest.raises(
        UsageError, match=r"must have one number n of test images: delete them and run the sweep again$"
    ):
        read_records(tmp_path)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_records_says_how_to_make_them(tmp_path, made):
    out = tmp_path / "out"
    if made:
        (out / "records").mkdir(parents=True)
    with pytest.raises(MissingDataError, match=r"^no records in \S*records; a sweep into \S*out writes them$"):
        read_records(out)


def test_reports_know_every_protocol_and_show_them_in_one_order():
    assert [name for name in report_frame.PROTOCOLS if name in PROTOCOLS] == list(PROTOCOLS)
