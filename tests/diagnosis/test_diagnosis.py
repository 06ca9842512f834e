"""A diagnosis names what was planted, and says so where there is nothing to name."""

import numpy as np
import planted
import pytest
import torch
from planted import SOURCE, SPEC, TARGET

from restool import evidence
from restool.diagnosis import CAUSES, Diagnosis, diagnose, steps
from restool.models import build_model

CPU = torch.device("cpu")
PLANTED = {
    "aliasing": (planted.aliased, planted.levels),
    "crop": (planted.cut, planted.levels),
    "batch norm": (planted.shifted, planted.levels),
    "sharpness": (planted.sharp, planted.noise),
}


def found(cause: str, *, target: int = TARGET, native_size: int | None = None) -> Diagnosis:
    model, images = PLANTED[cause]
    return diagnose(model(), SPEC, planted.dataset(images, native_size=native_size), target, device=CPU)


@pytest.mark.parametrize("cause", list(PLANTED))
def test_a_planted_fault_is_named_first(cause):
    diagnosis = found(cause)
    assert diagnosis.at_source == 1
    assert diagnosis.at_target < 0.55
    first = diagnosis.repairs[0]
    assert (first.cause.name, first.is_real) == (cause, True)
    assert first.accuracy > 0.9
    assert all(repair.accuracy < first.accuracy for repair in diagnosis.repairs[1:])
    assert f"The first cause is {cause}: +" in diagnosis.verdict
    assert "flexnet[3,4] by " in diagnosis.verdict


def test_gains_are_paired_by_image_and_corrected_for_the_number_of_causes():
    diagnosis = found("crop")
    assert [repair.cause.name for repair in diagnosis.repairs][0] == "crop"
    for estimate, sign in ((diagnosis.repairs[0].gain, 1), (diagnosis.loss, -1)):
        changed = round(120 * abs(estimate.mean))
        expected = evidence.difference(sign * np.r_[np.ones(changed), np.zeros(120 - changed)])
        assert (estimate.mean, estimate.low, estimate.p) == (expected.mean, expected.low, expected.p)
    assert diagnosis.repairs[0].accuracy - diagnosis.at_target == pytest.approx(diagnosis.repairs[0].gain.mean)
    names = {repair.cause.name: repair.is_real for repair in diagnosis.repairs}
    assert names == {"crop": True, "aliasing": False, "sharpness": False}


def test_without_a_loss_there_is_nothing_to_explain():
    diagnosis = found("crop", target=SOURCE)
    assert diagnosis.loss.mean == 0
    assert diagnosis.verdict.endswith("There is no loss to explain.")


def test_images_that_are_exact_at_every_size_leave_the_error_to_the_model():
    told = "The images are exact at both sizes, so all of it is the model's error."
    assert told in found("aliasing").verdict
    assert told not in found("aliasing", native_size=32).verdict


def test_the_layer_where_responses_part_is_named():
    diagnosis = found("aliasing")
    assert diagnosis.breaks_at is not None
    assert diagnosis.breaks_at.layer == "0"
    assert "The responses part at 0." in diagnosis.verdict


def test_an_ordinary_network_has_the_causes_that_apply_to_it():
    spec = planted.ModelSpec("flexnet[3,4]-conv3", 2, 1, SOURCE)
    torch.manual_seed(0)
    model = build_model(spec.name, classes=2, channels=1, reference_size=SOURCE).eval()
    taken: list[int] = []
    data = planted.dataset(planted.levels)
    diagnosis = diagnose(model, spec, data, TARGET, device=CPU, step=lambda: taken.append(1))
    assert {repair.cause.name for repair in diagnosis.repairs} == {"kernel size", "batch norm", "sharpness"}
    assert diagnosis.protocol == "as-is"
    assert len(taken) == steps(model, spec, TARGET)
    assert all(layer.above_nyquist is None for layer in diagnosis.layers)
    assert [norm.layer for norm in diagnosis.norms][0] == "stem_norm"


def test_layers_with_a_rule_of_their_own_are_compared_too():
    spec = planted.ModelSpec("flexnet[3,4]-njet", 2, 1, SOURCE)
    torch.manual_seed(0)
    model = build_model(spec.name, classes=2, channels=1, reference_size=SOURCE).eval()
    diagnosis = diagnose(model, spec, planted.dataset(planted.levels), TARGET, device=CPU)
    assert diagnosis.protocol == "rescale"
    assert [layer.layer for layer in diagnosis.layers] == ["stem", "blocks.0.conv1", "blocks.0.conv2"]
    assert all(layer.response is not None for layer in diagnosis.layers)


def test_below_the_source_images_are_as_soft_already():
    diagnosis = found("crop", target=6)
    assert "sharpness" not in {repair.cause.name for repair in diagnosis.repairs}


def test_every_cause_has_a_name_of_its_own():
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)
