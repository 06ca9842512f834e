"""Laws of the training loop: equal to plain PyTorch, decided by the seed alone, and resumable to the bit."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.kernels import GaussianMask, MAGNet
from restool.models import ModelSpec
from restool.nn import ContinuousConv, use_method
from restool.training import Recipe, TrainingDivergedError, load_checkpoint, train

SPEC = ModelSpec("flexnet[3,4]", 3, 3, 8)
RECIPE = Recipe(epochs=3, batch_size=7)
STEPS = 3  # of an epoch of the fixture `batches`


class Stopped(Exception):  # noqa: N818 (not an error: a test asked for it)
    """As a time limit or a user would."""


class StopAt:
    """Raises after a number of steps, and keeps the figures of every epoch."""

    def __init__(self, step: float = math.inf, epoch: float = math.inf) -> None:
        self.left, self.epochs_left = step, epoch
        self.figures: list[dict[str, float]] = []

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped

    def epoch(self, figures: dict[str, float]) -> None:
        self.figures.append(dict(figures))
        self.epochs_left -= 1
        if self.epochs_left == 0:
            raise Stopped


def fresh(spec: ModelSpec = SPEC) -> nn.Module:
    torch.manual_seed(5)
    return spec.build()


def run(batches, recipe=RECIPE, *, seed=0, spec=SPEC, **options):
    model = fresh(spec)
    history = train(model, batches, recipe, spec=spec, size=8, seed=seed, **options)
    return model, history


def assert_same_bits(actual: nn.Module, expected: nn.Module) -> None:
    state = actual.state_dict()
    assert state.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(state[name], value), name


class TinyNet(nn.Module):
    """A continuous layer with a mask, dropout and a head, in float64 and without a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        kernel = MAGNet(2, 6, hidden=4)
        self.conv = ContinuousConv(3, 2, kernel=kernel, mask=GaussianMask(2, sigma=0.4), reference_size=8)
        self.head = nn.Linear(2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.dropout(self.conv(images.double()).relu().mean((2, 3)), 0.2, self.training))


def tiny() -> TinyNet:
    torch.manual_seed(1)
    return TinyNet().double()


def plain_penalty(model: TinyNet, size: int, *, masked: bool) -> Tensor:
    """Every filter's largest angular frequency and window bandwidth against its share of Nyquist, written out."""
    filters = list(model.conv.kernel.filters)
    total = torch.zeros((), dtype=torch.float64)
    for part in filters:
        frequency = part.weight.abs().max() / (2 * math.pi) + part.inverse_width.abs().max() / math.pi
        if masked:
            frequency = frequency + 1 / (math.pi * model.conv.mask.sigma.abs().min()) / len(filters)
        total = total + 0.1 * (frequency - size / 4 / len(filters)).clamp(min=0) ** 2
    return total


def plain_epoch(model, batches, optimizer, alias_penalty, *, seed, rates):
    """One epoch as anyone would write it; returns the sums that the figures are the means of."""
    torch.manual_seed(seed)
    model.train()
    sums = np.zeros(3)
    for (images, labels), rate in zip(batches.epoch(shuffle_seed=seed), rates, strict=True):
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate
        probabilities = model(images).softmax(1)
        excess = torch.zeros(())
        if alias_penalty != "none":
            excess = plain_penalty(model, 8, masked=alias_penalty == "gabor+mask")
        loss = -probabilities.log()[torch.arange(len(labels)), labels].mean() + excess
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hits = (probabilities.argmax(1) == labels).sum().item()
        sums += [loss.item() * len(labels), excess.item() * len(labels), hits]
    return sums


@pytest.mark.parametrize("alias_penalty", ["none", "gabor", "gabor+mask"])
def test_two_epochs_equal_plain_pytorch(batches, alias_penalty):
    model, plain = tiny(), tiny()
    recipe = Recipe(epochs=2, batch_size=7, learning_rate=0.003, alias_penalty=alias_penalty)
    history = train(model, batches, recipe, spec=SPEC, size=8, seed=4)
    masks = [plain.conv.mask.mean, plain.conv.mask.sigma]
    others = [p for p in plain.parameters() if all(p is not mask for mask in masks)]
    optimizer = torch.optim.Adam([{"params": others}, {"params": masks}])
    # of 6 steps a tenth rounds to a warm-up of 1, which peaks at twice the rate; every group falls to the same floor
    falls = [[1e-6 + (peak - 1e-6) * (1 + math.cos(math.pi * j / 5)) / 2 for j in (1, 2, 3)] for peak in (6e-3, 6e-4)]
    rates = [(0.0, 0.0), (3e-3, 3e-4), (6e-3, 6e-4), *zip(*falls, strict=True)]
    for epoch, figures in enumerate(history):
        seed = 4 * 100_003 + epoch
        own = rates[3 * epoch : 3 * epoch + 3]
        sums = plain_epoch(plain, batches, optimizer, alias_penalty, seed=seed, rates=own)
        np.testing.assert_allclose(list(figures.values()), sums / 18, rtol=1e-12)
        assert (figures["penalty"] > 0) == (alias_penalty != "none")
    for actual, expected, start in zip(model.parameters(), plain.parameters(), tiny().parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)
        assert not torch.equal(actual, start)


