"""Peak memory of a training step, measured in a process that does nothing else."""

import json
import re
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from restool.bench.harness.machine import computing
from restool.bench.work.candidates import built_in, built_in_names, load_factory, parse_widths
from restool.bench.work.models import make_model, random_inputs, training_step
from restool.correlation import METHODS
from restool.devices import choose_device
from restool.errors import RestoolError

STEPS = 2
"""So many steps are taken, because the second one meets the moments of Adam."""


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """Which step of which candidate; `sigma` as typed, `device` as in `choose_device`, `threads` as in `computing`."""

    candidate: str
    model: str
    size: int
    sigma: str
    batch: int
    device: str
    threads: int | None


def step_memory(request: StepRequest) -> dict[str, int]:
    """Bytes of a new process at its peak, and before its first step, libraries and model included.

    On a CPU all memory of the process counts, on a GPU that of tensors.

    Returns:
        `peak_memory` and `start_memory`.

    Raises:
        RestoolError: the process failed, for example for lack of memory.
    """
    command = [sys.executable, "-m", "restool.bench.work.memory", json.dumps(asdict(request))]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise RestoolError(f"the memory of a step of {request.candidate} could not be measured: {reason}")
    return json.loads(answer.stdout)


def measure(request: StepRequest) -> dict[str, int]:
    """What `step_memory` asks a new process for."""
    device = choose_device(request.device)
    with computing(request.threads):
        [width] = parse_widths(request.sigma)
        model = make_model(request.model, request.size, width)
        if request.candidate in built_in_names(request.model, model, METHODS):
            model = built_in(model, request.candidate)
        else:
            model = load_factory(request.candidate)()
        inputs = random_inputs(request.model, request.batch, request.size, device)
        step = training_step(model.to(device), inputs)
        start = most_held(device)
        for _ in range(STEPS):
            step()
    return {"peak_memory": most_held(device), "start_memory": start}


def most_held(device: torch.device) -> int:
    """Bytes this process has held at most so far.

    Linux counts the parent into `ru_maxrss` of a process it starts, but not into VmHWM.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    high = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text("utf-8"), re.M) if status.exists() else None
    return 1024 * int(high[1]) if high else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(measure(StepRequest(**json.loads(sys.argv[1])))))
