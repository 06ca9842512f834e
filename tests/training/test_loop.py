"""Laws of the training loop: equal to plain PyTorch, and decided by the seed alone."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched import CHOICES, RECIPE, SPEC, STEPS, StopAt, Stopped, assert_same_bits, fresh, run

from restool.kernels import GaussianMask, MAGNet
from restool.nn import ContinuousConv, use_method
from restool.recipe import Recipe
from restool.training import TrainingDivergedError, load_checkpoint, load_model, train


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


def plain_spectral(model: TinyNet, size: int) -> Tensor:
    """Energy on a grid twice as fine outside of the coarse grid's band, by Gauss and Legendre."""
    kernel = model.conv.sample([2 * size] * 2)
    nodes, weights = (torch.from_numpy(values) / 4 for values in np.polynomial.legendre.leggauss(64))
    rows, columns = (torch.exp(-2j * math.pi * nodes[:, None] * torch.arange(kernel.shape[axis])) for axis in (2, 3))
    power = (rows @ kernel.to(rows.dtype) @ columns.T).abs().square()
    return 0.1 * (1 - (power * weights * weights[:, None]).sum() / kernel.square().sum())


def plain_epoch(model, batches, optimizer, alias_penalty, *, seed, rates, clip=0.0):
    """One epoch as anyone would write it; returns the sums that the figures are the means of."""
    torch.manual_seed(seed)
    model.train()
    sums = np.zeros(3)
    for (images, labels), rate in zip(batches.epoch(shuffle_seed=seed), rates, strict=True):
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate
        probabilities = model(images).softmax(1)
        excess = torch.zeros(())
        if alias_penalty == "spectral":
            excess = plain_spectral(model, 8)
        elif alias_penalty != "none":
            excess = plain_penalty(model, 8, masked=alias_penalty == "gabor+mask")
        loss = -probabilities.log()[torch.arange(len(labels)), labels].mean() + excess
        optimizer.zero_grad()
        loss.backward()
        if clip:
            gradients = [parameter.grad for parameter in model.parameters()]
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            assert norm > clip
            for gradient in gradients:
                gradient *= clip / (norm + 1e-6)
        optimizer.step()
        hits = (probabilities.argmax(1) == labels).sum().item()
        sums += [loss.item() * len(labels), excess.item() * len(labels), hits]
    return sums


@pytest.mark.parametrize(
    ("alias_penalty", "weight_decay", "clip"),
    [
        ("none", 0.0, 0.0),
        ("gabor", 0.0, 0.0),
        ("gabor+mask", 0.0, 0.0),
        ("spectral", 0.0, 0.0),
        ("none", 3.0, 0.0),
        ("none", 0.0, 1e-3),
    ],
)
def test_two_epochs_equal_plain_pytorch(batches, alias_penalty, weight_decay, clip):
    model, plain = tiny(), tiny()
    choices = {"alias_penalty": alias_penalty, "weight_decay": weight_decay, "clip": clip}
    recipe = Recipe(batch_size=7, learning_rate=0.003, **choices)
    history = train(model, batches, recipe, epochs=2, spec=SPEC, size=8, seed=4)
    masks = [plain.conv.mask.mean, plain.conv.mask.sigma]
    others = [p for p in plain.parameters() if all(p is not mask for mask in masks)]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": masks, "weight_decay": 0}], weight_decay=weight_decay)
    # of 6 steps a tenth rounds to a warm-up of 1, which peaks at twice the rate; every group falls to the same floor
    falls = [[1e-6 + (peak - 1e-6) * (1 + math.cos(math.pi * j / 5)) / 2 for j in (1, 2, 3)] for peak in (6e-3, 6e-4)]
    rates = [(0.0, 0.0), (3e-3, 3e-4), (6e-3, 6e-4), *zip(*falls, strict=True)]
    for epoch, figures in enumerate(history):
        seed = 4 * 100_003 + epoch
        own = rates[3 * epoch : 3 * epoch + 3]
        sums = plain_epoch(plain, batches, optimizer, alias_penalty, seed=seed, rates=own, clip=clip)
        np.testing.assert_allclose(list(figures.values()), sums / 18, rtol=1e-12)
        assert (figures["penalty"] > 0) == (alias_penalty != "none")
    for actual, expected, start in zip(model.parameters(), plain.parameters(), tiny().parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)
        assert not torch.equal(actual, start)


