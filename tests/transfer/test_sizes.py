"""Laws of models trained at several sizes: each size meets the statistics of the trained size nearest to it."""

import copy

import pytest
import torch
from movable import images, used
from torch import nn

from restool.data import Batches
from restool.models import ModelSpec
from restool.models.norms import keep_sets, kept_sizes
from restool.recipe import Recipe
from restool.training import load_checkpoint, load_model
from restool.transfer import resolve_protocol
from restool.transfer.softening import Soften
from restool.transfer.trainer import Training

STUDIES = {
    "enlarged": {"enlarge": 1.5, "enlarge_share": 0.6},  # to 10 and 12 px
    "smaller": {"train": ((8, 6),)},
    "both": {"train": ((8, 6),), "enlarge": 1.5, "enlarge_share": 0.6},
}
SETS = {"enlarged": [], "smaller": [6, 8], "both": [6, 8]}
FEW = {"test": (9, 12), "protocols": ("requery", "requery+soften", "resize"), "batch_size": 3}


def choices(name):
    return {**FEW, **STUDIES[name]}


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def with_set(model, size):
    """A copy without sets, whose statistics are cut by hand out of the stored ones for a size."""
    model, values = copy.deepcopy(model), model.state_dict()[f"batch_norms_at_{size}"]
    keep_sets(model, ())
    for norm in norms(model):
        width = norm.num_features
        norm.running_mean.copy_(values[:width])
        norm.running_var.copy_(values[width : 2 * width])
        values = values[2 * width :]
    assert len(values) == 0
    return model.eval()


@pytest.fixture(scope="module", params=STUDIES)
def studied(request, lab, tmp_path_factory):
    """A name of a study and the folder that it was run in."""
    path = tmp_path_factory.mktemp(request.param)
    assert lab.run(path, **choices(request.param)) == []
    return request.param, path


def test_a_source_model_keeps_statistics_for_every_size_of_its_own_where_there_are_several(lab, studied):
    name, path = studied
    cells = lab.plan(**choices(name))
    state = load_checkpoint(path / "checkpoints" / f"{cells[0].run.key}.safetensors").model
    sets = {key: value for key, value in state.items() if key.startswith("batch_norms_at_")}
    assert list(sets) == [f"batch_norms_at_{size}" for size in sorted(SETS[name], key=str)]
    assert len({tuple(value.tolist()) for value in sets.values()}) == len(sets)
    assert all(value.isfinite().all() for value in sets.values())


@torch.no_grad()
def test_records_hold_what_the_set_of_the_nearest_size_gives_by_hand(lab, studied):
    name, path = studied
    records, found = lab.records(path), []
    for cell in lab.plan(**choices(name)):
        if cell.protocol == "finetune":
            continue
        model, _ = load_model(path / "checkpoints" / f"{cell.run.key}.safetensors")
        sizes = (cell.target, 8) if cell.protocol == "resize" else (cell.target,)
        plain = with_set(model, 8) if SETS[name] else model  # a kernel is sampled for its input by itself
        shown, labels = next(Batches(lab.dataset, "test", sizes, batch_size=32, device="cpu").epoch())
        shown = Soften(cell.target / 8)(shown) if cell.protocol == "requery+soften" else shown
        assert records[cell.key]["result"]["accuracy"] == (plain(shown).argmax(1) == labels).double().mean().item()
        found.append(cell.protocol)
    assert found == ["source", *(2 * ["requery", "requery+soften", "resize"])]


def test_a_fine_tuned_model_keeps_no_sets_and_starts_from_the_source_model(lab, studied):
    name, path = studied
    cells = [cell for cell in lab.plan(**choices(name)) if cell.protocol == "finetune"]
    assert len(cells) == 2
    for cell in cells:
        source, tuned = (
            load_checkpoint(path / "checkpoints" / f"{key}.safetensors") for key in (cell.run.key, cell.key)
        )
        assert tuned.model.keys() == source.spec.build().state_dict().keys()
        distance = (tuned.model["head.weight"] - source.model["head.weight"]).abs().max()
        assert 0 < distance < 0.01 * 2.2 * 11
        assert tuned.model["stem_norm.num_batches_tracked"] == source.model["stem_norm.num_batches_tracked"] + 11
        model, _ = load_model(path / "checkpoints" / f"{cell.key}.safetensors")
        shown, labels = next(Batches(lab.dataset, "test", cell.target, batch_size=32, device="cpu").epoch())
        with torch.no_grad():
            accuracy = (model(shown).argmax(1) == labels).double().mean().item()
        assert lab.records(path)[cell.key]["result"]["accuracy"] == accuracy


