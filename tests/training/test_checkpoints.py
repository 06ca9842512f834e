"""Laws of checkpoint files: an exact round trip, always whole, and one line for everything that can be wrong."""

import json
import math
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from restool import files
from restool.errors import DamagedError, MissingDataError, UsageError
from restool.models import MODELS, ModelSpec
from restool.training import Checkpoint, load_checkpoint, load_model, read_digest, save_checkpoint
from restool.training.checkpoints import CHECKPOINT_FORMAT
from restool.training.optimizer import make_optimizer

SPEC = ModelSpec("flexnet[3,4]", 5, 1, 9)


def written(folder, spec=SPEC):
    path = folder / "a.safetensors"
    save_checkpoint(path, Checkpoint(spec=spec, model=spec.build().state_dict()))
    return path


def forged(folder, header):
    """A file whose header is not what restool writes."""
    path = folder / "forged.safetensors"
    save_file({"model.weight": torch.ones(2)}, path, metadata=header)
    return path


SMALL = ["flexnet[2,3]", "flexnet[2,3]-conv33", "flexnet[2,3]-siren", "flextcn[3]", "flextcn[2,3]-ckconv-fourier"]


@pytest.mark.parametrize("name", [*MODELS, *SMALL])
def test_a_model_survives_the_round_trip_to_the_bit(tmp_path, name):
    spec = ModelSpec(name, classes=7, channels=2, reference_size=12)
    torch.manual_seed(0)
    model = spec.build().eval()
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint(spec=spec, model=model.state_dict()))
    restored, checkpoint = load_model(path)
    assert checkpoint.spec == spec
    assert not restored.training
    before, after = model.state_dict(), restored.state_dict()
    assert after.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(after[key], value)
        assert after[key].dtype == value.dtype
    assert str(restored) == str(model)


def test_everything_else_survives_too(tmp_path):
    history = [{"loss": 0.1 + 0.2, "accuracy": 1 / 3}, {"loss": 5e-324, "accuracy": 1.0}]
    facts = {"seed": 3, "dataset": "gabors", "limit": None, "rate": 0.1, "sizes": [1, 2], "name": "päper"}
    optimizer = {0: {"step": torch.tensor(4.0), "exp_avg": torch.rand(3, 2)}, 11: {"step": torch.tensor(4.0)}}
    model = {"a.b": torch.rand(2, 3).T, "n": torch.tensor(7), "half": torch.rand(2).half()}
    before = Checkpoint(spec=SPEC, model=model, epoch=2, history=history, optimizer=optimizer, facts=facts)
    save_checkpoint(tmp_path / "deep" / "er" / "a.safetensors", before)
    after = load_checkpoint(str(tmp_path / "deep" / "er" / "a.safetensors"))
    assert (after.spec, after.epoch, after.history, after.facts) == (SPEC, 2, history, facts)
    assert after.model.keys() == model.keys()
    assert all(torch.equal(after.model[key], value) for key, value in model.items())
    assert {index: set(state) for index, state in after.optimizer.items()} == {0: {"step", "exp_avg"}, 11: {"step"}}
    assert all(
        torch.equal(after.optimizer[index][key], value)
        for index, state in optimizer.items()
        for key, value in state.items()
    )


def test_a_restored_optimizer_takes_the_same_next_step(tmp_path):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    images, model, other = torch.rand(4, 1, 9, 9), SPEC.build().eval(), SPEC.build().eval()
    optimizer, other_optimizer = make_optimizer(model, 0.01), make_optimizer(other, 0.01)
    step(model, optimizer)
    step(model, optimizer)
    state = optimizer.state_dict()["state"]
    save_checkpoint(tmp_path / "a", Checkpoint(spec=SPEC, model=model.state_dict(), optimizer=state))
    checkpoint = load_checkpoint(tmp_path / "a")
    other.load_state_dict(checkpoint.model)
    checkpoint.restore_optimizer(other_optimizer)
    step(model, optimizer)
    step(other, other_optimizer)
    assert [group["base"] for group in other_optimizer.param_groups] == pytest.approx([0.01, 0.001])
    for actual, expected in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(actual, expected)


def full_disk(descriptor):
    os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
    raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = written(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*a\.safetensors'$"):
        written(tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_rename_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = written(tmp_path)
    before = path.read_bytes()

    def refuse(source, target):
        assert source.parent == path.parent  # another file system could not be renamed from
        load_checkpoint(source)  # whole before it takes the place
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        written(tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"^no checkpoint at .*gone\.safetensors; `restool ls runs` lists those"):
        load_checkpoint(tmp_path / "gone.safetensors")
    with pytest.raises(MissingDataError, match="^no checkpoint at "):
        load_checkpoint(tmp_path)  # a folder is none


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999])
@pytest.mark.parametrize(("folder", "mend"), [("checkpoints", "`restool check` lists"), ("mine", "copy, tr")])
def test_a_truncated_checkpoint_is_called_damaged_and_only_our_own_is_made_again(tmp_path, share, folder, mend):
    (tmp_path / folder).mkdir()
    path = written(tmp_path / folder)
    content = path.read_bytes()
    path.write_bytes(content[: math.floor(share * len(content))])
    with pytest.raises(MissingDataError, match=rf"^a\.safetensors is damaged or no safetensors file; {mend}[^\n]*$"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"no tensors here" * 20, b"PK\x03\x04" + bytes(200)], ids=["text", "zip"])
