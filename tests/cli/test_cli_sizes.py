"""Sizes that are not typed: a command does exactly what it does where those usual for the data set are typed."""

import json

import pytest

from restool.models import ModelSpec
from restool.training import Checkpoint, save_checkpoint

SEQUENCES = ("--dataset", "tones", "--model", "flextcn[2]", "--limit", "20")
IMAGES = ("--model", "flexnet[2,2]", "--limit", "20")
USUAL = [
    ("sweep", IMAGES, ("--train", "16"), ("--test", "28..36")),
    ("sweep", SEQUENCES, ("--train", "256"), ("--test", "128,512")),
    ("finetune", IMAGES, ("--train", "16"), ("--test", "32")),
    ("finetune", SEQUENCES, ("--train", "256"), ("--test", "512")),
]


@pytest.mark.parametrize(("command", "options", "train", "test"), USUAL)
def test_a_size_that_is_usual_makes_the_same_cells_as_if_typed(restool, here, command, options, train, test):
    def keys(*typed):
        answer = restool(command, *options, *typed, "--protocols", "resize", "--dry-run", "--json")
        assert answer.status == 0, answer.err
        return [cell["key"] for cell in json.loads(answer.out)["cells"]]

    assert keys() == keys(*train) == keys(*test) == keys(*train, *test)
    assert keys("--train", "20") != keys()


def test_a_checkpoint_is_evaluated_and_diagnosed_at_the_usual_targets(restool, here):
    spec = ModelSpec("flextcn[2]", 9, 1, 256)
    save_checkpoint(here / "model.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    options = ("model.safetensors", "--dataset", "tones", "--limit", "10", "--json")
    rows = json.loads(restool("evaluate", *options, "--protocols", "resize").out)["rows"]
    assert [row["target"] for row in rows] == [256, 128, 512]
    found = json.loads(restool("diagnose", *options).out)
    assert (found["source"], found["target"], found["unit"]) == (256, 512, "steps")


@pytest.mark.parametrize(("command", "options", "train", "test"), USUAL)
def test_the_help_tells_the_usual_sizes(restool, monkeypatch, command, options, train, test):
    monkeypatch.setenv("COLUMNS", "200")
    shown = restool(command, "--help").out
    for _, value in (train, test):
        kind = "tones" if options is SEQUENCES else "images"
        assert f"{value} for {kind}" in shown
