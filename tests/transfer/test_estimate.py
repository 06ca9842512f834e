"""Laws of the estimate: it counts steps and batches of what is missing, each at the price measured for it."""

import math
from types import SimpleNamespace

import pytest
import torch

from restool.models import ModelSpec
from restool.transfer import estimate as module
from restool.transfer.estimate import MOST_SECONDS, estimate_seconds, price
from restool.transfer.prices import NOTHING, Case, Price

CPU = torch.device("cpu")


@pytest.fixture
def planted(monkeypatch):
    """A function that plants the seconds of cases, and gives the list of those that are measured from then on."""

    def plant(seconds):
        measured = []

        def _measured(study, case: Case) -> Price:
            measured.append(case)
            return Price(*[float(seconds(case))] * 3)

        monkeypatch.setattr(module, "_measured", _measured)
        return measured

    return plant


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what a test adds to `now`."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_nothing_missing_takes_no_time(lab, finished):
    assert estimate_seconds(lab.study(finished)) == NOTHING


def test_a_measurement_is_positive_and_writes_nothing(lab, tmp_path):
    study, before = lab.study(tmp_path), sorted(tmp_path.rglob("*"))
    found = estimate_seconds(study)
    assert 0 < found.low <= found.high < 600
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("epochs", "finetune_epochs"), [(1, 0), (2, 1), (10, 3), (100, 10)])
def test_it_is_steps_validations_tests_and_recalibrations(lab, tmp_path, planted, epochs, finetune_epochs):
    planted(lambda case: 1.0)
    choices = {"epochs": epochs, "finetune_epochs": finetune_epochs, "seeds": (0, 1), "train": (8, 9)}
    cells = lab.plan(**choices)
    trainings = 4 * epochs + 4 * 2 * finetune_epochs  # of four source models with two targets each
    assert sum(cell.protocol == "bn-recalibrate" for cell in cells) == 8
    seconds = (2 + 1) * trainings + len(cells) + 8  # 32 images in 16s, and one batch each of the others
    assert estimate_seconds(lab.study(tmp_path, **choices)) == pytest.approx([seconds] * 3)


def test_trained_models_are_not_trained_again(lab, folder, tmp_path, planted):
    planted(lambda case: 1.0)
    zero_shot = [cell for cell in lab.plan() if cell.protocol != "finetune"]
    for cell in zero_shot:
        (folder / "records" / f"{cell.key}.json").unlink()
    assert estimate_seconds(lab.study(folder)).likely == len(zero_shot) + 2
    assert estimate_seconds(lab.study(tmp_path, protocols=(), finetune_epochs=0)).likely == 2 * (2 + 1) + 1


def test_every_kind_and_size_has_a_price_of_its_own_and_a_seed_none(lab, tmp_path, planted):
    prices = {("train all", 8): 10, ("source", 8): 1e2, ("requery", 10): 1e3, ("requery", 12): 1e4, ("resize", 8): 1e5}
    measured = planted(lambda case: prices[case.kind, case.size])
    study = lab.study(tmp_path, seeds=(0, 1), protocols=("requery", "resize"), finetune_epochs=0)
    expected = 2 * (4 * 10 + 2 * 1e2 + 1e2 + 1e3 + 1e4 + 2 * 1e5)
    assert estimate_seconds(study).likely == pytest.approx(expected)
    assert len(measured) == len(set(measured)) == len(prices)


def test_the_steps_of_a_model_of_several_sizes_cost_what_they_do_on_average(lab, tmp_path, planted):
    planted(lambda case: {6: 10.0, 8: 1.0}[case.size] if case.kind == "train all" else 0.0)
    study = lab.study(tmp_path, train=((6, 8),), test=(12,), protocols=("requery",), finetune_epochs=0)
    assert estimate_seconds(study).likely == pytest.approx(4 * (10 + 1) / 2)


def test_half_a_batch_of_enlarged_images_is_added_in_a_share_of_the_second_half(lab, tmp_path, planted):
    planted(lambda case: {10: 100.0, 12: 1000.0, 8: 10.0}[case.size] if case.kind == "train all" else 0.0)
    study = lab.study(tmp_path, enlarge=1.5, enlarge_share=0.4, test=(12,), protocols=("requery",), finetune_epochs=0)
    assert estimate_seconds(study).likely == pytest.approx(4 * (10 + 0.4 / 4 * (100 + 1000) / 2))


