"""`restool figure kernel`: the numbers it prints are those it writes."""

import json

import pandas as pd
import pytest

from restool.models import ModelSpec
from restool.training import Checkpoint, load_checkpoint, save_checkpoint


def test_the_figure_of_a_kernel_is_written_with_its_numbers(restool, here, monkeypatch):
    answer = restool("figure", "kernel", "--seed", "2", "--out", "out", "--json")
    assert answer.status == 0, answer.err
    printed = json.loads(answer.out)
    assert printed["files"] == [f"out/kernel{name}" for name in (".png", ".pdf", ".csv", "-response.csv")]
    assert sorted(str(path) for path in here.rglob("*.*")) == sorted(str(here / name) for name in printed["files"])
    written = pd.read_csv("out/kernel.csv")
    pd.testing.assert_frame_equal(pd.DataFrame(printed["rows"]), written, atol=1e-6)
    monkeypatch.setattr("restool.report.figures.render", lambda figure, suffix: b"drawn before")
    text = restool("figure", "kernel", "--seed", "2", "--out", "out").out.split()
    assert text[: len(written.columns)] == list(written.columns)
    assert float(text[-1]) == pytest.approx(written["response_error"].iloc[-1], abs=1e-4)


def test_the_kernels_of_a_checkpoint_are_drawn(restool, here):
    spec = ModelSpec("flexnet[3,4]", reference_size=8)
    save_checkpoint(here / "model.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    answer = restool("figure", "kernels", "model.safetensors", "--to", "12", "--out", "out", "--json")
    assert answer.status == 0, answer.err
    printed = json.loads(answer.out)
    assert printed["files"] == [f"out/kernels{name}" for name in (".png", ".pdf", ".csv")]
    assert [row["layer"] for row in printed["rows"]] == ["stem", "blocks.0.conv1", "blocks.0.conv2"]
    assert restool("figure", "kernels", "model.safetensors", "--to", "3").status == 2


def test_causal_kernels_are_drawn_at_twice_the_steps_of_training_and_others_are_refused(restool, here):
    for name, model in (("causal", "flextcn[2]"), ("recurrent", "dilrnn")):
        spec = ModelSpec(model, 9, 1, reference_size=16)
        save_checkpoint(here / f"{name}.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    usual, typed = (
        json.loads(restool("figure", "kernels", "causal.safetensors", *to, "--out", "out", "--json").out)["rows"]
        for to in ((), ("--to", "32"))
    )
    assert usual == typed
    assert [row["layer"] for row in usual] == ["blocks.0.conv1", "blocks.0.conv2"]
    answer = restool("figure", "kernels", "recurrent.safetensors")
    assert answer.message == "recurrent.safetensors must have continuous kernels, but dilrnn has none"


def test_the_training_of_checkpoints_is_drawn(restool, swept, here):
    (checkpoint,) = (swept / "checkpoints").iterdir()
    printed = json.loads(restool("figure", "training", checkpoint, checkpoint, "--out", "out", "--json").out)
    assert printed["files"] == [f"out/training{name}" for name in (".png", ".pdf", ".csv")]
    history = load_checkpoint(checkpoint).history
    assert [row["loss"] for row in printed["rows"]] == pytest.approx([figures["loss"] for figures in history])
    spec = ModelSpec("flexnet[3,4]", reference_size=8)
    save_checkpoint(here / "own.safetensors", Checkpoint(spec=spec, model=spec.build().state_dict()))
    answer = restool("figure", "training", "own.safetensors")
    assert (answer.status, answer.message) == (2, "own.safetensors has no history: it was not trained by restool")
