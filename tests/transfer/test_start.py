"""Studies of models that come trained: what is tested is the model of the file, and the record says what it was."""

import sys

import pytest
import torch

from restool.data.views import ViewChoices
from restool.errors import ArgumentError, UsageError
from restool.integrity import correct_bits
from restool.interop.weights import hash_of
from restool.models import ModelSpec
from restool.training import load_checkpoint, load_model
from restool.transfer import StudyConfig, evaluate_model, open_study, train_sources
from restool.transfer.fitting import require_fitting
from restool.transfer.preparation import as_trained

OWN = "startnets:make"
NETS = """
from torch import nn
def make(num_classes, in_chans):
    return nn.Sequential(nn.Conv2d(in_chans, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, num_classes))
"""
VIT = "timm:vit_tiny_patch16_224?patch_size=4,depth=1,embed_dim=12"
CHOICES = {"model": OWN, "epochs": None, "finetune_epochs": 0, "protocols": ("resize",), "test": (12,)}


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "startnets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("startnets", None)


def written(path, name=OWN, seed=1, classes=10):
    """A model of the user, whose state lies in a file."""
    torch.manual_seed(seed)
    model = ModelSpec(name, classes, 3, 8).build().eval()
    with torch.no_grad():  # its answers are to depend on the images
        for value in model.parameters():
            value.add_(torch.randn_like(value))
    torch.save({"state_dict": model.state_dict()}, path)
    return model


def correct_by_hand(model, dataset, size, mean, std):
    """Whether each test image is classified as labelled, of grey levels that are normalised as told."""
    split = dataset.split("test", size)
    images = (split.images / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    with torch.no_grad():
        return (model(images).argmax(1) == split.labels).tolist()


def records(lab, folder):
    return {record["cell"]["protocol"]: record for record in lab.records(folder).values()}


def bits(record):
    return correct_bits(record["result"]["correct"], record["result"]["n"]).tolist()


def test_a_model_that_comes_trained_is_evaluated_at_once_and_needs_its_file_no_more(lab, tmp_path):
    file, out = tmp_path / "best.pth", tmp_path / "out"
    model = written(file)
    assert lab.run(out, weights=file, **CHOICES) == []
    found = records(lab, out)
    assert found["source"]["cell"]["weights"] == hash_of(file)
    assert found["source"]["cell"]["epochs"] == 0
    assert bits(found["source"]) == correct_by_hand(model, lab.dataset, 8, lab.dataset.mean, lab.dataset.std)
    (checkpoint,) = (out / "checkpoints").iterdir()
    file.unlink()
    copied, stored = load_model(checkpoint, model=OWN)
    rows = evaluate_model(copied, stored.spec, lab.dataset, [12], protocols=["resize"], device=torch.device("cpu"))
    assert [row["accuracy_percent"] / 100 for row in rows] == [
        pytest.approx(found[name]["result"]["accuracy"]) for name in ("source", "resize")
    ]


def test_fine_tuning_starts_from_the_file_and_its_checkpoint_needs_it_no_more(lab, tmp_path):
    file, out = tmp_path / "best.pth", tmp_path / "out"
    written(file)
    choices = CHOICES | {"finetune_epochs": 1, "learning_rate": 1e-12}
    assert lab.run(out, weights=file, **choices) == []
    cells = lab.plan(weights=file, **choices)
    (tuned,) = [cell for cell in cells if cell.protocol == "finetune"]
    state = torch.load(file)["state_dict"]
    file.unlink()
    stored = load_model(out / "checkpoints" / f"{tuned.key}.safetensors", model=OWN)[0].state_dict()
    for key, value in state.items():  # at a rate of next to nothing
        torch.testing.assert_close(stored[key], value, rtol=0, atol=1e-6)


def test_training_goes_on_from_the_file_where_epochs_are_asked_for(lab, tmp_path):
    file = tmp_path / "best.pth"
    written(file)
    lab.run(tmp_path / "out", weights=file, **CHOICES | {"epochs": 1, "learning_rate": 1e-12})
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    stored = load_checkpoint(checkpoint)
    assert stored.epoch == 1
    for key, value in torch.load(file)["state_dict"].items():
        torch.testing.assert_close(stored.model[key], value, rtol=0, atol=1e-6)


def test_the_content_of_the_file_is_part_of_the_key_and_its_name_is_not(lab, tmp_path):
    written(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes())
    written(tmp_path / "c.pth", seed=2)
    a, b, c = (
        [cell.key for cell in lab.plan(weights=tmp_path / name, **CHOICES)] for name in ("a.pth", "b.pth", "c.pth")
    )
    assert a == b
    assert not set(a) & set(c)


def test_a_file_that_changes_meanwhile_ends_in_failed_cells(lab, tmp_path):
    file, progress = tmp_path / "best.pth", lab.progress()
    written(file)
    study = lab.study(tmp_path / "out", progress, weights=file, **CHOICES)
    written(file, seed=2)
    study.run()
    assert len(study.failed) == 2
    assert "best.pth has changed since this command began; run it again" in progress.failures[0][1]


def test_a_model_of_the_library_starts_from_a_file_too(lab, tmp_path):
    model = written(tmp_path / "a.pth", "flexnet[3,4]")
    lab.run(tmp_path / "out", weights=tmp_path / "a.pth", **CHOICES | {"model": "flexnet[3,4]"})
    expected = correct_by_hand(model, lab.dataset, 8, lab.dataset.mean, lab.dataset.std)
    assert bits(records(lab, tmp_path / "out")["source"]) == expected


@pytest.mark.parametrize(
    ("typed", "mean", "std"),
    [
        ({}, [0.5] * 3, [0.5] * 3),
        ({"mean": (0.1, 0.2, 0.3)}, [0.1, 0.2, 0.3], [0.5] * 3),
        ({"mean": (0.2,), "std": (0.4,)}, [0.2] * 3, [0.4] * 3),
    ],
)
def test_a_trained_model_of_a_library_gets_its_own_mean_and_std_unless_others_are_asked_for(
    lab, tmp_path, typed, mean, std
):
    pytest.importorskip("timm")
    model = written(tmp_path / "vit.pth", VIT)
    lab.run(tmp_path / "out", weights=tmp_path / "vit.pth", **CHOICES | {"model": VIT}, **typed)
    record = records(lab, tmp_path / "out")["source"]
    assert (record["cell"]["mean"], record["cell"]["std"]) == (mean, std)
    assert bits(record) == correct_by_hand(model, lab.dataset, 8, mean, std)
    own = correct_by_hand(model, lab.dataset, 8, lab.dataset.mean, lab.dataset.std)
    assert bits(record) != own  # so it matters
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    moved = as_trained(lab.dataset, load_checkpoint(checkpoint).facts, ViewChoices())
    assert (list(moved.mean), list(moved.std)) == (mean, std)


def test_what_nothing_is_asked_of_is_normalised_as_the_data_set_says(lab):
    (cell, *_) = lab.plan(model=OWN)
    assert not {"mean", "std", "weights", "new_head"} & cell.fields.keys()
    assert as_trained(lab.dataset, cell.fields, ViewChoices()) == lab.dataset
    (cell, *_) = lab.plan(model=OWN, std=(0.25,))
    assert (cell.fields["mean"], cell.fields["std"]) == (list(lab.dataset.mean), [0.25] * 3)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"new_head": True}, "^`new_head` needs `weights`, whose head it replaces$"),
        ({"weights": "a.pth", "new_head": True}, "^`new_head` must be trained, but `epochs` is 0; give it at least 1$"),
        ({"mean": ()}, r"^`mean` must hold numbers, one or one for each channel, but is \(\)$"),
        ({"mean": "0.5"}, "^`mean` must hold numbers, one or one for each channel, but is '0.5'$"),
        ({"std": (0.5, 0.0, 0.5)}, r"^`std` must hold numbers above 0, but is \(0.5, 0.0, 0.5\)$"),
    ],
)
def test_what_cannot_be_meant_is_refused(choices, message):
    with pytest.raises(UsageError, match=message):
        StudyConfig(model="flexnet[3,4]", **choices)


