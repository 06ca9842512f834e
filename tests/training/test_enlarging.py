"""Laws of enlarged source images: they are Pillow's, drawn by the seed alone, and meet the norms of the source."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance
from torch import Tensor, nn
from watched import CHOICES, RECIPE, SPEC, StopAt, Stopped, assert_same_bits, fresh, run

from restool.data import Batches, MixedBatches
from restool.models.norms import frozen
from restool.recipe import Recipe
from restool.training import load_checkpoint, train
from restool.training.enlarging import Enlarger, enlarge, enlarged_sizes

ALWAYS = Recipe(batch_size=7, enlarge=1.5, enlarge_share=1.0)


def grey_levels(images: Tensor, dataset) -> Tensor:
    shift, scale = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    return (images * scale + shift) * 255


@pytest.mark.parametrize(
    ("size", "times", "expected"),
    [
        (16, 2.0, (20, 22, 24, 26, 28, 30, 32)),
        (16, 1.5, (18, 20, 22, 24)),
        (12, 1.5, (14, 16, 18)),
        (16, 1.05, (17,)),
        (16, 1.01, ()),
        (16, 1.0, ()),
    ],
)
def test_images_are_enlarged_to_every_second_size_from_a_quarter_of_the_way(size, times, expected):
    assert enlarged_sizes(size, times) == expected


@pytest.mark.parametrize("sharpness", [1.0, 2.5, 5.0])
@pytest.mark.parametrize("size", [10, 12, 16])
def test_they_are_pillows_bicubic_sharpened_as_pillow_does(batches, dataset, size, sharpness):
    images, _ = next(batches.epoch(shuffle_seed=0))
    found = grey_levels(enlarge(images, size, sharpness, dataset), dataset)
    for image, small in zip(found, grey_levels(images, dataset), strict=True):
        picture = Image.fromarray(small.round().to(torch.uint8).permute(1, 2, 0).numpy())
        large = picture.resize((size, size), Image.Resampling.BICUBIC)
        expected = np.array(ImageEnhance.Sharpness(large).enhance(sharpness)).transpose(2, 0, 1)
        # Pillow rounds what it smoothes before it mixes, by half a level, which the factor makes larger
        tolerance = 1e-3 if sharpness == 1 else 1.01 + abs(1 - sharpness) / 2
        np.testing.assert_allclose(image.numpy(), expected, atol=tolerance)


def drawn(dataset, recipe, seed=0, *, total=2000, count=1000, first=1000, batch=3) -> list[Tensor | None]:
    enlarger = Enlarger(recipe, dataset, first=first, total=total, seed=seed)
    images = next(Batches(dataset, "train", 8, batch_size=batch, device="cpu").epoch())[0]
    return [enlarger.part_of(images, step) for step in range(count)]


def test_a_share_of_the_steps_of_the_second_half_enlarges_to_either_size_with_either_sharpness(dataset):
    found = drawn(dataset, Recipe(enlarge=1.5, enlarge_share=0.4))
    parts = [part for part in found if part is not None]
    assert abs(len(parts) - 400) <= 4 * (1000 * 0.4 * 0.6) ** 0.5
    images = next(Batches(dataset, "train", 8, batch_size=3, device="cpu").epoch())[0]
    kinds = {(size, sharp): enlarge(images[:2], size, sharp, dataset) for size in (10, 12) for sharp in (2.5, 5.0)}
    seen = Counter(
        kind
        for part in parts
        for kind, image in kinds.items()
        if part.shape == image.shape and torch.equal(part, image)
    )
    assert seen.total() == len(parts)
    assert all(abs(count - len(parts) / 4) <= 4 * (len(parts) * 3 / 16) ** 0.5 for count in map(seen.get, kinds))


def test_the_first_half_of_all_steps_and_a_training_without_enlargement_have_none(dataset):
    assert [part is None for part in drawn(dataset, ALWAYS, first=0, total=7, count=7)] == [True] * 4 + [False] * 3
    assert [part is None for part in drawn(dataset, ALWAYS, first=4, total=12, count=4)] == [True] * 2 + [False] * 2
    for recipe in (Recipe(), Recipe(enlarge_share=1.0), Recipe(enlarge=2.0, enlarge_share=0.0)):
        assert drawn(dataset, recipe, count=20) == [None] * 20


@pytest.mark.parametrize(("batch", "part"), [(1, 1), (2, 1), (7, 4), (18, 9)])
def test_the_first_half_of_a_batch_is_enlarged(dataset, batch, part):
    assert [len(found) for found in drawn(dataset, ALWAYS, count=3, batch=batch)] == [part] * 3


def test_the_seed_alone_decides_the_draws(dataset):
    recipe = Recipe(enlarge=1.5)
    state = torch.get_rng_state()
    first, again, other = ([None if x is None else x.shape for x in drawn(dataset, recipe, s)] for s in (3, 3, 4))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


class Normed(nn.Module):
    """Two convolutions and batch norms in float64, of an affine map each, so that it can be written out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.dropout(self.norm(self.first(images.double())).relu(), 0.3, self.training)).mean((2, 3))


