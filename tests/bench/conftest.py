"""A machine with round rates, measured in no time, and budgets of a call or two."""

import pytest

from restool.bench.harness import machine
from restool.bench.harness.budget import Budget
from restool.bench.harness.machine import Machine


@pytest.fixture
def round_machine() -> Machine:
    """A billion operations and a hundred million bytes a second."""
    return Machine(operations_per_second=1e9, bytes_per_second=1e8)


@pytest.fixture
def one_call() -> Budget:
    return Budget(repeats=1)


@pytest.fixture
def quick_machine(monkeypatch) -> None:
    """Ceilings from matrices and buffers so small that they mean nothing."""
    monkeypatch.setattr(machine, "SIDE", 32)
    monkeypatch.setattr(machine, "COPIED", 1024)


@pytest.fixture
def record() -> dict:
    """A record as a benchmark of a layer leaves it, with numbers that are easy to see again."""

    def row(size: int, candidate: str, seconds: float, **more) -> dict:
        return {
            "size": size,
            "sigma": "0.3",
            "taps": size // 2 + 1,
            "candidate": candidate,
            "median": seconds,
            "low": 0.9 * seconds,
            "high": 1.5 * seconds,
            "calls": 30,
            "ratio": 0.1 * size / seconds,
            "first_call": 2 * seconds,
            "errors": {"output": 2e-7, "gradient": 3e-6},
            "floor": size * 1e-4,
            "floor_arithmetic": size * 7.5e-5,
            "times_floor": seconds / (size * 1e-4),
            **more,
        }

    return {
        "format": 1,
        "kind": "layer",
        "settings": {
            "batch": 64, "in_channels": 24, "out_channels": 48, "backward": True, "repeats": 30, "seconds": 5.0,
        },
        "environment": {
            "restool": "0.1.0", "git": None, "python": "3.11.7", "torch": "2.5.0", "torchvision": "0.20.0",
            "device": "A processor", "threads": 2, "load": 0.04,
        },
        "machine": {"operations_per_second": 150e9, "bytes_per_second": 20e9},
        "rows": [
            row(16, "conv2d", 1.6),
            row(16, "auto", 0.0123456, chosen="dft"),
            row(32, "conv2d", 3.2),
            row(32, "auto", 0.1, chosen="basis"),
        ],
    }  # fmt: skip