def test_numbers_for_other_channels_are_refused(lab):
    with pytest.raises(ArgumentError, match="^`mean` must hold 1 or 3 numbers for gabors, but is '0.1,0.2'$"):
        lab.plan(mean=(0.1, 0.2))


def test_weights_are_tried_before_anything_is_trained(lab, tmp_path):
    written(tmp_path / "a.pth", classes=7)
    config = lab.config(weights=tmp_path / "a.pth", **CHOICES)
    with pytest.raises(UsageError, match="^a.pth has a head for 7 classes .4.weight., and the data set has 10; `new_h"):
        require_fitting(config, lab.dataset)
    choices = CHOICES | {"finetune_epochs": 1, "new_head": True}
    require_fitting(lab.config(weights=tmp_path / "a.pth", **choices), lab.dataset)
    (cell, *_) = lab.plan(weights=tmp_path / "a.pth", **choices)
    assert cell.fields["new_head"] is True


def test_a_librarys_head_for_other_classes_is_never_tested_untrained(lab):
    config = lab.config(**CHOICES | {"model": "torchvision:resnet18?weights=DEFAULT", "train": (32,), "test": (32,)})
    assert config.source_epochs == 0
    message = "DEFAULT is trained for 1,000 classes and gabors has 10, so its head is new; train it for `epochs` of at"
    with pytest.raises(UsageError, match=message):
        require_fitting(config, lab.dataset)


def test_sources_that_nothing_is_trained_of_have_checkpoints_too(tmp_path):
    written(tmp_path / "a.pth")
    config = StudyConfig(model=OWN, weights=tmp_path / "a.pth", train=(8,), test=(8,), limit=32)
    result = train_sources(config, tmp_path / "out", device="cpu")
    (row,) = result.rows
    assert row["source"] == 8
    assert load_checkpoint(row["checkpoint"]).history == []
    assert open_study(config, tmp_path / "out").runs == result.runs
