"""Laws of batch-norm recalibration, with hooks as the oracle."""

import copy
from dataclasses import replace

import pytest
import torch
from movable import IMAGE_MODELS, images, trained
from torch import nn

from restool.data import Batches, load
from restool.errors import UsageError
from restool.models import ModelSpec
from restool.report import results
from restool.testing import assert_close
from restool.transfer import StudyConfig, applicable, evaluate_model, resolve_protocol, sweep
from restool.transfer.evaluate import calibration_images
from restool.transfer.recalibration import recalibrate


def batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


def statistics_by_hooks(model: nn.Module, batches: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Averages over batches, by their images, of mean and unbiased variance of what every batch norm receives."""
    model, received = copy.deepcopy(model).eval(), []
    for norm in batch_norms(model):
        norm.train()
        norm.register_forward_pre_hook(lambda norm, inputs: received.append(inputs[0].transpose(0, 1).flatten(1)))
    for batch in batches:
        model(batch)
    norms = len(batch_norms(model))
    seen = [received[index::norms] for index in range(norms)]
    share = torch.tensor([len(batch) for batch in batches]) / sum(len(batch) for batch in batches)

    def average(values: list[torch.Tensor]) -> torch.Tensor:
        return share @ torch.stack(values)

    return [(average([x.mean(1) for x in xs]), average([x.var(1) for x in xs])) for xs in seen]


@pytest.mark.parametrize("name", [name for name in IMAGE_MODELS if name != "dcn"])  # which has group norms
@torch.no_grad()
def test_recalibrated_statistics_weigh_every_image_alike_and_nothing_else_changes(name):
    model = trained(name)
    for norm in batch_norms(model):
        norm.momentum = 0.03
    batches = [images(12, count=count, seed=count) for count in (6, 6, 2)]
    moved = resolve_protocol("bn-recalibrate").apply(model, 8, 12, calibration=iter(batches))
    native = "requery" if "requery" in applicable(model) else "as-is"
    expected = statistics_by_hooks(resolve_protocol(native).apply(model, 8, 12), batches)
    for norm, (mean, variance) in zip(batch_norms(moved), expected, strict=True):
        assert_close(norm.running_mean, mean, tolerance=5e-5)  # the average is a running one in float32
        assert_close(norm.running_var, variance, tolerance=5e-5)
        assert norm.momentum == 0.03
    assert not any(module.training for module in moved.modules())
    for before, after in zip(model.parameters(), moved.parameters(), strict=True):
        assert torch.equal(before, after)


@torch.no_grad()
def test_a_composite_recalibrates_what_its_first_part_made():
    model, batches = trained("flexnet[3,4]"), [images(12, seed=seed) for seed in range(3)]
    composite = resolve_protocol("bandlimit+bn-recalibrate")
    assert (composite.name, composite.recalibrates, composite.shrinks) == ("bandlimit+bn-recalibrate", 1100, False)
    expected = resolve_protocol("bandlimit").apply(model, 8, 12)
    recalibrate(expected, batches)
    moved = composite.apply(model, 8, 12, calibration=batches)
    assert torch.equal(moved(images(12)), expected(images(12)))
    alone = resolve_protocol("bn-recalibrate").apply(model, 8, 12, calibration=batches)
    requeried = resolve_protocol("requery+bn-recalibrate").apply(model, 8, 12, calibration=batches)
    assert torch.equal(alone(images(12)), requeried(images(12)))
    assert not torch.allclose(alone(images(12)), moved(images(12)))


def test_recalibration_without_images_is_rejected():
    with pytest.raises(ValueError, match="^calibration must hold at least one batch of images$"):
        resolve_protocol("bn-recalibrate").apply(trained("flexnet[3,4]"), 8, 12)


@pytest.mark.parametrize(("images", "sizes"), [(20, [20]), (101, [51, 50]), (1001, [91] * 11), (1100, [100] * 11)])
def test_no_batch_of_calibration_is_much_shorter_than_others(images, sizes):
    dataset = load("gabors", limit=images)
    assert [len(batch) for batch in calibration_images(dataset, (8,), torch.device("cpu"), 1100)] == sizes


@pytest.mark.parametrize("wanted", [2, 100, 101, 299, 1100])
def test_more_training_images_than_are_asked_for_are_left_alone(wanted):
    dataset = load("gabors", limit=1500)
    batches = list(calibration_images(dataset, (8,), torch.device("cpu"), wanted))
    first = next(Batches(dataset, "train", 8, batch_size=wanted, device="cpu").epoch())[0]
    assert torch.equal(torch.cat(batches), first)


@pytest.mark.parametrize(
    "name", ["bn-recalibrate@300", "bandlimit+bn-recalibrate@300", "requery+soften+bn-recalibrate@300"]
)
def test_a_name_may_tell_how_many_images_and_is_the_same_protocol_else(name):
    counted, usual = resolve_protocol(name), resolve_protocol(name.removesuffix("@300"))
    assert counted.recalibrates == 300
    assert usual.recalibrates == 1100
    assert replace(counted, name=usual.name, recalibrates=1100) == usual


WRONG_COUNTS = [
    (
        "bn-recalibrate@1",
        "protocol 'bn-recalibrate@1': bn-recalibrate needs at least 2 images, as in bn-recalibrate@300",
    ),
    ("bn-recalibrate@1100", "protocol 'bn-recalibrate@1100': bn-recalibrate takes that many by itself"),
    *(
        (name, f"unknown protocol {name!r}; the nearest is ")
        for name in ("bn-recalibrate@0", "bn-recalibrate@-3", "bn-recalibrate@03", "bn-recalibrate@1e3", "requery@300")
    ),
    *((f"bn-recalibrate@{text}", "unknown protocol 'bn-recalibrate@") for text in ("", "٣٠٠", "300@300", "9" * 30)),
    ("bn-recalibrate@300+bn-recalibrate@400", "unknown protocol 'bn-recalibrate@300+bn-recalibrate@400'; the nearest"),
]


@pytest.mark.parametrize(("name", "message"), WRONG_COUNTS)
def test_a_wrong_count_is_named(name, message):
    with pytest.raises(UsageError) as told:
        resolve_protocol(name)
    assert str(told.value).startswith(message)


def test_each_count_is_a_cell_of_its_own_which_the_record_tells(lab, tmp_path):
    protocols = ("bn-recalibrate", "bn-recalibrate@10", "bn-recalibrate@20")
    lab.run(tmp_path, train=(8,), test=(12,), protocols=protocols, finetune_epochs=0)
    found = {record["cell"]["protocol"]: record for record in lab.records(tmp_path).values()}
    assert found.keys() == {"source", *protocols}
    assert len({found[name]["figures"]["nll_nats"] for name in protocols}) == 3
    assert [*results(tmp_path)["protocol"]] == ["source", *protocols]


def test_more_images_than_there_are_for_training_are_refused_before_any_cell(tmp_path):
    config = StudyConfig(protocols=("requery+bn-recalibrate@61",), limit=60, epochs=1)
    message = r"^protocol 'requery\+bn-recalibrate@61' needs 61 training images, but gabors has 60$"
    with pytest.raises(UsageError, match=message):
        sweep(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    spec = ModelSpec("flexnet[3,4]", reference_size=8)
    with pytest.raises(UsageError, match=message):
        evaluate_model(
            *(spec.build().eval(), spec, load("gabors", limit=60), [12]),
            protocols=config.zero_shot,
            device=torch.device("cpu"),
        )
