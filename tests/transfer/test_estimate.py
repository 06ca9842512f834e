"""Laws of the estimate: it counts steps and batches of what is missing, each at the price measured for it."""

from itertools import count

import pytest

from restool.transfer import estimate as module
from restool.transfer.estimate import estimate_seconds


@pytest.fixture
def prices(monkeypatch):
    """Every measurement costs a second."""
    monkeypatch.setattr(module, "_seconds", lambda work, device: 1.0)


def test_nothing_missing_takes_no_time(lab, finished):
    assert estimate_seconds(lab.study(finished)) == 0


def test_a_measurement_is_positive_and_writes_nothing(lab, tmp_path):
    study, before = lab.study(tmp_path), sorted(tmp_path.rglob("*"))
    seconds = estimate_seconds(study)
    assert 0 < seconds < 600
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(("epochs", "finetune_epochs"), [(1, 0), (2, 1), (10, 3), (100, 10)])
def test_it_is_the_steps_of_training_and_one_batch_a_cell(lab, tmp_path, epochs, finetune_epochs):
    choices = {"epochs": epochs, "finetune_epochs": finetune_epochs, "seeds": (0, 1), "train": (8, 9)}
    cells = len(lab.plan(**choices))
    steps = 4 * epochs * 2 + 4 * 2 * finetune_epochs * 2  # four source models, two targets each, 32 images in 16s
    assert estimate_seconds(lab.study(tmp_path, **choices)) == steps + cells


@pytest.mark.usefixtures("prices")
def test_trained_models_are_not_trained_again(lab, folder, tmp_path):
    zero_shot = [cell for cell in lab.plan() if cell.protocol != "finetune"]
    for cell in zero_shot:
        (folder / "records" / f"{cell.key}.json").unlink()
    assert estimate_seconds(lab.study(folder)) == len(zero_shot)
    assert estimate_seconds(lab.study(tmp_path, protocols=(), finetune_epochs=0)) == 2 * 2 + 1


def test_every_size_has_a_price_of_its_own(lab, tmp_path, monkeypatch):
    prices = count(1)
    monkeypatch.setattr(module, "_seconds", lambda work, device: float(10 ** next(prices)))
    study = lab.study(tmp_path, seeds=(0, 1), protocols=("requery", "resize"), finetune_epochs=0)
    # one for the training step, one for each of the five kinds of test; the second seed is measured no more
    assert estimate_seconds(study) == 2 * (4 * 10 + 100 + 1000 + 10_000 + 100_000 + 1_000_000)


def test_the_steps_of_a_model_of_several_sizes_cost_what_they_do_on_average(lab, tmp_path, monkeypatch):
    prices = iter([10.0, 1.0, 0.0, 0.0])  # of steps at 6 and 8 px, then of tests
    monkeypatch.setattr(module, "_seconds", lambda work, device: next(prices))
    study = lab.study(tmp_path, train=((6, 8),), test=(12,), protocols=("requery",), finetune_epochs=0)
    assert estimate_seconds(study) == pytest.approx(4 * (10 + 1) / 2)


def test_half_a_batch_of_enlarged_images_is_added_in_a_share_of_the_second_half(lab, tmp_path, monkeypatch):
    prices = iter([100.0, 1000.0, 10.0, 0.0, 0.0])  # of steps at 10, 12 and 8 px, then of tests
    monkeypatch.setattr(module, "_seconds", lambda work, device: next(prices))
    study = lab.study(tmp_path, enlarge=1.5, enlarge_share=0.4, test=(12,), protocols=("requery",), finetune_epochs=0)
    assert estimate_seconds(study) == pytest.approx(4 * (10 + 0.4 / 4 * (100 + 1000) / 2))
