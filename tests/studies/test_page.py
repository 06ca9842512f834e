"""Laws of a study's page: it shows the numbers of the records of its sweeps, with intervals that hold what they say."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from restool import evidence
from restool.recipe import RECIPES
from restool.report import read_records
from restool.studies import read_study, write_page

ROBUST = replace(RECIPES["robust"], learning_rate=0.5).identity


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Body of the table below a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("| ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def page_of(file, tmp_path) -> str:
    files = write_page(read_study(file), tmp_path / "out", read_records(tmp_path / "out"))
    assert {path.name for path in files} == {"README.md", "study.png", "study.pdf"}
    assert all(path.exists() for path in files)
    return (tmp_path / "out" / "README.md").read_text()


def test_a_difference_is_paired_by_seed_and_image(file, write, tmp_path):
    sources, targets = np.array([[1, 1, 1, 1], [1, 1, 1, 0]]), np.array([[1, 1, 0, 1], [0, 1, 0, 0]])
    for seed in range(2):
        write(sources[seed], seed=seed)
        write(targets[seed], seed=seed, target=12, protocol="requery")
    half, at_source = 100 * evidence.difference(targets - sources).half, 100 * evidence.accuracy(sources).half
    page = page_of(file, tmp_path)
    lost = f"-37.5 ± {half:.1f} n.s."
    assert rows_of(page, "Measured") == [["official", "8 px", "requery", "4", "2", f"87.5 ± {at_source:.1f}", lost]]
    assert rows_of(page, "Beside published") == [
        ["a paper", "official", "8 -> 12 px, requery", "-3.5", lost, "4", "2"],
    ]


def test_a_difference_that_is_real_stands_without_a_mark_and_a_missing_seed_is_told(file, write, tmp_path):
    for seed in range(2):
        write([1] * 40, seed=seed)
    write([0] * 30 + [1] * 10, target=12, protocol="requery")
    [row] = rows_of(page_of(file, tmp_path), "Measured")
    half = 100 * evidence.difference([-1] * 30 + [0] * 10).half
    assert row[-1] == f"-75.0 ± {half:.1f} [1 seed]"


def test_after_fine_tuning_the_accuracy_is_shown_and_not_the_difference(file, write, tmp_path):
    write([1, 0, 1, 1], **ROBUST)
    write([1, 1, 1, 1], **ROBUST, target=12, protocol="finetune", finetune_epochs=2)
    page = page_of(file, tmp_path)
    assert rows_of(page, "Measured")[0][2] == "2 epochs there"
    assert rows_of(page, "Measured")[0][-1] == f"100.0 ± {100 * evidence.accuracy([1, 1, 1, 1]).half:.1f}"
    assert [row[:4] for row in rows_of(page, "Beside published")] == [
        ["a talk", "robust", "8 -> 12 px, 2 epochs", "88.5"]
    ]


def test_every_record_stands_with_the_sweep_that_makes_it_and_others_are_left_out(file, write, tmp_path):
    settings = {
        "official": {},
        "robust": ROBUST,
        "mixed": {"train_sizes": "6+8"},
        "another rate": {"learning_rate": 0.02},
        "another penalty": {"alias_penalty": "spectral"},
        "more epochs": {"epochs": 4},
        "other sizes": {"train_sizes": "7+8"},
        "another source": {"source": 9},
        "another model": {"model": "flexnet[3,5]"},
        "all images": {"limit": None},
    }
    for number, fields in enumerate(settings.values()):
        bits = [int(index < number + 1) for index in range(16)]
        size = fields.get("source", 8)
        write(bits, **({"target": size} | fields))
        write(bits, **({"protocol": "requery", "target": 12} | fields))
    table = {row[0]: row[5].split()[0] for row in rows_of(page_of(file, tmp_path), "Measured")}
    assert table == {"official": "6.2", "robust": "12.5", "mixed": "18.8"}


def test_the_page_is_a_pure_function_of_file_and_records(file, write, tmp_path):
    write([1, 0])
    write([0, 0], target=12, protocol="requery")
    first = page_of(file, tmp_path)
    picture = (tmp_path / "out" / "study.png").read_bytes()
    assert page_of(file, tmp_path) == first
    assert (tmp_path / "out" / "study.png").read_bytes() == picture
    assert "Everything." in first
    assert "It does." in first
    assert "not run yet" in first  # the other two sweeps


def test_every_mode_of_fine_tuning_has_its_row(file, write, tmp_path):
    write([1, 0, 1, 1])
    tuned = {"target": 12, "protocol": "finetune", "finetune_epochs": 1}
    write([1, 1, 1, 1], **tuned)
    write([0, 0, 1, 1], **tuned, finetune_tune="head+bn")
    rows = rows_of(page_of(file, tmp_path), "Measured")
    found = {row[2]: row[-1].split()[0] for row in rows}
    assert found == {"1 epoch there": "100.0", "1 epoch there, tune head+bn": "50.0"}


@pytest.mark.slow
def test_the_command_line_prints_the_page_whatever_a_machine_takes_for_text(file, write, tmp_path):
    write([1, 0, 1, 1])
    file.write_text(file.read_text().replace("Does it help?", "Hilft es über 8 px?"), "utf-8")
    posix = os.environ | {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "restool", "study", "page", str(file), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, env=posix, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "Hilft es über 8 px?" in page
    assert done.stdout.decode("utf-8").splitlines()[0] == page.splitlines()[0]
