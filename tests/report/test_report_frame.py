"""Records to numbers, against figures worked out by hand, Python's own statistics and SciPy."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

import restool
from restool.errors import DamagedError, MissingDataError, UsageError
from restool.integrity import key_of, sealed
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
    assert row["difference_seed_error_points"] == pytest.approx(statistics.stdev(differences) / math.sqrt(3))
    # the images that every seed loses spread less than that, so the seeds alone decide the interval
    assert row["difference_high_points"] - row["difference_points"] >= (
        stats.t.ppf(0.975, 2) * statistics.stdev(differences) / math.sqrt(3)
    )
    assert row["source_accuracy_percent"] == pytest.approx(92)


def test_the_errors_over_seeds_and_over_images_are_kept_apart(tmp_path, write):
    values = [0.81, 0.85, 0.8, 0.77]
    for seed, value in enumerate(values):
        write(tmp_path, value, seed=seed)
    [row] = cells(tmp_path)
    assert (row["seeds"], row["n"]) == (4, 1000)
    assert row["accuracy_percent"] == pytest.approx(100 * statistics.mean(values))
    assert row["accuracy_seed_error_points"] == pytest.approx(100 * statistics.stdev(values) / math.sqrt(4))
    right = [round(1000 * value) for value in values]  # the first so many images of each seed
    of_images = [sum(image < most for most in right) / 4 for image in range(1000)]
    assert row["accuracy_image_error_points"] == pytest.approx(100 * statistics.stdev(of_images) / math.sqrt(1000))


def test_one_seed_has_wilsons_interval_and_no_error_over_seeds(tmp_path, write):
    write(tmp_path, 0.9, n=400)
    [row] = cells(tmp_path)
    wilson = stats.binomtest(360, 400).proportion_ci(0.95, method="wilson")
    assert row["accuracy_low_percent"] == pytest.approx(100 * wilson.low)
    assert row["accuracy_high_percent"] == pytest.approx(100 * wilson.high)
    assert row["accuracy_image_error_points"] == pytest.approx(1.5, abs=0.01)  # sqrt(0.9 * 0.1 / 400) = 0.015
    assert math.isnan(row["accuracy_seed_error_points"])


def test_two_equal_seeds_are_not_sure_of_the_test_set(tmp_path, write):
    write(tmp_path, 0.9, n=400)
    [one] = cells(tmp_path)
    write(tmp_path, 0.9, n=400, seed=1)
    [two] = cells(tmp_path)
    assert two["accuracy_seed_error_points"] == 0
    lengths = [row["accuracy_high_percent"] - row["accuracy_low_percent"] for row in (one, two)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.02)


def test_p_is_mcnemars_and_corrected_for_the_cells_of_equal_settings_alone(tmp_path, write):
    write(tmp_path, 0.9)
    losses = {28: 5, 32: 8, 36: 30}  # of 1000 images that the source model knows, and none gained
    for target, lost in losses.items():
        write(tmp_path, 0.9 - lost / 1000, target=target, protocol="requery")
    write(tmp_path, 0.8, alias_penalty="gabor")
    write(tmp_path, 0.794, alias_penalty="gabor", target=32, protocol="requery")
    rows = {row["target"]: row for row in cells(tmp_path, protocol="requery", alias_penalty="none")}
    exact = {target: 2 * 0.5**lost for target, lost in losses.items()}
    assert {target: row["p"] for target, row in rows.items()} == pytest.approx(exact)
    assert rows[36]["p_holm"] == pytest.approx(3 * exact[36])
    assert rows[32]["p_holm"] == pytest.approx(2 * exact[32])
    assert rows[28]["p_holm"] == pytest.approx(exact[28])
    [alone] = cells(tmp_path, protocol="requery", alias_penalty="gabor")
    assert alone["p_holm"] == pytest.approx(2 * 0.5**6)


def test_a_source_has_no_difference_from_itself(tmp_path, write):
    write(tmp_path, 0.9)
    [row] = cells(tmp_path)
    assert row["source_accuracy_percent"] == pytest.approx(90)
    assert all(math.isnan(row[name]) for name in ("difference_points", "difference_low_points", "p", "p_holm"))


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


MEND = "`restool check` lists what is damaged and can set it aside, and the same command makes it anew$"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": "abc"}, "must be named after its key, which is abc"),
        ({"cell": None}, "has no cell or no result"),
        ({"timing": None}, "has no timing or no environment"),
        ({"environment": []}, "has no timing or no environment"),
        (
            {"cell": {"model": "flexnet-3", "dataset": "gabors", "source": "16"}},
            "must have cell.source of type int, got '16'",
        ),
        ({"result": {"accuracy": 91.2, "n": 10}}, "must have result.accuracy between 0 and 1, got 91.2"),
        ({"result": {"accuracy": float("nan"), "n": 10}}, "must have result.accuracy between 0 and 1, got nan"),
        ({"result": {"accuracy": 0.9, "n": 0}}, "must have result.n above 0, got 0"),
        ({"result": {"accuracy": 0.5, "n": 8}}, r"must have result.correct of 8 bits in base64 \(.*\)"),
        ({"result": {"accuracy": 0.5, "n": 8, "correct": "?!"}}, r"must have result.correct of 8 bits .*\)"),
        ({"result": {"accuracy": 0.5, "n": 8, "correct": "8PA="}}, r"must have .* \(there are 2 bytes\)"),
        (
            {"result": {"accuracy": 0.6, "n": 8, "correct": "8A=="}},
            "has accuracy 0.6, but 0.5 of its images are correct",
        ),
    ],
)
def test_a_damaged_record_is_named_with_its_mend(tmp_path, write, changes, problem):
    name = damaged(write(tmp_path, 0.9), **changes)
    with pytest.raises(DamagedError, match=rf"^record \S*{name} {problem}; {MEND}"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"format": 1, "ke', "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "is not a record of restool"),
        (b"[" * 200_000, "cannot be read"),
    ],
)
def test_a_foreign_file_is_named_with_its_mend(tmp_path, write, content, problem):
    write(tmp_path, 0.9).with_name("other.json").write_bytes(content)
    with pytest.raises(DamagedError, match=rf"^record \S*other.json {problem}.*; {MEND}"):
        read_records(tmp_path)


def test_a_record_of_another_format_is_for_the_restool_that_wrote_it(tmp_path, write):
    damaged(write(tmp_path, 0.9), format=2)
    with pytest.raises(UsageError, match=r"^record \w+ has format 2, but this restool reads format 1; report it with"):
        read_records(tmp_path)


EDITS = {
    "another size": lambda r: r["cell"].update(target=17),
    "another seed": lambda r: r["cell"].update(seed=7),
    "another setting": lambda r: r["cell"].update(learning_rate=0.02),
    "another model": lambda r: r["cell"].update(model="flexnep-3"),
    "a number beyond 64 bits": lambda r: r["cell"].update(target=10**30),
    "a word for a number": lambda r: r["cell"].update(seed=True),
    "accuracy": lambda r: r["result"].update(accuracy=True),
    "images": lambda r: r["result"].update(n=True),
    "figures": lambda r: r.update(figures={"nll_nats": 1.0}),
    "time": lambda r: r["timing"].update(evaluate_seconds=0.1),
    "where it was made": lambda r: r["environment"].update(device="cuda"),
    "digest": lambda r: r.update(digest="0" * 64),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_whatever_is_changed_in_a_sealed_record_is_found(tmp_path, write, edit):
    path = write(tmp_path, 0.9)
    path.write_text(json.dumps(sealed(json.loads(path.read_text()))))
    assert len(read_records(tmp_path)) == 1
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedError, match=rf"^record \S*{path.name} "):
        read_records(tmp_path)


def test_files_still_being_written_are_no_records(tmp_path, write):
    path = write(tmp_path, 0.9)
    path.with_name(".half.json").write_text("{")
    path.with_name("half.json.tmp").write_text("{")
    assert len(read_records(tmp_path)) == 1


def test_one_cell_in_two_records_is_rejected(tmp_path, write):
    path = write(tmp_path, 0.9)
    record = json.loads(path.read_text())
    record["cell"]["clip"] = None  # as good as absent
    key = record["key"] = key_of(record["cell"])
    path.with_name(f"{key}.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=rf"{key}\.json.*got one cell twice: delete both and run the sweep again$"):
        read_records(tmp_path)


def test_seeds_of_a_cell_must_share_the_number_of_test_images(tmp_path, write):
    write(tmp_path, 0.9)
    write(tmp_path, 0.9, n=990, seed=1)
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


def test_results_are_the_summary_of_a_folder(tmp_path, write):
    write(tmp_path, 0.9)
    pd.testing.assert_frame_equal(restool.results(str(tmp_path)), summarise(read_records(tmp_path)))
