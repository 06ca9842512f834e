"""Laws of the measured rates: the fit finds planted rates, a file keeps them, nothing is measured unasked."""

import json
from dataclasses import replace

import pytest
import torch

from restool.correlation import calibration, correlate, rates
from restool.correlation.calibration import PROBLEMS, Observed, measure
from restool.correlation.cost import Rates, work
from restool.correlation.rates import REFERENCE, DeviceRates, rates_file

CPU, FLOAT = torch.device("cpu"), torch.float32
PLANTED = Rates(
    {"direct": 1e-4, "fft": 5e-4, "basis": 3e-4, "dft": 2e-4},
    {"convolution": 4e-12, "dft": 9e-12, "fft": 3e-10, "mix": 2e-11},
)
BOTH = dict.fromkeys((True, False), PLANTED)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of rates."""
    monkeypatch.setenv("RESTOOL_CACHE", str(tmp_path / "rates"))
    return tmp_path / "rates"


@pytest.fixture
def measurements(monkeypatch):
    """Measurements that would have been taken."""
    taken = []
    monkeypatch.setattr(rates, "measure", lambda *which: taken.append(which) or BOTH)
    return taken


def calibrated(dtype=FLOAT):
    """The rates that a new process knows once it has asked for a measurement."""
    known = DeviceRates()
    known.calibrate(CPU, dtype)
    return known.known(CPU, dtype)


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
@pytest.mark.parametrize("inference", [True, False])
def test_a_measurement_gives_positive_rates_in_any_mode_and_draws_no_random_numbers(monkeypatch, inference):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    monkeypatch.setattr(calibration, "STEADY", float("inf"))
    with torch.inference_mode(inference):
        found = measure(CPU, FLOAT)
    assert torch.equal(torch.get_rng_state(), before)
    for mode in found.values():
        assert all(rate > 0 for rate in mode.operation.values())
        assert all(0 <= call < 1 for call in mode.call.values())


def test_a_choice_measures_nothing_and_rests_on_the_reference_until_the_device_is_calibrated(folder, measurements):
    known = DeviceRates()
    assert known.known(CPU, FLOAT) is REFERENCE
    correlate(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3))
    assert not measurements
    assert not folder.exists()
    known.calibrate(CPU, FLOAT)
    assert known.known(CPU, FLOAT) == BOTH


def test_rates_are_measured_once_and_then_read_by_every_process(folder, measurements):
    assert calibrated() == BOTH
    assert calibrated() == BOTH
    assert DeviceRates().known(CPU, FLOAT) == BOTH
    assert len(measurements) == 1
    calibrated(torch.float64)
    assert len(measurements) == 2
    assert len(list(folder.iterdir())) == 2


def test_the_file_names_the_device_and_holds_the_rates(folder, measurements):
    calibrated()
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
    assert calibrated() == BOTH
    assert len(measurements) == 1
    assert json.loads(path.read_text())["training"]["call"] == PLANTED.call


def test_what_another_process_measured_first_serves_all(folder, monkeypatch):
    other = dict.fromkeys((True, False), Rates(dict.fromkeys(PLANTED.call, 1.0), dict.fromkeys(PLANTED.operation, 1.0)))

    def measured_meanwhile(*_):
        rates.write(rates_file(CPU, FLOAT), other)
        return BOTH

    monkeypatch.setattr(rates, "measure", measured_meanwhile)
    assert calibrated() == other


def test_a_folder_that_cannot_be_written_is_no_error_and_is_measured_once_a_process(
    tmp_path, monkeypatch, measurements
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESTOOL_CACHE", str(tmp_path / "file" / "rates"))
    known = DeviceRates()
    for _ in range(2):
        known.calibrate(CPU, FLOAT)
        assert known.known(CPU, FLOAT) == BOTH
    assert len(measurements) == 1


def test_the_choice_of_a_deterministic_run_rests_on_no_measurement(folder, measurements):
    torch.use_deterministic_algorithms(True)
    try:
        assert calibrated() is REFERENCE
    finally:
        torch.use_deterministic_algorithms(False)
    assert not measurements
    assert not folder.exists()


@pytest.mark.parametrize(("busy", "kept"), [(0.3, True), (0.7, False)])
def test_a_measurement_that_other_work_disturbed_is_not_kept(folder, monkeypatch, busy, kept):
    problems = [Observed(way, work((2, 4, 8, 8), (4, 4, 3, 3), hidden=3)[way].kinds, 1e-3) for way in PLANTED.call] * 25
    disturbed = [replace(seen, spread=2.0 if i < busy * len(problems) else 1.1) for i, seen in enumerate(problems)]
    monkeypatch.setattr(calibration, "_observe", lambda *_: disturbed)
    assert (calibrated() is not REFERENCE) == kept
    assert rates_file(CPU, FLOAT).exists() == kept
