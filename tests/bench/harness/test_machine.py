"""Laws of the measured ceilings and of the state a benchmark computes in."""

import pytest
import torch

from restool.bench.harness import machine
from restool.bench.harness.machine import Machine, computing, measure_machine
from restool.devices import device_name


def test_the_ceilings_are_the_fastest_product_and_copy(monkeypatch, quick_machine):
    seconds = iter([4.0] * 3 + [0.5] + [4.0] * 3 + [1.0] * 6 + [0.25])
    monkeypatch.setattr(machine, "stopwatch_for", lambda device: lambda call: (call(), next(seconds))[1])
    found = measure_machine(torch.device("cpu"))
    assert found == Machine(operations_per_second=2 * 32**3 / 0.5, bytes_per_second=2 * 1024 / 0.25)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_stopwatch_of_a_gpu_waits_for_it():
    device = torch.device("cuda")
    matrix = torch.randn(8192, 8192, device=device)
    stopwatch = machine.stopwatch_for(device)
    stopwatch(lambda: matrix @ matrix)
    assert stopwatch(lambda: [matrix @ matrix for _ in range(10)]) > 5 * stopwatch(lambda: matrix @ matrix)


def test_threads_and_precision_are_those_asked_for_and_then_those_of_before():
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with computing(before[0] + 1):
        assert torch.get_num_threads() == before[0] + 1
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before
    with computing(None):
        assert torch.get_num_threads() == before[0]


def test_a_processor_has_a_name():
    assert device_name(torch.device("cpu")).strip()
