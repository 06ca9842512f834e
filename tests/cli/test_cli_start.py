"""Trained models on the command line: one command for each way people have them, and one line for what is no model."""

import json
import sys

import pytest
import torch
from torch import nn

OWN = "clinets:make"
NETS = """
from torch import nn
def talking(num_classes, in_chans):
    print("building ...")
    return make(num_classes, in_chans)

def make(num_classes, in_chans):
    return nn.Sequential(nn.Conv2d(in_chans, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, num_classes))
"""
QUICK = ("--train", "8", "--test", "12", "--limit", "20", "--protocols", "resize", "--out", "out", "--json")


@pytest.fixture(autouse=True)
def nets(here, monkeypatch):
    (here / "clinets.py").write_text(NETS)
    monkeypatch.setattr(sys, "path", [*sys.path, str(here)])
    yield
    sys.modules.pop("clinets", None)


def network(classes=10):
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)
    )


def test_a_sweep_evaluates_a_file_at_once_and_its_checkpoint_is_evaluated_and_diagnosed_without_it(restool, here):
    torch.save({"model": nn.DataParallel(network()).state_dict()}, "best.pth")
    answer = restool("sweep", "--model", "clinets:talking", "--weights", "best.pth", "--mean", "0.5", *QUICK)
    assert answer.status == 0, answer.err
    rows = json.loads(answer.out)["rows"]  # whatever the factory prints
    assert {(row["epochs"], row["mean"]) for row in rows} == {(0, "[0.5, 0.5, 0.5]")}
    (here / "best.pth").unlink()
    (checkpoint,) = (here / "out" / "checkpoints").iterdir()
    code = ("--model", "clinets:talking")
    found = restool("evaluate", checkpoint, "--test", "12", "--limit", "20", "--protocols", "resize", "--json", *code)
    assert found.status == 0, found.err
    assert [row["accuracy_percent"] for row in json.loads(found.out)["rows"]] == [
        row["accuracy_percent"] for row in rows
    ]
    diagnosed = restool("diagnose", checkpoint, "--to", "12", "--limit", "20", "--json", *code)
    assert diagnosed.status == 0, diagnosed.err


def test_a_new_head_is_fine_tuned_at_the_target(restool):
    torch.save(network(classes=4).state_dict(), "four.pth")
    options = ("--model", OWN, "--weights", "four.pth", *QUICK, "--epochs", "1")
    answer = restool("finetune", *options)
    assert (answer.status, answer.message) == (
        2,
        "four.pth has a head for 4 classes (4.weight), and the data set has 10; --new-head starts it afresh",
    )
    answer = restool("finetune", *options, "--new-head")
    assert answer.status == 0, answer.err
    assert {row["protocol"] for row in json.loads(answer.out)["rows"]} == {"source", "resize", "finetune"}


def test_training_goes_on_from_a_file_where_epochs_are_typed(restool):
    torch.save(network().state_dict(), "best.pth")
    options = ("train", "--model", OWN, "--weights", "best.pth", "--train", "8", "--limit", "20", "--json")
    answer = restool(*options)
    assert (answer.status, answer.message) == (2, "--epochs must be at least 1 for a model that is trained, but is 0")
    answer = restool(*options, "--epochs", "1")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["runs"][0]["source"] == 8


def test_a_partial_match_is_one_line_and_two_that_list_it(restool, here):
    state = network().state_dict()
    del state["0.bias"]
    torch.save(state | {"gate": torch.ones(2)}, "best.pth")
    answer = restool("sweep", "--model", OWN, "--weights", "best.pth", *QUICK)
    assert answer.status == 2
    assert answer.err.splitlines()[-3:] == [
        f"restool: best.pth does not fit {OWN} for 10 classes, 3 channels and 8 px; choose the --model and --train "
        "that it was made with",
        "  missing in the file: 1 (0.bias)",
        "  unknown to the model: 1 (gate)",
    ]
    assert not (here / "out").exists()


@pytest.mark.parametrize(("name", "status"), [("best.pth", 4), ("best.safetensors", 2)])
def test_a_file_of_weights_given_to_evaluate_is_told_where_it_goes(restool, name, status):
    from safetensors.torch import save_file

    (torch.save if name.endswith("pth") else save_file)(network().state_dict(), name)
    answer = restool("evaluate", name)
    what = "is no checkpoint of restool" if status == 4 else "was not written by restool"
    assert (answer.status, answer.message) == (
        status,
        f"{name} {what}; `restool sweep` takes other files as weights of a named model",
    )


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("Storage size calculation overflowed with sizes=[9]"), True),
        (RuntimeError("Some tensors share memory"), False),
    ],
)
def test_memory_is_short_only_where_the_allocator_says_so(restool, monkeypatch, error, is_memory):
    def fail(*given, **choices):
        raise error

    monkeypatch.setattr("restool.cli.sweep.run_grid", fail)
    if is_memory:
        assert restool("sweep").message == "not enough memory; choose smaller sizes, fewer images or smaller batches"
    else:
        with pytest.raises(RuntimeError, match="Some tensors share memory"):
            restool("sweep")
