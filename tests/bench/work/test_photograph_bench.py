"""Laws of the pipelines of photographs: torchvision's and restool's do the same to the same files."""

import pytest
import torch

from restool.bench.harness.compare import InaccurateError, compare
from restool.bench.harness.timing import Stopwatch
from restool.bench.work.photographs import PhotographBench
from restool.data.views import View

BENCH = PhotographBench(sizes=(24,), images=23, batch=6)


def rows(bench, machine, budget):
    cases = compare(bench.cases(torch.device("cpu")), machine, budget=budget, stopwatch=Stopwatch())
    return [row for case in cases for row in case]


def test_both_pipelines_are_measured_and_agree_to_a_grey_level(round_machine, one_call):
    found = rows(BENCH, round_machine, one_call)
    assert [(row["size"], row["candidate"]) for row in found] == [(24, "torchvision"), (24, "restool")]
    assert found[1]["errors"]["pixel"] <= 1e-6
    assert all(row["images_per_second"] == 23 / row["median"] for row in found)


def test_another_view_is_caught(round_machine, one_call, monkeypatch):
    right = View.of_picture
    monkeypatch.setattr(View, "of_picture", lambda view, *rest: right(View(crop_ratio=1.0), *rest))
    with pytest.raises(InaccurateError, match=r"^candidate restool is wrong at 24 px: pixel error "):
        rows(BENCH, round_machine, one_call)
