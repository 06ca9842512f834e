"""Laws of the cells that workers do beside those of one process: the same numbers, and an honest rate."""

import pytest
import torch

from restool.bench.harness.compare import compare
from restool.bench.harness.timing import Stopwatch
from restool.bench.work.scale import SMALL, Run, ScaleBench
from restool.errors import UsageError
from restool.transfer import Study, StudyConfig


def config(**choices):
    return StudyConfig(**SMALL | {"model": "flexnet[3,4]", "test": (17,), "limit": 10} | choices)


@pytest.mark.slow
def test_workers_do_the_cells_of_one_process(round_machine, one_call, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install 'restool[ray]'")
    monkeypatch.setitem(SMALL, "model", "flexnet[3,4]")
    monkeypatch.setitem(SMALL, "test", (17, 18))
    bench = ScaleBench(workers=(1,), models=2, images=10)
    cases = compare(bench.cases(torch.device("cpu")), round_machine, budget=one_call, stopwatch=Stopwatch())
    ((alone, helped),) = list(cases)
    cells = 2 * (1 + 2 * 5)
    assert [alone["candidate"], helped["candidate"]] == ["one process", "1 worker"]
    assert alone["cells_per_second"] == pytest.approx(cells / alone["median"])
    assert helped["errors"] == {"accuracy": 0.0}
    assert helped["overhead_per_cell"] == pytest.approx((helped["median"] - alone["median"]) / cells, abs=0.02)


def test_a_cell_that_is_missing_or_another_is_an_error():
    whole, half = Run(config(), Study.run, "cpu"), Run(config(), lambda study: study.attempt(*_first(study)), "cpu")
    whole(), half()
    assert whole.deviations(whole)["accuracy"].error == 0.0
    assert half.deviations(whole)["accuracy"].error > 0.0
    other = Run(config(seeds=(1,)), Study.run, "cpu")
    other()
    assert other.deviations(whole)["accuracy"].error > 0.0


def _first(study):
    return study.cells[0], study.trainer.source(study.cells[0].run)


@pytest.mark.parametrize(
    "choices", [{"workers": ()}, {"workers": (0, 1)}, {"workers": (1025,)}, {"models": 0}, {"images": 0}]
)
def test_numbers_out_of_range_are_refused(choices):
    with pytest.raises(UsageError):
        ScaleBench(**choices)
