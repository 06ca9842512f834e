"""Laws of the peak memory: that of a step in a process of its own, not of the process that asks."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from restool.bench.work.memory import StepRequest, measure, most_held, step_memory
from restool.errors import RestoolError

REQUEST = StepRequest(
    candidate="conv2d", model="flexnet[4,6]", size=8, sigma="initial", batch=2, device="cpu", threads=1
)
MEGABYTE = 2**20


def test_what_is_let_go_of_still_counts():
    before = most_held(torch.device("cpu"))
    bytearray(b"x") * (before + 64 * MEGABYTE)
    assert most_held(torch.device("cpu")) >= before + 64 * MEGABYTE


def test_a_step_is_measured_on_every_kind_of_candidate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    (tmp_path / "own_memory.py").write_text(
        "from torch import nn\n"
        "def model():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 10))\n"
    )
    for candidate in ("conv2d", "fft", "own_memory:model"):
        found = measure(replace(REQUEST, candidate=candidate))
        assert found["peak_memory"] >= found["start_memory"] > MEGABYTE


def test_a_step_on_sequences_is_measured_too():
    for model, candidate in (("dilrnn", "loop"), ("flextcn[4]", "conv1d")):
        found = measure(replace(REQUEST, model=model, candidate=candidate))
        assert found["peak_memory"] >= found["start_memory"] > MEGABYTE


@pytest.mark.slow
def test_the_memory_of_the_asking_process_does_not_count():
    held = bytearray(b"x") * (2 * 2**30)
    found = step_memory(REQUEST)
    assert found["start_memory"] <= found["peak_memory"] < len(held)


@pytest.mark.slow
def test_a_larger_batch_takes_more_memory():
    small, large = (step_memory(replace(REQUEST, size=32, batch=batch)) for batch in (2, 512))
    activation = 512 * 4 * 32 * 32 * 4  # at least two of the stem's outputs are kept for the gradient
    assert large["peak_memory"] - small["peak_memory"] > 2 * activation


@pytest.mark.slow
def test_a_process_that_fails_says_why():
    with pytest.raises(RestoolError, match=r"^the memory of a step of conv2d could not be measured: .*unknown model"):
        step_memory(replace(REQUEST, model="x-net"))


def test_a_process_that_is_killed_says_so(monkeypatch):
    killed = subprocess.CompletedProcess([], -9, stdout="", stderr="")
    monkeypatch.setattr("restool.bench.work.memory.subprocess.run", lambda *_, **__: killed)
    with pytest.raises(RestoolError, match="could not be measured: exit status -9$"):
        step_memory(REQUEST)
