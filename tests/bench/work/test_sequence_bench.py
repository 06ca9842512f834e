"""Laws of the benchmarks on sequences: causal layers by every method, systems beside their plain way."""

from dataclasses import replace

import pytest
import torch

from restool.bench.harness.compare import InaccurateError, compare
from restool.bench.harness.timing import Stopwatch
from restool.bench.work.candidates import METHODS, parse_widths
from restool.bench.work.layer import LayerBench
from restool.bench.work.models import random_inputs
from restool.bench.work.step import StepBench, StepBenches
from restool.errors import UsageError
from restool.models.sequences.lstm import RLSTM
from restool.nn import ContinuousConv

CPU = torch.device("cpu")
LAYER = LayerBench(
    dims=1, sizes=(9, 12), widths=parse_widths("0.3,whole"), batch=3, channels=(2, 3), candidates=METHODS
)
STEP = StepBench(model="flextcn[4]", sizes=(12,), widths=parse_widths("initial"), batch=3, candidates=METHODS)
LSTM = replace(STEP, model="r-lstm")


def rows(bench, machine, budget):
    cases = compare(bench.cases(CPU), machine, budget=budget, stopwatch=Stopwatch())
    return [row for case in cases for row in case]


@pytest.mark.parametrize("backward", [True, False])
def test_a_causal_layer_is_measured_at_every_length_beside_conv1d(round_machine, one_call, backward):
    found = rows(replace(LAYER, backward=backward), round_machine, one_call)
    assert [row["candidate"] for row in found] == ["conv1d", *METHODS] * 4
    places = [(row["sigma"], row["size"], row["unit"], row["taps"]) for row in found[:: 1 + len(METHODS)]]
    assert places == [
        ("0.3", 9, "steps", 3), ("0.3", 12, "steps", 4), ("whole", 9, "steps", 9), ("whole", 12, "steps", 12),
    ]  # fmt: skip
    assert all(row["errors"]["output"] < 1e-5 for row in found)
    assert {row["chosen"] for row in found if row["candidate"] == "auto"} <= {*METHODS} - {"auto"}


@pytest.mark.parametrize("model", ["flextcn[4]", "cktcn-2"])
def test_a_step_with_continuous_kernels_is_measured_by_every_method(round_machine, one_call, model):
    found = rows(replace(STEP, model=model), round_machine, one_call)
    assert [row["candidate"] for row in found] == ["conv1d", *METHODS]
    assert all(row["errors"].keys() == {"output", "gradient"} for row in found)
    assert all((row["model"], row["size"], row["unit"]) == (model, 12, "steps") for row in found)
    assert {row["taps"] for row in found} == {12 if model == "cktcn-2" else 1}
    assert all(row["floor"] > 0 for row in found)
    assert all("images_per_second" not in row for row in found)


@pytest.mark.parametrize(
    ("model", "plain"), [("r-lstm", "loop"), ("ur-gru-zoneout", "loop"), ("self-attention", "plain")]
)
def test_a_system_is_measured_as_it_is_beside_its_plain_way(round_machine, one_call, model, plain):
    found = rows(replace(STEP, model=model), round_machine, one_call)
    assert [row["candidate"] for row in found] == [plain, "restool"]
    assert all(0 < error < 1e-4 for row in found for error in row["errors"].values())
    assert all(row["errors"].keys() == {"output", "gradient"} for row in found)
    assert not {name for row in found for name in row} & {"sigma", "taps", "floor", "times_floor", "chosen"}


def test_a_wrong_system_or_layer_is_caught(round_machine, one_call, monkeypatch):
    right, convolved = RLSTM.features, ContinuousConv.forward
    monkeypatch.setattr(RLSTM, "features", lambda self, sequence: right(self, sequence).roll(1, 2))
    with pytest.raises(InaccurateError, match="^candidate restool is wrong at r-lstm, 12 steps: output error"):
        rows(LSTM, round_machine, one_call)
    monkeypatch.setattr(ContinuousConv, "forward", lambda self, signal: convolved(self, signal).roll(1, 2))
    for bench, place in ((STEP, r"flextcn\[4\], 12"), (LAYER, "9")):
        with pytest.raises(InaccurateError, match=f"^candidate auto is wrong at {place} steps, sigma .*: output"):
            rows(bench, round_machine, one_call)


def test_a_wrong_gradient_of_a_system_is_caught(round_machine, one_call, monkeypatch):
    right = RLSTM.features
    monkeypatch.setattr(RLSTM, "features", lambda self, sequence: right(self, 2 * sequence - sequence.detach()))
    with pytest.raises(InaccurateError, match="gradient error"):
        rows(LSTM, round_machine, one_call)


def test_several_models_are_measured_one_after_another(round_machine, one_call):
    bench = StepBenches([LSTM, replace(STEP, candidates=("auto",), sizes=(9, 12))])
    found = rows(bench, round_machine, one_call)
    assert [(row["model"], row["size"], row["candidate"]) for row in found] == [
        ("r-lstm", 12, "loop"), ("r-lstm", 12, "restool"),
        *(("flextcn[4]", size, name) for size in (9, 12) for name in ("conv1d", "auto")),
    ]  # fmt: skip
    assert (len(bench), bench.settings) == (3, {"model": "r-lstm, flextcn[4]", "batch": 3})


def test_a_penalty_takes_part_where_kernels_are_continuous(round_machine, one_call):
    found = rows(replace(STEP, candidates=(), penalties=("spectral",)), round_machine, one_call)
    assert [row["candidate"] for row in found] == ["conv1d", "auto+spectral"]


def test_the_users_model_meets_sequences_of_one_channel(round_machine, one_call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path, str(tmp_path)])
    (tmp_path / "own_sequences.py").write_text(
        "from torch import nn\ndef model():\n    return nn.Sequential(nn.Flatten(), nn.Linear(12, 10))\n"
    )
    found = rows(replace(LSTM, own=("own_sequences:model",)), round_machine, one_call)
    assert [row["candidate"] for row in found] == ["loop", "restool", "own_sequences:model"]
    assert random_inputs("r-lstm", 3, 12, CPU).shape == (3, 1, 12)


def test_a_system_that_diverges_on_few_steps_says_so(round_machine, one_call, monkeypatch):
    monkeypatch.setattr("restool.models.sequences.time_step", lambda published, steps: 12 * published)
    with pytest.raises(UsageError, match="^the true output is no number .*: the model diverges at this size$"):
        rows(replace(STEP, model="unicornn", sizes=(64,)), round_machine, one_call)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "cornn", "penalties": ("gabor",)},
            "`penalties` must be left out for cornn, .* no continuous kernels",
        ),
        ({"model": "tcn", "widths": parse_widths("initial,whole")}, "`sigma` must be initial for tcn, .*"),
        (
            {"model": "tcn", "widths": parse_widths("0.3")},
            "`sigma` must be initial or whole where there is no mask, .*",
        ),
        ({"model": "flextcn[4]-conv3"}, r"flextcn\[4\]-conv3 has no continuous kernels to compare methods on; .*"),
        ({"model": "torch.nn:Identity"}, "torch.nn:Identity may take images or sequences; bring it as a `candidate`"),
    ],
)
def test_what_a_model_cannot_do_is_refused(change, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        replace(STEP, **change)