@pytest.mark.parametrize("alias_penalty", ["gabor", "spectral"])
def test_the_strength_of_the_penalty_is_a_factor_of_it(batches, alias_penalty):
    def first(strength):
        recipe = Recipe(batch_size=7, alias_penalty=alias_penalty, alias_strength=strength, learning_rate=1e-12)
        return train(tiny(), batches, recipe, epochs=1, spec=SPEC, size=8, seed=4)[0]

    usual, without = first(0.1), first(0.0)
    for strength in (0.1, 2.0):
        assert first(strength)["penalty"] == pytest.approx(10 * strength * usual["penalty"], rel=1e-6)
        assert first(strength)["loss"] == pytest.approx(without["loss"] + 10 * strength * usual["penalty"], rel=1e-6)
    assert without["penalty"] == 0 < usual["penalty"]


def test_the_penalty_counts_after_the_part_of_all_steps_that_is_told(batches):
    def history(**choices):
        recipe = Recipe(batch_size=7, alias_strength=1.0, learning_rate=1e-12, **choices)  # the penalty hardly changes
        return run(batches, recipe, epochs=3)[1]

    late = history(alias_penalty="spectral", alias_after=0.5)  # of 9 steps the last 4, the first of them of 4 images
    whole, free = (history(alias_penalty=name) for name in ("spectral", "none"))
    for part, figures, usual, without in zip([0, 4 / 18, 1], late, whole, free, strict=True):
        assert figures["penalty"] == pytest.approx(part * usual["penalty"], rel=1e-4)
        assert figures["loss"] == pytest.approx(without["loss"] + figures["penalty"], rel=1e-4)
    assert whole[0]["penalty"] > 0.01


def test_before_it_counts_a_training_is_that_without_the_penalty(batches, tmp_path):
    def weights(epochs, **choices):
        file = tmp_path / "checkpoint.safetensors"
        watch = StopAt(epoch=epochs)
        with pytest.raises(Stopped):
            run(batches, Recipe(batch_size=7, alias_strength=1.0, **choices), checkpoint=file, watch=watch)
        state = load_checkpoint(file).model
        file.unlink()
        return torch.cat([tensor.flatten() for tensor in state.values()])

    late = {"alias_penalty": "spectral", "alias_after": 1 / 3}  # of 3 epochs
    assert torch.equal(weights(1, **late), weights(1))
    assert not torch.equal(weights(2, **late), weights(2))
    assert not torch.equal(weights(1, **late), weights(1, alias_penalty="spectral"))


def test_training_lowers_the_loss(batches):
    _, history = run(batches, Recipe(batch_size=7, learning_rate=0.02), epochs=12)
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_the_seed_decides_every_bit_whatever_the_global_state(batches):
    model, history = run(batches)
    other_state = fresh()
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 (the global state is the subject)
    random.seed(99)
    torch.rand(7)
    assert train(other_state, batches, RECIPE, **CHOICES) == history
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


def test_zero_epochs_change_nothing(batches, tmp_path):
    model, history = run(batches, epochs=0, checkpoint=tmp_path / "a.safetensors", watch=StopAt(1))
    assert history == []
    assert_same_bits(model, fresh())
    assert not model.training
    stored, checkpoint = load_model(tmp_path / "a.safetensors")
    assert_same_bits(stored, model)
    assert (checkpoint.epoch, checkpoint.history) == (0, [])


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
        TrainingDivergedError, match=f"^the loss became (nan|inf) in epoch {epoch} of 3; lower `learning_rate`$"
    ):
        train(Poisoned(step, value), batches, RECIPE, **CHOICES, checkpoint=file)
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

    message = f"^the weights became infinite in epoch {epoch} of 3; lower `learning_rate`$"
    with pytest.raises(TrainingDivergedError, match=message):
        train(model, batches, RECIPE, **CHOICES, checkpoint=file, watch=Spoil(epoch * STEPS))
    assert (load_checkpoint(file).epoch if file.exists() else 0) == epoch - 1


class TestPrecisionAndMethod:
    """Loss curves are those of float32 direct convolution, whatever the method and up to what bfloat16 rounds."""

    recipe = Recipe(batch_size=7, learning_rate=0.002)

    def curve(self, batches, method="direct", precision="float32"):
        model = fresh()
        use_method(model, method)
        recipe = dataclasses.replace(self.recipe, precision=precision)
        history = train(model, batches, recipe, epochs=4, spec=SPEC, size=8, seed=0)
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
        with pytest.raises(ValueError, match="^`method` must be one of auto, direct, fft, basis, dft, but is 'best'$"):
            use_method(fresh(), "best")
