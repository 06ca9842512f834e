"""Sequences in studies: their cells say steps, models and data sets must fit, and a permutation is never resampled."""

import json
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

import restool
from restool.data import Batches, load
from restool.errors import ArgumentError, UsageError
from restool.models import ModelSpec
from restool.recipe import Recipe
from restool.report import compare, parse_sides, write_report
from restool.report.tables import comparison
from restool.transfer import StudyConfig, evaluate_model, plan
from restool.transfer.fitting import require_fitting

CPU = torch.device("cpu")
CHOICES = {"model": "flextcn[3]", "dataset": "tones", "train": [32], "test": [16, 48], "epochs": 1, "limit": 32}


@pytest.fixture(scope="module")
def tones():
    return load("tones", limit=32)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("tones")
    result = restool.sweep(StudyConfig(**CHOICES, finetune_epochs=1, recipe=Recipe(batch_size=16)), out)
    assert (result.failed, result.missing) == ([], [])
    return out


def test_a_sweep_of_sequences_is_told_in_steps(swept):
    cells = [json.loads(path.read_text())["cell"] for path in (swept / "records").iterdir()]
    assert {cell["unit"] for cell in cells} == {"steps"}
    assert {cell["resample"] for cell in cells} == {"decimate"}
    assert {cell["protocol"] for cell in cells} == {
        *("source", "requery", "bandlimit", "as-is", "resize", "bn-recalibrate", "finetune")
    }
    text = (swept / "table.md").read_text()
    assert "| 32 steps | requery" in text
    assert "16 steps" in text
    assert "48 steps" in text
    assert " px" not in text
    write_report(swept)
    page = (swept / "report.html").read_text("utf-8")
    assert " px" not in page.replace("48px", "")
    assert "target resolution, steps" in page
    for written in (text, (swept / "table.tex").read_text(), page):
        assert "limited to 32 sequences" in written
        assert "on 32 test sequences" in written
        assert "paired by seed and sequence" in written
        assert not re.search(r"\w images?[ ,.;:]", written)


def test_a_comparison_of_sequences_is_paired_by_sequence(swept):
    found = compare(*parse_sides(f"{swept}:protocol=requery", "protocol=resize"))
    assert "1 seed, 32 test sequences, 2 cells" in found.verdict
    told = comparison(found)
    assert "paired by seed and test sequence. After ± half of the 95 % interval: over seeds and test sequences" in told
    assert "image" not in told


def test_the_cells_of_images_say_neither_unit_nor_resampling():
    config = StudyConfig(model="flexnet[3,4]", train=[8], test=[12], limit=20)
    assert all({"unit", "resample"}.isdisjoint(cell.fields) for cell in plan(config, load("gabors", limit=20)))


def test_how_sequences_are_resampled_is_part_of_the_key(tones):
    config = StudyConfig(**CHOICES)
    keys = [{cell.key for cell in plan(config, replace(tones, resample=how))} for how in ("decimate", "every")]
    assert keys[0].isdisjoint(keys[1])
    with pytest.raises(ArgumentError, match="`resample` must be one of every, decimate, bandlimited, but is 'linear'"):
        StudyConfig(**CHOICES, resample="linear")


@pytest.mark.parametrize(
    ("model", "dataset", "message"),
    [
        (
            "flextcn-2",
            "gabors",
            "flextcn-2 takes sequences, and data set 'gabors' holds images; choose a model of images",
        ),
        ("flexnet-3", "smnist", "flexnet-3 takes images, and data set 'smnist' holds sequences; choose a model of seq"),
        ("torchvision:resnet18", "tones", "torchvision:resnet18 takes images, and data set 'tones' holds sequences"),
    ],
)
def test_a_model_takes_what_the_data_set_holds(model, dataset, message):
    with pytest.raises(UsageError, match=message):
        StudyConfig(model=model, dataset=dataset)


def test_images_are_not_enlarged_where_there_are_none():
    with pytest.raises(ArgumentError, match="`enlarge` must be 1 for sequences, but is 2"):
        StudyConfig(**CHOICES, recipe=Recipe(enlarge=2.0))


def test_a_permutation_is_not_resampled(tones):
    permuted = replace(tones, name="pmnist", native_size=32, fixed="a permutation leaves no order in time to resample")
    message = "pmnist must stay at 32 steps: a permutation leaves no order in time to resample$"
    for choices in ({"train": [16]}, {"test": [16]}):
        with pytest.raises(UsageError, match=message):
            require_fitting(StudyConfig(**CHOICES | {"test": [32]} | choices), permuted)
    require_fitting(StudyConfig(**CHOICES | {"test": [32]}), permuted)
    spec = ModelSpec("flextcn[3]", 9, 1, 32)
    with pytest.raises(UsageError, match=message):
        evaluate_model(spec.build().eval(), spec, permuted, [16], device=CPU)


def test_batches_hold_the_sequences_of_their_rate(tones):
    [(fine, labels)] = Batches(tones, "test", 48, batch_size=32, device=CPU).epoch()
    [(shrunk, same)] = Batches(tones, "test", (48, 16), batch_size=32, device=CPU).epoch()
    assert torch.equal(labels, same)
    levels = (fine * tones.std[0] + tones.mean[0]) * 255
    every = Batches(replace(tones, resample="every"), "test", (48, 16), batch_size=32, device=CPU)
    [(kept, _)] = every.epoch()
    assert torch.allclose((kept * tones.std[0] + tones.mean[0]) * 255, levels[..., 2::3], atol=1e-3)
    assert shrunk.shape == kept.shape
    assert not torch.equal(shrunk, kept)


class Mean(nn.Module):
    """A user's own model of sequences."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, classes)

    def forward(self, sequence):
        return self.head(sequence.mean(2))


def test_a_model_of_the_users_own_takes_sequences_too(tones, monkeypatch):
    monkeypatch.syspath_prepend(".")
    name = "tests_sequences_mean:make"
    module = type(restool)("tests_sequences_mean")
    module.make = Mean
    monkeypatch.setitem(__import__("sys").modules, "tests_sequences_mean", module)
    config = StudyConfig(**CHOICES | {"model": name})
    require_fitting(config, tones)
    assert config.zero_shot == ("as-is", "resize")


class Reconstructing(Mean):
    def auxiliary_loss(self, images):
        return 1e3 + 0 * self.head.weight.sum() * images.sum()


def test_an_auxiliary_loss_is_added_to_that_of_the_labels(tones):
    from restool.training import train

    losses = []
    for make in (Mean, Reconstructing):
        torch.manual_seed(0)
        batches = Batches(tones, "train", 32, batch_size=16, device=CPU)
        [figures] = train(make(9, 1), batches, Recipe(), epochs=1, spec=ModelSpec("x", 9, 1, 32), size=32, seed=0)
        losses.append(figures["loss"])
    assert losses[1] - losses[0] == pytest.approx(1e3)