def test_a_file_of_another_kind_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    message = "^a.pt is no checkpoint of restool; `restool sweep` takes other files as `weights` of a named model$"
    with pytest.raises(MissingDataError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize("header", [None, {"format": "pt"}], ids=["none", "another"])
def test_a_foreign_safetensors_file_is_told_apart(tmp_path, header):
    message = (
        r"^forged\.safetensors was not written by restool; `restool sweep` takes other files as `weights` of a named"
    )
    with pytest.raises(UsageError, match=message):
        load_checkpoint(forged(tmp_path, header))


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "{}", json.dumps({"format": CHECKPOINT_FORMAT})])
def test_a_damaged_header_is_told_apart(tmp_path, text):
    message = r"^forged\.safetensors has a damaged header; copy, train or import it again$"
    with pytest.raises(MissingDataError, match=message):
        load_checkpoint(forged(tmp_path, {"restool": text}))


def rewritten(path, change, *, digest=True):
    """The same file with other tensors and another header, `change(header, tensors)`."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["restool"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    if not digest:
        header.pop("digest")
    save_file(tensors, path, metadata={"restool": json.dumps(header)})


CHANGES = {
    "a weight": lambda header, tensors: tensors["model.head.bias"].add_(2**-20),
    "the sign of a zero": lambda header, tensors: tensors["model.zeros"].neg_(),
    "a dtype": lambda header, tensors: tensors.update({"model.head.bias": tensors["model.head.bias"].half()}),
    "a shape": lambda header, tensors: tensors.update({"model.head.bias": tensors["model.head.bias"][None]}),
    "a name": lambda header, tensors: tensors.update({"model.head.biat": tensors.pop("model.head.bias")}),
    "two tensors": lambda header, tensors: tensors.update(
        {"model.zeros": tensors["model.ones"], "model.ones": tensors["model.zeros"]}
    ),
    "no moments": lambda header, tensors: tensors.pop("optimizer.0.step"),
    "the history": lambda header, tensors: header["history"].pop(),
    "the epoch": lambda header, tensors: header.update(epoch=1),
    "a fact": lambda header, tensors: header["facts"].update(seed=1),
    "the model": lambda header, tensors: header["spec"].update(name="flexnet[3,5]"),
    "the digest": lambda header, tensors: header.update(digest="0" * 64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_changed_in_a_checkpoint_is_found(tmp_path, change):
    path = tmp_path / "a.safetensors"
    model = SPEC.build().state_dict() | {"zeros": torch.zeros(5), "ones": torch.ones(5)}
    optimizer = {0: {"step": torch.tensor(4.0)}}
    history = [{"loss": 0.5}, {"loss": 0.25}]
    save_checkpoint(
        path, Checkpoint(spec=SPEC, model=model, epoch=2, history=history, optimizer=optimizer, facts={"seed": 0})
    )
    rewritten(path, lambda header, tensors: None)
    assert load_checkpoint(path).digest == read_digest(path)
    rewritten(path, change)
    with pytest.raises(DamagedError, match=r"^a\.safetensors was changed after it was written; copy, train or import"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda header, tensors: tensors["model.head.weight"].fill_(math.nan), "holds weights that are no numbers"),
        (lambda header, tensors: header["history"].append({}), "has 2 epochs in its history and not 1"),
    ],
)
def test_one_of_the_first_checkpoints_which_have_no_digest_is_held_to_the_rest(tmp_path, change, problem):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint(spec=SPEC, model=SPEC.build().state_dict(), epoch=1, history=[{"loss": 1.0}]))
    rewritten(path, lambda header, tensors: None, digest=False)
    assert load_model(path)[1].digest == ""
    rewritten(path, change)
    with pytest.raises(DamagedError, match=rf"^a\.safetensors {problem}"):
        load_checkpoint(path)


def test_weights_of_another_precision_are_not_cast_in_silence(tmp_path):
    path = written(tmp_path)
    rewritten(
        path, lambda _, tensors: tensors.update({k: v.half() for k, v in tensors.items() if "bias" in k}), digest=False
    )
    with pytest.raises(
        UsageError, match=r"^a\.safetensors does not fit flexnet\[3,4\]: \S*bias is float16 and not float"
    ):
        load_model(path)


@pytest.mark.parametrize("number", [0, CHECKPOINT_FORMAT + 1])
def test_another_format_is_rejected(tmp_path, number):
    message = rf"^forged\.safetensors has format {number}, this restool reads {CHECKPOINT_FORMAT}; train it again$"
    with pytest.raises(UsageError, match=message):
        load_checkpoint(forged(tmp_path, {"restool": json.dumps({"format": number})}))


@pytest.mark.parametrize(
    ("state_of", "reason"),
    [
        (ModelSpec("flexnet[3,4]", 6, 1, 9), "size mismatch for head.bias: .*"),
        (ModelSpec("flexnet[3,4]-conv3", 5, 1, 9), '(Missing|Unexpected) key.*"'),
        (ModelSpec("flexnet[3,4,4]", 5, 1, 9), 'Unexpected key.*"blocks.1.'),
    ],
)
def test_weights_that_do_not_fit_the_named_model_are_rejected_in_one_line(tmp_path, state_of, reason):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint(spec=SPEC, model=state_of.build().state_dict()))
    with pytest.raises(UsageError, match=rf"^a\.safetensors does not fit flexnet\[3,4\]: {reason}") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_in_a_checkpoint_names_the_nearest(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint(spec=ModelSpec("flexnet-9"), model={}))
    with pytest.raises(UsageError, match="^unknown model 'flexnet-9'; the nearest is 'flexnet-"):
        load_model(path)
