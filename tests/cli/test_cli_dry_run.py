"""What `--dry-run` says of the time: a range in words, behind a list that does not wait for it."""

import json
import math
import re
import sys
from contextlib import nullcontext

import pytest

from restool.cli.dry_run import UNITS, duration
from restool.transfer.prices import Price


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0, 0, "about 0 s"),
        (40, 75, "about 40 to 75 s"),
        (119, 181, "about 2 to 3 min"),
        (119, 121, "about 2 min"),
        (5_000, 7_300, "about 1.4 to 2 h"),
        (36_000, 129_000, "about 10 to 36 h"),
        (3_000_000, 9_000_000, "about 35 to 104 days"),
        (7_300, math.inf, "more than 2 h"),
        (0, math.inf, "more than 0 s"),
    ],
)
def test_a_range_is_told_in_the_unit_of_its_end(low, high, told):
    assert duration(low, high) == told


def test_a_time_in_words_is_the_time_to_two_digits():
    for power in range(1, 150):
        seconds = 1.1**power
        count, unit = re.fullmatch(r"about ([\d.]+) (\w+)", duration(seconds, seconds)).groups()
        assert float(count) * UNITS[unit] == pytest.approx(
            seconds, rel=0.5 if seconds < 2 else 0.26 if seconds < 9 else 0.05
        )


def test_the_list_is_printed_before_the_time_is_measured(restool, here, study_options, monkeypatch):
    seen = []

    def estimate(study) -> Price:
        seen.append(sys.stdout.getvalue())
        return Price(100.0, 130.0, 170.0)

    monkeypatch.setattr("restool.transfer.estimate_seconds", estimate)
    monkeypatch.setattr("restool.cli.dry_run.models_print_on_stderr", nullcontext)  # to see the stream of results
    answer = restool("sweep", *study_options, "--dry-run")
    assert len(seen[0].splitlines()) == 6
    assert seen[0].endswith("\n0 of 5 cells are done")
    assert answer.out == seen[0] + "; the rest takes about 1.7 to 2.8 min on this device\n"
    told = json.loads(restool("sweep", *study_options, "--dry-run", "--json").out)
    assert [told[f"estimated_{name}seconds"] for name in ("low_", "", "high_")] == [100.0, 130.0, 170.0]


def test_a_time_that_could_not_be_measured_is_null(restool, here, study_options, monkeypatch):
    monkeypatch.setattr("restool.transfer.estimate_seconds", lambda study: Price(100.0, math.inf, math.inf))
    told = json.loads(restool("sweep", *study_options, "--dry-run", "--json").out)
    assert (told["estimated_low_seconds"], told["estimated_high_seconds"]) == (100.0, None)
    assert told["estimated_seconds"] is None
