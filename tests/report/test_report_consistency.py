"""Consistency of a model with itself at the source: what kept logits say, and what is said where there are none."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import restool
from restool.errors import ArgumentError, DamagedError
from restool.evidence import calibration_error
from restool.records import ResultsFolder
from restool.report import consistency, read_records, write_report

IMAGES, CLASSES = 200, 3


@pytest.fixture
def kept(tmp_path, write):
    """Two seeds at the source, at 32 px and, without logits, at 28 px; logits and what is correct by both."""
    folder, logits, correct = ResultsFolder(tmp_path), {}, {}
    rng = np.random.default_rng(0)
    for seed in range(2):
        for target, protocol in ((16, "source"), (32, "requery"), (28, "requery")):
            path = write(tmp_path, 0.8 if target == 16 else 0.7, IMAGES, seed=seed, target=target, protocol=protocol)
            correct[seed, target] = np.arange(IMAGES) < IMAGES * (0.8 if target == 16 else 0.7)
            if target != 28:
                logits[seed, target] = rng.normal(scale=2, size=(IMAGES, CLASSES)).astype(np.float32)
                folder.write_logits(path.stem, logits[seed, target])
    return tmp_path, logits, correct


def test_a_row_is_what_its_logits_say(kept):
    out, logits, correct = kept
    [row] = consistency(out, read_records(out)).to_dict("records")
    assert (row["source"], row["protocol"], row["target"], row["seeds"], row["n"]) == (16, "requery", 32, 2, IMAGES)
    probabilities = {place: special.softmax(each.astype(float), axis=1) for place, each in logits.items()}
    alike, apart, over, errors = [], [], {16: [], 32: []}, {16: [], 32: []}
    for seed in range(2):
        here, own = probabilities[seed, 32], probabilities[seed, 16]
        alike.append((here.argmax(1) == own.argmax(1)).mean())
        apart.append(stats.entropy(own, here, axis=1).mean())  # KL(source || target)
        for target in (16, 32):
            sure, right = probabilities[seed, target].max(1), correct[seed, target]
            over[target].append(sure.mean() - right.mean())
            errors[target].append(calibration_error(sure, right))
    assert row["agreement_percent"] == pytest.approx(100 * np.mean(alike))
    assert row["divergence_nats"] == pytest.approx(np.mean(apart))
    assert row["overconfidence_points"] == pytest.approx(100 * np.mean(over[32]))
    assert row["source_overconfidence_points"] == pytest.approx(100 * np.mean(over[16]))
    assert row["calibration_error_points"] == pytest.approx(100 * np.mean(errors[32]))
    assert row["source_calibration_error_points"] == pytest.approx(100 * np.mean(errors[16]))
    for figure in ("agreement_{}percent", "divergence_{}nats", "overconfidence_{}points"):
        assert row[figure.format("low_")] < row[figure.format("")] < row[figure.format("high_")]


def test_the_report_shows_it_in_every_form(kept):
    out, _, _ = kept
    write_report(out)
    frame = restool.results(out, "consistency")
    written = pd.read_csv(out / "consistency.csv")
    assert written["agreement_percent"][0] == pytest.approx(frame["agreement_percent"][0], abs=1e-5)
    told = f"{frame['agreement_percent'][0]:.1f} ± "
    assert told in (out / "table.md").read_text()
    assert told in (out / "report.html").read_text()


def test_without_logits_nothing_is_said_and_an_older_table_goes(kept):
    out, _, _ = kept
    write_report(out)
    for path in (out / "logits").iterdir():
        path.unlink()
    write_report(out)
    assert restool.results(out, "consistency").empty
    assert not (out / "consistency.csv").exists()
    assert "Consistency" not in (out / "table.md").read_text() + (out / "report.html").read_text()


def test_a_seed_without_its_source_is_left_out(kept):
    out, logits, _ = kept
    [path] = [path for path in (out / "records").iterdir() if json.loads(path.read_text())["cell"]["target"] == 16
              and json.loads(path.read_text())["cell"]["seed"] == 1]  # fmt: skip
    (out / "logits" / f"{path.stem}.npz").unlink()
    [row] = consistency(out, read_records(out)).to_dict("records")
    alike = logits[0, 32].argmax(1) == logits[0, 16].argmax(1)
    assert (row["seeds"], row["agreement_percent"]) == (1, pytest.approx(100 * alike.mean()))


def test_logits_that_are_no_numbers_are_blank(kept):
    out, logits, _ = kept
    for path in (out / "records").iterdir():
        cell = json.loads(path.read_text())["cell"]
        if (cell["seed"], cell["target"]) == (0, 32):
            logits[0, 32][3] = np.nan
            ResultsFolder(out).write_logits(path.stem, logits[0, 32])
    [row] = consistency(out, read_records(out)).to_dict("records")
    assert row["seeds"] == 2
    assert np.isnan(row["agreement_percent"])
    write_report(out)
    assert "nan" not in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("cut", "is damaged"),
        ("text", "is damaged"),
        ("array", "is damaged"),
        ("bits", "is damaged"),
        ("fewer", "not of 200"),
    ],
)
def test_damaged_logits_are_named(kept, damage, reason):
    out, _, _ = kept
    path = sorted((out / "logits").iterdir())[0]
    if damage == "fewer":
        ResultsFolder(out).write_logits(path.stem, np.zeros((3, CLASSES), np.float32))
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros((IMAGES, CLASSES), np.float32))
    else:
        whole = path.read_bytes()
        flipped = whole[:500] + bytes(255 - byte for byte in whole[500:520]) + whole[520:]
        path.write_bytes({"cut": whole[:-40], "bits": flipped, "text": b"text"}[damage])
    with pytest.raises(DamagedError, match=rf"{path.name} is .*{reason.removeprefix('is ')}"):
        consistency(out, read_records(out))


def test_a_reader_asks_for_one_of_the_tables(kept):
    out, _, _ = kept
    assert "accuracy_percent" in restool.results(out)
    assert "area_points" in restool.results(out, "curve")
    with pytest.raises(ArgumentError, match="must be one of accuracy, curve, consistency, top5, .*, but is 'area'"):
        restool.results(out, "area")
