"""The law of held memory: what was freed is still this process's, and is not fetched anew."""

import platform
import subprocess
import sys

import pytest

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