def normed() -> Normed:
    torch.manual_seed(1)
    return Normed().double()


def test_the_loss_adds_how_far_enlarged_images_are_from_their_sources_under_the_statistics_of_the_source(
    batches, dataset
):
    model, plain, recipe = normed(), normed(), Recipe(batch_size=7, learning_rate=1e-12, enlarge=1.5, enlarge_share=1.0)
    history = train(model, batches, recipe, epochs=2, spec=SPEC, size=8, seed=4)
    mean, variance = torch.zeros(4).double(), torch.ones(4).double()
    for epoch, figures in enumerate(history):
        seed = 4 * 100_003 + epoch
        torch.manual_seed(seed)
        enlarger = Enlarger(recipe, dataset, first=3 * epoch, total=6, seed=seed)
        total = 0.0
        for step, (images, labels) in enumerate(batches.epoch(shuffle_seed=seed)):
            hidden = plain.first(images.double())
            mean = 0.9 * mean + 0.1 * hidden.mean((0, 2, 3))
            variance = 0.9 * variance + 0.1 * hidden.var((0, 2, 3), correction=1)
            logits = plain.train()(images)
            loss = F.cross_entropy(logits, labels)
            if epoch == 1:
                part = enlarger.part_of(images, step)
                hidden = plain.first(part.double())
                hidden = (hidden - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
                hidden = F.dropout(hidden.relu(), 0.3)
                p, q = logits[: len(part)].softmax(1), plain.head(hidden).mean((2, 3)).softmax(1)
                loss = loss + (p * (p / q).log()).sum(1).mean()
            total += loss.item() * len(labels) / 18
        assert figures["loss"] == pytest.approx(total, rel=1e-6)
    # a learning rate never falls below 1e-6, so the weights have moved a little
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.norm.running_var, variance, rtol=1e-4, atol=1e-5)


def test_its_gradient_moves_the_weights(batches):
    for choices in ({"batch_size": 7}, {"batch_size": 7, "enlarge_share": 0.0, "enlarge": 1.5}):
        assert_same_bits(run(batches, Recipe(**choices))[0], run(batches)[0])
    first, second = ALWAYS, Recipe(batch_size=7, enlarge=1.25, enlarge_share=1.0)
    models = [run(batches, recipe)[0].head.weight for recipe in (RECIPE, first, second)]
    assert (models[0] - models[1]).abs().max() > 1e-4 < (models[1] - models[2]).abs().max()


class ByGrid(nn.Module):
    """A network of its own for every grid: what one learns tells which images taught it."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.finer = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        return (self.own if images.shape[-1] == 8 else self.finer)(images.mean((2, 3)))


def test_what_enlarged_images_should_answer_does_not_move_towards_what_they_do(batches):
    def trained(recipe: Recipe) -> ByGrid:
        torch.manual_seed(2)
        model = ByGrid()
        train(model, batches, recipe, **CHOICES)
        return model

    alone, both = trained(RECIPE), trained(ALWAYS)
    assert_same_bits(both.own, alone.own)
    assert not torch.equal(both.finer.bias, alone.finer.bias)


def test_frozen_norms_use_what_they_know_and_go_on_as_they_were():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.BatchNorm1d(3), nn.GroupNorm(1, 3))
    model[2].eval()
    with frozen(model):
        assert [layer.training for layer in model] == [False, True, False, True]
    assert [layer.training for layer in model] == [True, True, False, True]


@pytest.mark.parametrize("sizes", [(8,), (6, 8)])
def test_a_run_stopped_anywhere_resumes_to_the_same_bits(dataset, tmp_path, sizes):
    mixed = MixedBatches(dataset, sizes, batch_size=3, device="cpu", augment=True)
    recipe = Recipe(batch_size=3, enlarge=1.5, alias_penalty="spectral")
    model, history = run(mixed, recipe, checkpoint=tmp_path / "whole.safetensors")
    for name, stop in {"epoch": StopAt(epoch=2), "step": StopAt(15)}.items():
        file = tmp_path / f"{name}.safetensors"
        with pytest.raises(Stopped):
            run(mixed, recipe, checkpoint=file, watch=stop)
        assert load_checkpoint(file).epoch == 2
        torch.manual_seed(9)
        resumed = SPEC.build()
        assert train(resumed, mixed, recipe, **CHOICES, checkpoint=file) == history
        assert_same_bits(resumed, model)
        assert file.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), fresh().parameters(), strict=True))
