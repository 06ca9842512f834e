"""Laws of the benchmarks of layers and models: every candidate does the same work, and a wrong one is caught."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from restool.aliasing import penalty
from restool.bench.harness.compare import InaccurateError, compare
from restool.bench.harness.timing import Stopwatch
from restool.bench.work.candidates import METHODS, parse_widths
from restool.bench.work.evaluation import EvalBench
from restool.bench.work.layer import LayerBench
from restool.bench.work.step import StepBench
from restool.errors import UsageError
from restool.nn import ContinuousConv

CPU = torch.device("cpu")
MODEL = "flexnet[4,6]"
LAYER = LayerBench(sizes=(8, 9), widths=parse_widths("initial,whole"), batch=3, channels=(2, 3), candidates=METHODS)
STEP = StepBench(model=MODEL, sizes=(8,), widths=parse_widths("0.3"), batch=3, candidates=METHODS)
EVAL = EvalBench(model=MODEL, source=8, sizes=(8, 11), widths=parse_widths("0.3"), batch=3)


def rows(bench, machine, budget):
    cases = compare(bench.cases(CPU), machine, budget=budget, stopwatch=Stopwatch())
    return [row for case in cases for row in case]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's modules, found in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path, str(tmp_path)])
    (tmp_path / "own_candidates.py").write_text(
        "from torch import nn\n"
        "def layer(i, o):\n    return nn.Conv2d(i, o, 3, padding=1)\n"
        "def strided(i, o):\n    return nn.Conv2d(i, o, 3, padding=1, stride=2)\n"
        "def model():\n"
        "    body = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)\n"
        "    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
    )


@pytest.mark.parametrize("backward", [True, False])
def test_a_layer_is_measured_for_every_width_and_size_by_every_method(round_machine, one_call, backward):
    found = rows(replace(LAYER, backward=backward), round_machine, one_call)
    names = ["conv2d", *METHODS]
    assert [row["candidate"] for row in found] == names * len(LAYER) == names * 4
    places = [(row["sigma"], row["size"], row["taps"]) for row in found[:: len(names)]]
    assert places == [("initial", 8, 1), ("initial", 9, 1), ("whole", 8, 9), ("whole", 9, 9)]
    assert all(row["errors"].keys() == ({"output", "gradient"} if backward else {"output"}) for row in found)
    assert {row["chosen"] for row in found if row["candidate"] == "auto"} <= set(METHODS) - {"auto"}


def test_backward_counts_more_work_than_forward(round_machine, one_call):
    both, alone = (rows(replace(LAYER, backward=value), round_machine, one_call)[0]["floor"] for value in (True, False))
    assert both > 2 * alone


@pytest.mark.parametrize("bench", [LAYER, STEP, EVAL], ids=["layer", "step", "eval"])
def test_a_wrong_engine_is_caught(round_machine, one_call, monkeypatch, bench):
    right = ContinuousConv.forward
    monkeypatch.setattr(ContinuousConv, "forward", lambda self, signal: right(self, signal).roll(1, 3))
    monkeypatch.setattr("restool.transfer.sampled.SampledConv.forward", lambda self, signal: 0 * self.layer(signal))
    with pytest.raises(
        InaccurateError, match=r"^candidate \w+ is wrong at (flexnet\[4,6\], )?8 px, sigma \w+(.3)?: output error"
    ):
        rows(bench, round_machine, one_call)


def test_a_wrong_gradient_of_the_engine_is_caught(round_machine, one_call, monkeypatch):
    right = ContinuousConv.forward
    monkeypatch.setattr(ContinuousConv, "forward", lambda self, signal: right(self, 2 * signal - signal.detach()))
    for bench in (LAYER, STEP):
        with pytest.raises(InaccurateError, match="gradient error"):
            rows(bench, round_machine, one_call)


def test_a_users_layer_is_held_against_its_own_float64_copy(round_machine, one_call, own):
    bench = replace(LAYER, candidates=(), own=("own_candidates:layer",))
    found = rows(bench, round_machine, one_call)
    assert [row["candidate"] for row in found[:2]] == ["conv2d", "own_candidates:layer"]
    assert 0 < found[1]["errors"]["output"] < 1e-5


def test_a_users_layer_of_another_shape_is_refused(round_machine, one_call, own):
    bench = replace(LAYER, candidates=(), own=("own_candidates:strided",))
    with pytest.raises(UsageError, match=r"must map \(3, 2, 8, 8\) to \(3, 3, 8, 8\), but gives \(3, 3, 4, 4\)$"):
        rows(bench, round_machine, one_call)


def test_a_step_is_measured_by_every_method_and_on_the_users_model(round_machine, one_call, own):
    found = rows(replace(STEP, own=("own_candidates:model",)), round_machine, one_call)
    assert [row["candidate"] for row in found] == ["conv2d", *METHODS, "own_candidates:model"]
    assert all(row["errors"].keys() == {"output", "gradient"} for row in found)
    assert all(row["images_per_second"] == 3 / row["median"] for row in found)
    assert all("peak_memory" not in row for row in found)


def test_a_step_with_a_penalty_is_measured_beside_one_without_and_does_its_work(round_machine, one_call, monkeypatch):
    counted = []
    monkeypatch.setattr("restool.bench.work.models.penalty", lambda *told: counted.append(told[1:]) or penalty(*told))
    bench = replace(STEP, candidates=("auto",), penalties=("gabor", "spectral"))
    found = rows(bench, round_machine, one_call)
    assert [row["candidate"] for row in found] == ["conv2d", "auto", "auto+gabor", "auto+spectral"]
    assert set(counted) == {(8, "gabor"), (8, "spectral")}


def test_a_step_trains_in_training_mode_and_leaves_the_weights_as_they_are():
    [case] = replace(STEP, candidates=()).cases(CPU)
    seen = [cell.cell_contents for cell in case.candidates[0].call.__closure__]
    [model] = [value for value in seen if isinstance(value, nn.Module)]
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    statistics = [norm.running_mean.clone() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    case.candidates[0].call()
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is not None for parameter in model.parameters())
    norms = [norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert not any(torch.equal(old, norm.running_mean) for old, norm in zip(statistics, norms, strict=True))


def test_evaluation_compares_kernels_of_every_batch_with_kernels_made_once(round_machine, one_call, own):
    found = rows(replace(EVAL, own=("own_candidates:model",)), round_machine, one_call)
    names = ["conv2d", "conv2d-cached", "restool", "own_candidates:model"]
    assert [(row["size"], row["candidate"]) for row in found] == [(size, name) for size in (8, 11) for name in names]
    assert all(row["errors"].keys() == {"output"} for row in found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(LAYER, batch=0), "`batch` must be at least 1, but is 0"),
        (lambda: replace(LAYER, channels=(3, 0)), "`channels` must be at least 1, but is 0"),
        (lambda: replace(STEP, batch=1), r"`batch` must be at least 2 \(batch norm needs it\), but is 1"),
        (lambda: replace(EVAL, batch=0), "`batch` must be at least 1, but is 0"),
        (
            lambda: replace(STEP, penalties=("gab",)),
            r"`penalties` must be one of gabor, gabor\+mask, spectral, but is 'gab'",
        ),
        (lambda: replace(STEP, model="flexnet-77"), "unknown model 'flexnet-77'; the nearest is 'flexnet-7'.*"),
        (lambda: replace(EVAL, model="flextcn-2"), "flextcn-2 takes sequences, .*; choose an image model"),
        (lambda: replace(EVAL, model="cifar-resnet-32"), "cifar-resnet-32 has no continuous kernels .*"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        make()