@pytest.mark.parametrize(("reached", "whole"), [(7, False), (8, True), (30, True)])
def test_measuring_ends_when_its_time_is_over_and_the_range_covers_all(lab, tmp_path, planted, clock, reached, whole):
    def seconds(case: Case) -> float:
        clock.now += MOST_SECONDS / (reached - 0.5)
        return (case.source + 3 * case.size) * {"train all": 5, "source": 1, "requery": 2}[case.kind]

    choices = {"train": range(8, 28), "test": range(30, 60), "protocols": ("requery",), "finetune_epochs": 0}
    study, measured = lab.study(tmp_path, **choices), planted(seconds)
    ranged = estimate_seconds(study)
    assert len(measured) == reached
    true = 20 * 4 * 17.5 * (2 * (2 * 5 + 1) + 1)  # two epochs of two steps and a validation, and a test
    true += 20 * 30 * 2 * (17.5 + 3 * 44.5)  # sources and targets are 17.5 and 44.5 px on average
    assert ranged.low < true < ranged.high
    assert math.isfinite(ranged.high) == whole  # the eighth is the last end
    assert not whole or ranged.likely == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("fixed", [0.0, 0.003, 0.02])
@pytest.mark.parametrize("each", [0.0001, 0.004, 0.3])
@pytest.mark.parametrize("images", [1, 3, 64, 100])
def test_the_price_of_a_batch_covers_a_fixed_part_and_one_of_every_image(clock, fixed, each, images):
    counts = []

    def work(count: int) -> None:
        counts.append(count)
        clock.now += fixed + each * count + (9 if len(counts) == 1 else 0)  # the first one loads what it needs

    found = price(work, images, CPU)
    true = fixed + each * images
    assert found.low <= true * (1 + 1e-9)
    assert true <= found.high * (1 + 1e-9)
    assert found.low == pytest.approx(true, rel=1e-9)
    assert max(counts) <= images
    assert clock.now < 9 + 5  # and not the 30 seconds of the dearest batch


def test_a_slower_batch_of_fewer_images_gives_no_negative_seconds(clock):
    taken = iter([9.0, 0.2, 0.15, 0.1])

    def work(count: int) -> None:
        clock.now += next(taken)

    assert price(work, 8, CPU) == pytest.approx((0.1, math.sqrt(0.1 * 0.6), 8 * 0.15 / 2))


@pytest.mark.parametrize("tune", ["all", "head", "bn", "head+bn"])
def test_a_step_of_fine_tuning_is_timed_with_what_it_trains_alone(lab, tmp_path, monkeypatch, tune):
    made = []
    blank = ModelSpec.blank
    monkeypatch.setattr(ModelSpec, "blank", lambda spec: made.append(blank(spec)) or made[-1])
    study = lab.study(tmp_path)
    made.clear()
    found = module._measured(study, Case(f"train {tune}", 10, 10))
    assert found.likely > 0
    trained = {name for name, value in made[0].named_parameters() if value.grad is not None}
    named = {name: name.startswith("head.") for name, _ in made[0].named_parameters()}
    norms = {name for name in named if "norm" in name}
    head = {name for name, is_head in named.items() if is_head}
    assert head
    assert norms
    assert trained == {"all": set(named), "head": head, "bn": norms, "head+bn": head | norms}[tune]
    moved = any(value for name, value in made[0].named_buffers() if name.endswith("num_batches_tracked"))
    assert moved == (tune != "head")


def test_a_cell_is_estimated_by_what_its_fine_tuning_trains(lab, tmp_path, planted):
    planted(lambda case: {"train head": 100.0, "train bn": 1000.0}.get(case.kind, 0.0))
    study = lab.study(tmp_path, tune=("head", "bn"), test=(12,), finetune_epochs=3)
    assert estimate_seconds(study).likely == pytest.approx(3 * 2 * (100 + 1000))
