"""A name chooses one device and no other, and memory that a CPU has freed is not fetched anew."""

import platform
import subprocess
import sys

import pytest
import torch

from restool.bench.work.memory import most_held
from restool.devices import choose_device, device_name, synchronize
from restool.errors import ArgumentError
from restool.transfer.figures import peak_memory, start_peak_memory

CODE = """
import resource, torch
from restool.devices import keep_freed_memory
kept = {kept} and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(6 << 20)  # 24 MiB, 6144 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
[faults() for _ in range(40)]
print(int(kept), min(faults() for _ in range(5)))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_freed_memory_is_not_fetched_anew():
    def run(kept):
        command = [sys.executable, "-c", CODE.format(kept=kept)]
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"MALLOC_TRIM_THRESHOLD_": "0"}
        )
        return [int(number) for number in answer.stdout.split()]

    taken, faults = run(True)
    assert taken == 1
    assert faults < 100
    assert run(False)[1] > 100


@pytest.fixture
def gpus(monkeypatch):
    """Lets torch see a number of GPUs, of which the second is its current one, and notes what is made current."""

    def see(count: int) -> list[str]:
        monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: count)
        monkeypatch.setattr("torch.cuda.current_device", lambda: 1)
        made_current: list[str] = []
        monkeypatch.setattr("torch.cuda.set_device", made_current.append)
        return made_current

    return see


@pytest.mark.parametrize(
    ("name", "chosen"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda:2", "cuda:2")]
)
def test_a_gpu_is_chosen_with_its_number_and_becomes_the_current_one(gpus, name, chosen):
    made_current = gpus(3)
    assert choose_device(name) == torch.device(chosen)
    assert made_current == [chosen]


@pytest.mark.parametrize(("name", "count"), [("cpu", 3), ("cpu", 0), ("auto", 0)])
def test_a_cpu_is_chosen_and_no_gpu_is_touched(gpus, name, count):
    made_current = gpus(count)
    assert choose_device(name) == torch.device("cpu")
    assert made_current == []


@pytest.mark.parametrize(
    "name",
    ["", "tpu", "CUDA", "gpu", "cpu:0", "auto:0", "cuda:", "cuda:-1", "cuda:01", "cuda:00", "cuda:1.0", "cuda: 1"]
    + ["cuda:x", "cuda:²", "cuda:1\n", "cuda:0,1", "cuda:1:2", None, 1, torch.device("cuda:1")],
)
def test_what_is_no_name_of_a_device_is_refused_with_the_rule(gpus, name):
    gpus(3)
    with pytest.raises(ArgumentError) as error:
        choose_device(name)
    assert str(error.value).startswith("`device` must be auto, cpu, cuda or cuda:K, K being the number of a GPU, but ")


@pytest.mark.parametrize("number", ["2", "255", "9" * 5000])
def test_a_gpu_that_torch_does_not_see_is_refused_with_those_that_it_sees(gpus, number):
    for count, seen in ((2, "cuda:0, cuda:1, as torch sees 2 NVIDIA GPUs"), (1, "cuda:0, as torch sees 1 NVIDIA GPU")):
        made_current = gpus(count)
        with pytest.raises(ArgumentError) as error:
            choose_device(f"cuda:{number}")
        assert str(error.value) == f"`device` must be one of {seen}, but is 'cuda:{number}'"
        assert made_current == []


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_is_refused_where_there_is_none(gpus, name):
    gpus(0)
    with pytest.raises(ArgumentError, match="it sees no NVIDIA GPU, but is '" + name + "'; use cpu or auto$"):
        choose_device(name)


def test_what_is_asked_of_a_gpu_is_asked_of_the_one_with_its_number(monkeypatch):
    asked = []

    def note(what):
        return lambda device: asked.append((what, device))

    functions = ["get_device_name", "synchronize", "reset_peak_memory_stats", "max_memory_allocated"]
    for function in functions:
        monkeypatch.setattr(f"torch.cuda.{function}", note(function))
    second = torch.device("cuda:1")
    for ask in (device_name.__wrapped__, synchronize, start_peak_memory, peak_memory, most_held):
        ask(second)
    assert asked == [(function, second) for function in (*functions, "max_memory_allocated")]
