"""Laws of a training that is stopped: it is resumable to the bit."""

import pytest
import torch
from watched import CHOICES, EPOCHS, RECIPE, SPEC, STEPS, StopAt, Stopped, assert_same_bits, fresh, run

from restool.models import ModelSpec
from restool.training import load_checkpoint, train


@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS + 1))
def test_a_run_stopped_after_any_step_resumes_to_the_same_bits(batches, tmp_path, step):
    model, history = run(batches, checkpoint=tmp_path / "whole.safetensors", facts={"seed": 0})
    file = tmp_path / "stopped.safetensors"
    with pytest.raises(Stopped):
        run(batches, checkpoint=file, facts={"seed": 0}, watch=StopAt(step))
    torch.manual_seed(step)
    resumed = SPEC.build()  # its own weights do not matter where a checkpoint was written
    if not file.exists():
        assert step <= STEPS
        resumed = fresh()
    assert train(resumed, batches, RECIPE, **CHOICES, checkpoint=file, facts={"seed": 0}) == history
    assert_same_bits(resumed, model)
    assert file.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_run_stopped_again_and_again_resumes_to_the_same_bits(batches, tmp_path):
    model, history = run(batches)
    file = tmp_path / "a.safetensors"
    for epoch in range(1, EPOCHS + 1):
        with pytest.raises(Stopped):
            run(batches, checkpoint=file, watch=StopAt(epoch=1))
        assert load_checkpoint(file).epoch == epoch
    resumed, resumed_history = run(batches, checkpoint=file)
    assert resumed_history == history
    assert_same_bits(resumed, model)


RIVALS = [f"flexnet[3,4]-{kind}" for kind in ("njet", "fractional", "dilated", "deformable")]
RIVALS += ["njet-allcnn", "njet-resnet-32", "dcn-sigma-ji"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_resumes_to_the_same_bits(batches, tmp_path, name):
    spec, file = ModelSpec(name, 3, 3, 8), tmp_path / "a.safetensors"
    model, history = run(batches, epochs=2, spec=spec)
    with pytest.raises(Stopped):
        run(batches, epochs=2, spec=spec, checkpoint=file, watch=StopAt(epoch=1))
    resumed, resumed_history = run(batches, epochs=2, spec=spec, checkpoint=file)
    assert resumed_history == history
    assert_same_bits(resumed, model)


def test_a_checkpoint_holds_the_optimizer_until_training_is_over(batches, tmp_path):
    file = tmp_path / "a.safetensors"
    with pytest.raises(Stopped):
        run(batches, checkpoint=file, facts={"seed": 3}, watch=StopAt(epoch=2))
    halfway = load_checkpoint(file)
    assert len(halfway.optimizer) == len(list(fresh().parameters()))
    assert all(set(state) == {"step", "exp_avg", "exp_avg_sq"} for state in halfway.optimizer.values())
    model, history = run(batches, checkpoint=file, facts={"seed": 3})
    finished = load_checkpoint(file)
    assert finished.optimizer == {}
    assert (finished.spec, finished.epoch, finished.history, finished.facts) == (SPEC, 3, history, {"seed": 3})
    for name, value in model.state_dict().items():
        assert torch.equal(finished.model[name], value)


def test_a_finished_run_is_read_not_trained(batches, tmp_path):
    file = tmp_path / "a.safetensors"
    model, history = run(batches, checkpoint=file)
    written = file.stat().st_mtime_ns
    again, same_history = run(batches, checkpoint=file, watch=StopAt(1))
    assert same_history == history
    assert_same_bits(again, model)
    assert file.stat().st_mtime_ns == written
