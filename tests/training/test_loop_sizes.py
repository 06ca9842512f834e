"""Laws of training at several sizes: plain PyTorch with statistics for every size, and resumable to the bit."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched import RECIPE, SPEC, StopAt, Stopped, assert_same_bits, fresh, run

from restool.aliasing import penalty
from restool.data import Batches, MixedBatches
from restool.kernels import GaussianMask, MAGNet
from restool.models.norms import kept_sizes, put_nearest
from restool.nn import ContinuousConv
from restool.recipe import Recipe
from restool.training import load_checkpoint, load_model, train
from restool.training.optimizer import learning_rate, warmup_steps

SIZES = (8, 10)


class Normed(nn.Module):
    """A continuous layer and two batch norms of other widths, in float64."""

    def __init__(self) -> None:
        super().__init__()
        kernel = MAGNet(2, 6, hidden=4)
        self.conv = ContinuousConv(3, 2, kernel=kernel, mask=GaussianMask(2, sigma=0.4), reference_size=8)
        self.first, self.mix, self.second = nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)

    def norm(self, layer: nn.BatchNorm2d, images: Tensor) -> Tensor:
        return layer(images)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(self.first, self.conv(images.double())).relu()
        return self.norm(self.second, self.mix(hidden)).mean((2, 3)) + hidden.mean((1, 2, 3))[:, None]


class ByHand(Normed):
    """The same with running statistics by size, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[tuple[int, int], list[Tensor]] = {}
        self.last = {width: [torch.zeros(width), torch.ones(width)] for width in (2, 3)}

    def norm(self, layer: nn.BatchNorm2d, images: Tensor) -> Tensor:
        width, n = images.shape[1], images.numel() // images.shape[1]
        mean, variance = images.mean((0, 2, 3)), images.var((0, 2, 3), correction=0)
        old = self.running.setdefault((images.shape[-1], width), list(self.last[width]))
        for place, new in enumerate((mean, variance * n / (n - 1))):
            old[place] = 0.9 * old[place] + 0.1 * new.detach()
        self.last[width] = list(old)  # a size that is met for the first time goes on from there
        scaled = (images - mean[:, None, None]) / (variance + layer.eps).sqrt()[:, None, None]
        return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]


def normed(kind: type[Normed]) -> Normed:
    torch.manual_seed(1)
    return kind().double()


@pytest.fixture
def mixed(dataset) -> MixedBatches:
    """Six steps an epoch."""
    return MixedBatches(dataset, SIZES, batch_size=3, device="cpu", augment=True)


def by_hand(mixed: MixedBatches, recipe: Recipe, epochs: int) -> tuple[ByHand, list[float]]:
    model, losses, step = normed(ByHand), [], 0
    masks = [model.conv.mask.mean, model.conv.mask.sigma]
    others = [p for p in model.parameters() if all(p is not mask for mask in masks)]
    optimizer = torch.optim.Adam([{"params": others}, {"params": masks}])
    total = epochs * len(mixed)
    for epoch in range(epochs):
        losses.append(0.0)
        for images, labels in mixed.epoch(shuffle_seed=4 * 100_003 + epoch):
            for group, share in zip(optimizer.param_groups, (1.0, 0.1), strict=True):
                base = share * recipe.learning_rate
                group["lr"] = learning_rate(step, base, warmup=warmup_steps(epochs, len(mixed)), total=total)
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1] += loss.item() * len(labels) / 18
            step += 1
    return model, losses


def test_every_size_has_the_statistics_of_its_own_batches(mixed):
    model, recipe = normed(Normed), Recipe(batch_size=3, learning_rate=0.003)
    history = train(model, mixed, recipe, epochs=3, spec=SPEC, size=8, seed=4)
    plain, losses = by_hand(mixed, recipe, 3)
    assert [figures["loss"] for figures in history] == pytest.approx(losses, rel=1e-9)
    for actual, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-9)
    assert kept_sizes(model.state_dict()) == SIZES
    for size in (8, 10):
        put_nearest(model, size)
        for layer, width in ((model.first, 2), (model.second, 3)):
            mean, variance = plain.running[size, width]
            torch.testing.assert_close(layer.running_mean, mean.double(), rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(layer.running_var, variance.double(), rtol=1e-6, atol=1e-9)
    assert not torch.allclose(plain.running[8, 2][1], plain.running[10, 2][1])


def assert_same_bits_as(model: nn.Module, state: dict[str, Tensor]) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("size", [8, 10])
def test_a_trained_model_is_left_and_validated_with_the_statistics_of_the_size_it_is_trained_for(mixed, size):
    model, seen = fresh(), []

    def validate(trained: nn.Module) -> float:
        seen.append({name: value.clone() for name, value in trained.state_dict().items()})
        return 0.5

    train(model, mixed, RECIPE, epochs=2, spec=SPEC, size=size, seed=0, validate=validate)
    assert_same_bits_as(model, seen[-1])
    for other in (8, 10):
        put_nearest(model, other)
        same = [torch.equal(value, seen[-1][name]) for name, value in model.state_dict().items() if "running" in name]
        assert same == [other == size] * len(same)


def test_a_run_stopped_after_any_epoch_resumes_to_the_same_bits(mixed, tmp_path):
    model, history = run(mixed, checkpoint=tmp_path / "whole.safetensors")
    assert {"batch_norms_at_8", "batch_norms_at_10"} < set(model.state_dict())
    for epoch in (1, 2):
        file = tmp_path / f"stopped-{epoch}.safetensors"
        with pytest.raises(Stopped):
            run(mixed, checkpoint=file, watch=StopAt(epoch=epoch))
        assert load_checkpoint(file).epoch == epoch
        torch.manual_seed(epoch)
        resumed = SPEC.build()
        assert train(resumed, mixed, RECIPE, epochs=3, spec=SPEC, size=8, seed=0, checkpoint=file) == history
        assert_same_bits(resumed, model)
        assert file.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    loaded, _ = load_model(tmp_path / "whole.safetensors")
    assert_same_bits(loaded, model)


def test_a_run_stopped_within_an_epoch_resumes_to_the_same_bits(mixed, tmp_path):
    model, history = run(mixed)
    with pytest.raises(Stopped):
        run(mixed, checkpoint=tmp_path / "a.safetensors", watch=StopAt(9))
    resumed, resumed_history = run(mixed, checkpoint=tmp_path / "a.safetensors")
    assert resumed_history == history
    assert_same_bits(resumed, model)


def test_batches_of_one_size_train_as_plain_ones_to_the_byte_of_the_checkpoint(dataset, tmp_path):
    choices = {"batch_size": 7, "device": "cpu", "augment": True}
    run(Batches(dataset, "train", 8, **choices), checkpoint=tmp_path / "plain.safetensors")
    run(MixedBatches(dataset, (8,), **choices), checkpoint=tmp_path / "mixed.safetensors")
    assert (tmp_path / "mixed.safetensors").read_bytes() == (tmp_path / "plain.safetensors").read_bytes()


def test_a_penalty_counts_at_the_size_that_the_model_is_trained_for(mixed):
    recipe = Recipe(batch_size=3, alias_penalty="spectral", learning_rate=1e-12)  # so low that the kernels stay
    for size in (8, 12):
        found = train(fresh(), mixed, recipe, epochs=1, spec=SPEC, size=size, seed=0)[0]["penalty"]
        assert found == pytest.approx(penalty(fresh(), size, "spectral").item(), rel=1e-4)
        assert found != pytest.approx(penalty(fresh(), 10, "spectral").item(), rel=1e-2)
