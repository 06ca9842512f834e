"""Laws of the measured rates: the fit finds planted rates, a file keeps them, nothing else is touched."""

import json
from dataclasses import replace

import pytest
import torch

from restool.nn import calibration, correlate
from restool.nn.calibration import PROBLEMS, REFERENCE, Observed, rates, rates_file
from restool.nn.cost import Rates, work

CPU, FLOAT = torch.device("cpu"), torch.float32
PLANTED = Rates(
    {"direct": 1e-4, "fft": 5e-4, "basis": 3e-4, "dft": 2e-4},
    {"convolution": 4e-12, "dft": 9e-12, "fft": 3e-10, "mix": 2e-11},
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of rates, and no rates in memory."""
    monkeypatch.setenv("RESTOOL_CACHE", str(tmp_path / "rates"))
    monkeypatch.setattr(calibration, "_known", {})
    return tmp_path / "rates"


@pytest.fixture
def measurements(monkeypatch):
    """Measurements that would have been taken."""
    taken = []
    monkeypatch.setattr(
        calibration, "measure", lambda *which: taken.append(which) or dict.fromkeys((True, False), PLANTED)
    )
    return taken


@pytest.mark.parametrize("training", [True, False])
def test_the_fit_finds_the_rates_that_the_times_were_made_from(training):
    observed = []
    for batch, channels, size, taps, ways in PROBLEMS:
        works = work(
            (batch, channels, size, size),
            (channels, channels, taps, taps),
            hidden=calibration.HIDDEN,
            training=training,
        )
        observed += [Observed(way, works[way].kinds, PLANTED.seconds(way, works[way])) for way in ways]
    found = calibration._fit(observed)
    assert found.call == pytest.approx(dict(PLANTED.call), rel=1e-6)
    assert found.operation == pytest.approx(dict(PLANTED.operation), rel=1e-6)


@pytest.mark.slow
def test_a_measurement_gives_positive_rates_and_draws_no_random_numbers(monkeypatch):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    monkeypatch.setattr(calibration, "STEADY", float("inf"))
    found = calibration.measure(CPU, FLOAT, correlate)
    assert torch.equal(torch.get_rng_state(), before)
    for mode in found.values():
        assert all(rate > 0 for rate in mode.operation.values())
        assert all(0 <= call < 1 for call in mode.call.values())


def test_rates_are_measured_once_and_then_read(folder, measurements, monkeypatch):
    assert rates(CPU, FLOAT, correlate)[True] == PLANTED
    assert rates(CPU, FLOAT, correlate)[False] == PLANTED
    monkeypatch.setattr(calibration, "_known", {})  # as in another process
    assert rates(CPU, FLOAT, correlate)[True] == PLANTED
    assert len(measurements) == 1
    rates(CPU, torch.float64, correlate)
    assert len(measurements) == 2
    assert len(list(folder.iterdir())) == 2


def test_the_file_names_the_device_and_holds_the_rates(folder, measurements):
    rates(CPU, FLOAT, correlate)
    path = rates_file(CPU, FLOAT)
    assert path.parent == folder
    assert path.name.startswith("rates-")
    assert "float32" in path.name
    assert json.loads(path.read_text())["training"]["operation"] == PLANTED.operation


@pytest.mark.parametrize("content", ["", "{", "[]", '{"training": 3}', '{"training": {"call": {}, "operation": {}}}'])
def test_a_damaged_file_is_measured_anew(folder, measurements, content):
    path = rates_file(CPU, FLOAT)
    path.parent.mkdir()
    path.write_text(content)
    assert rates(CPU, FLOAT, correlate)[True] == PLANTED
    assert len(measurements) == 1
    assert json.loads(path.read_text())["training"]["call"] == PLANTED.call


def test_what_another_process_measured_first_serves_all(folder, monkeypatch):
    other = Rates(dict.fromkeys(PLANTED.call, 1.0), dict.fromkeys(PLANTED.operation, 1.0))

    def measured_meanwhile(*_):
        calibration.write(rates_file(CPU, FLOAT), dict.fromkeys((True, False), other))
        return dict.fromkeys((True, False), PLANTED)

    monkeypatch.setattr(calibration, "measure", measured_meanwhile)
    assert rates(CPU, FLOAT, correlate)[True] == other


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, measurements):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESTOOL_CACHE", str(tmp_path / "file" / "rates"))
    monkeypatch.setattr(calibration, "_known", {})
    assert rates(CPU, FLOAT, correlate)[True] == PLANTED
    assert rates(CPU, FLOAT, correlate)[True] == PLANTED
    assert len(measurements) == 1


def test_the_choice_of_a_deterministic_run_rests_on_no_measurement(folder, measurements):
    torch.use_deterministic_algorithms(True)
    try:
        assert rates(CPU, FLOAT, correlate) is REFERENCE
    finally:
        torch.use_deterministic_algorithms(False)
    assert not measurements
    assert not folder.exists()


@pytest.mark.slow
def test_a_first_call_without_gradients_can_measure(folder, monkeypatch):
    monkeypatch.setattr(calibration, "STEADY", float("inf"))
    with torch.inference_mode():
        correlate(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3))
    assert rates_file(CPU, FLOAT).exists()


@pytest.mark.parametrize(("busy", "kept"), [(0.3, True), (0.7, False)])
def test_a_measurement_that_other_work_disturbed_is_not_kept(folder, monkeypatch, busy, kept):
    problems = [Observed(way, work((2, 4, 8, 8), (4, 4, 3, 3), hidden=3)[way].kinds, 1e-3) for way in PLANTED.call] * 25
    disturbed = [replace(seen, spread=2.0 if i < busy * len(problems) else 1.1) for i, seen in enumerate(problems)]
    monkeypatch.setattr(calibration, "_observe", lambda *_: disturbed)
    found = rates(CPU, FLOAT, correlate)
    assert (found is not REFERENCE) == kept
    assert rates_file(CPU, FLOAT).exists() == kept