def test_training_lowers_the_loss(batches):
    _, history = run(batches, Recipe(epochs=12, batch_size=7, learning_rate=0.02))
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_the_seed_decides_every_bit_whatever_the_global_state(batches):
    model, history = run(batches)
    other_state = fresh()
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 (the global state is the subject)
    random.seed(99)
    torch.rand(7)
    assert train(other_state, batches, RECIPE, spec=SPEC, size=8, seed=0) == history
    assert_same_bits(other_state, model)
    other_seed, other_history = run(batches, seed=1)
    assert other_history != history
    assert not torch.equal(other_seed.head.weight, model.head.weight)


def test_watching_and_validating_do_not_change_training(batches, tmp_path):
    model, history = run(batches)

    def validate(trained: nn.Module) -> float:
        assert not trained.training
        torch.rand(3)  # even one that uses up random numbers
        return 0.25

    watch = StopAt()
    watched, figures = run(batches, validate=validate, watch=watch, checkpoint=tmp_path / "a.safetensors")
    assert_same_bits(watched, model)
    assert figures == watch.figures == [{**epoch, "validation_accuracy": 0.25} for epoch in history]
    assert not watched.training


@pytest.mark.parametrize("step", range(1, RECIPE.epochs * STEPS + 1))
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
    assert train(resumed, batches, RECIPE, spec=SPEC, size=8, seed=0, checkpoint=file, facts={"seed": 0}) == history
    assert_same_bits(resumed, model)
    assert file.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_run_stopped_again_and_again_resumes_to_the_same_bits(batches, tmp_path):
    model, history = run(batches)
    file = tmp_path / "a.safetensors"
    for epoch in range(1, RECIPE.epochs + 1):
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
    recipe = Recipe(epochs=2, batch_size=7)
    model, history = run(batches, recipe, spec=spec)
    with pytest.raises(Stopped):
        run(batches, recipe, spec=spec, checkpoint=file, watch=StopAt(epoch=1))
    resumed, resumed_history = run(batches, recipe, spec=spec, checkpoint=file)
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


def test_zero_epochs_change_nothing(batches, tmp_path):
    model, history = run(batches, Recipe(epochs=0), checkpoint=tmp_path / "a.safetensors", watch=StopAt(1))
    assert history == []
    assert_same_bits(model, fresh())
    assert not model.training
    assert list(tmp_path.iterdir()) == []


class Poisoned(nn.Module):
    """A network whose logits stop being numbers from a step on."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.inner, self.left, self.value = fresh(), step, value

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        return self.inner(images) * (self.value if self.left <= 0 else 1)


@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 3)])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_training_and_names_the_epoch(batches, tmp_path, step, epoch, value):
    file = tmp_path / "a.safetensors"
    with pytest.raises(
        TrainingDivergedError, match=f"^the loss became (nan|inf) in epoch {epoch} of 3; lower --learning-rate$"
    ):
        train(Poisoned(step, value), batches, RECIPE, spec=SPEC, size=8, seed=0, checkpoint=file)
    assert file.exists() == (epoch > 1)  # of the last whole epoch, which is sound
    if file.exists():
        checkpoint = load_checkpoint(file)
        assert checkpoint.epoch == epoch - 1
        assert all(value.isfinite().all() for value in checkpoint.model.values())


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_weights_that_are_no_numbers_are_not_kept(batches, tmp_path, epoch):
    file, model = tmp_path / "a.safetensors", fresh()

    class Spoil(StopAt):
        def step(self) -> None:
            self.left -= 1
            if self.left == 0:  # after the last loss of the epoch
                model.head.bias.data[1] = math.inf

    message = f"^the weights became infinite in epoch {epoch} of 3; lower --learning-rate$"
    with pytest.raises(TrainingDivergedError, match=message):
        train(model, batches, RECIPE, spec=SPEC, size=8, seed=0, checkpoint=file, watch=Spoil(epoch * STEPS))
    assert (load_checkpoint(file).epoch if file.exists() else 0) == epoch - 1


class TestPrecisionAndMethod:
    """Loss curves are those of float32 direct convolution, whatever the method and up to what bfloat16 rounds."""

    recipe = Recipe(epochs=4, batch_size=7, learning_rate=0.002)

    def curve(self, batches, method="direct", precision="float32"):
        model = fresh()
        use_method(model, method)
        recipe = dataclasses.replace(self.recipe, precision=precision)
        history = train(model, batches, recipe, spec=SPEC, size=8, seed=0)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        return np.array([figures["loss"] for figures in history])

    @pytest.mark.parametrize("method", ["fft", "basis", "dft", "auto"])
    def test_every_method_trains_along_the_curve_of_the_direct_one(self, batches, method):
        assert self.curve(batches, method) == pytest.approx(self.curve(batches), rel=1e-4)

    @pytest.mark.parametrize("method", ["direct", "dft"])
    def test_bfloat16_trains_along_the_curve_of_float32(self, batches, method):
        exact, rounded = self.curve(batches), self.curve(batches, method, "bfloat16")
        assert rounded == pytest.approx(exact, rel=0.05)
        assert (rounded != exact).all()

    def test_an_unknown_method_is_refused(self):
        with pytest.raises(ValueError, match="^method must be one of auto, direct, fft, basis, dft, but is 'best'$"):
            use_method(fresh(), "best")