@pytest.mark.parametrize("step", [10, 25, 36])
def test_a_stopped_study_resumes_to_the_same_records_and_checkpoints(lab, studied, tmp_path, step):
    name, path = studied
    with pytest.raises(lab.stopped):
        lab.run(tmp_path, lab.progress(stop_after=step), **choices(name))
    assert lab.run(tmp_path, **choices(name)) == []
    assert lab.records(tmp_path) == lab.records(path)
    for expected in (path / "checkpoints").iterdir():
        assert (tmp_path / "checkpoints" / expected.name).read_bytes() == expected.read_bytes()


def test_records_tell_the_sizes_and_the_enlargement(lab, studied):
    name, path = studied
    told = {"enlarge": 1.5, "enlarge_share": 0.6} if name != "smaller" else {}
    told |= {"train_sizes": "6+8"} if name != "enlarged" else {}
    for record in lab.records(path).values():
        cell = record["cell"]
        assert {key: cell[key] for key in ("enlarge", "enlarge_share", "train_sizes") if key in cell} == told
        assert cell["source"] == 8


def keep(model, size):
    """Let a model's present statistics be those of a size."""
    getattr(model, f"batch_norms_at_{size}").copy_(
        torch.cat([torch.cat([norm.running_mean, norm.running_var]) for norm in norms(model)])
    )


def kept_apart(sizes):
    """A model whose sets are far apart, left with other statistics still."""
    torch.manual_seed(0)
    model = ModelSpec("flexnet[3,4]", 3, 3, 8).build().eval()
    keep_sets(model, sizes)
    with torch.no_grad():
        for size in (*sizes, 5):
            for norm in norms(model):
                norm.running_mean.fill_(-size / 50)
                norm.running_var.fill_(size)
            if size != 5:
                keep(model, size)
    return model


@pytest.mark.parametrize("protocol", ["requery", "bandlimit", "as-is", "resize", "source", "bn-recalibrate"])
@pytest.mark.parametrize(("target", "nearest"), [(8, 8), (9, 8), (16, 32), (30, 32)])
@torch.no_grad()
def test_a_moved_model_is_the_one_of_the_nearest_set_moved(protocol, target, nearest):
    model = kept_apart((8, 32))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nearest = 8 if protocol == "resize" else nearest
    size = resolve_protocol(protocol).sizes(8, target)[-1]
    answer = used(protocol, model, 8, target)(images(size))
    assert torch.equal(answer, used(protocol, with_set(model, nearest), 8, target)(images(size)))
    other = used(protocol, with_set(model, 40 - nearest), 8, target)(images(size))
    assert torch.allclose(answer, other) == (protocol == "bn-recalibrate")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_fine_tuning_starts_from_the_nearest_set_and_keeps_none():
    model, protocol = kept_apart((8, 32)), resolve_protocol("finetune")
    for target, nearest in ((8, 8), (30, 32)):
        start, expected = protocol.start(model, 8, target), with_set(model, nearest)
        assert not kept_sizes(start.state_dict())
        state = start.state_dict()
        assert state.keys() == expected.state_dict().keys()
        assert all(torch.equal(state[name], value) for name, value in expected.state_dict().items())
    assert kept_sizes(model.state_dict())


def test_a_source_model_is_trained_at_its_sizes_and_fine_tuned_at_the_target_without_enlargement(lab):
    cells = lab.plan(**choices("both"))
    training = Training.of_source(cells[0].run)
    assert (training.sizes, training.size, training.recipe.enlarge) == ((6, 8), 8, 1.5)
    for cell in (cell for cell in cells if cell.protocol == "finetune"):
        training = Training.of_cell(cell)
        assert (training.sizes, training.size) == ((cell.target,), cell.target)
        assert training.recipe == Recipe(batch_size=3, enlarge_share=0.6)
