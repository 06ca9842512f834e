"""Images of any size: the same bytes however many processes decode them, and whether they rest in memory or not."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms as v1

from restool.data import Batches, Dataset, MixedBatches
from restool.data.dataset import PARTS, photographs
from restool.data.photographs import RATIO, SCALE
from restool.data.pictures import Encoded
from restool.data.views import View
from restool.errors import MissingDataError

COUNT = 150


def shown(place: int) -> Image.Image:
    """A smooth picture of its own size and colour, so that every part of it tells which it is."""
    width, height = 40 + 7 * (place % 11), 30 + 5 * (place % 13)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    levels = np.stack([255 * x, 255 * y, np.full_like(x, place)], axis=-1)
    return Image.fromarray(levels.astype(np.uint8))


def encoded(picture: Image.Image, where: str = "x.png") -> Encoded:
    held = BytesIO()
    picture.save(held, "png")
    return Encoded(where, held.getvalue())


def pictures(decoders: int | None = None, cache: int | None = None) -> Dataset:
    images, labels = [encoded(shown(place)) for place in range(COUNT)], torch.arange(COUNT)
    parts = dict.fromkeys(PARTS, (images, labels))
    return photographs("pictures", parts, tuple(map(str, range(COUNT)))).reading(decoders, cache)


def epoch(batches: Batches | MixedBatches, seed: int | None = None) -> list[tuple[Tensor, Tensor]]:
    return list(batches.epoch() if seed is None else batches.epoch(shuffle_seed=seed))  # type: ignore[call-arg]


def assert_same(found: list[tuple[Tensor, Tensor]], expected: list[tuple[Tensor, Tensor]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("cache", [None, 0])
@pytest.mark.parametrize("sizes", [(28,), (24, 16)])
def test_a_plain_epoch_is_torchvisions_evaluation(sizes: tuple[int, ...], cache: int | None) -> None:
    dataset = pictures(decoders=0, cache=cache)
    images = torch.cat([found for found, _ in epoch(Batches(dataset, "test", sizes, batch_size=32, device="cpu"))])
    chain = [v1.Resize(int(sizes[0] / 0.875)), v1.CenterCrop(sizes[0]), *(v1.Resize(size) for size in sizes[1:])]
    transform = v1.Compose([*chain, v1.ToTensor(), v1.Normalize(dataset.mean, dataset.std)])
    expected = torch.stack([transform(shown(place)) for place in range(COUNT)])
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cache", [None, 0])
@pytest.mark.parametrize("decoders", [1, 2])
def test_processes_and_memory_change_no_byte_and_no_global_state(decoders: int, cache: int | None) -> None:
    alone, helped = pictures(decoders=0, cache=0), pictures(decoders=decoders, cache=cache)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    for part, augment, seed in (("test", False, None), ("train", True, 3), ("train", False, 3)):
        choices = {"batch_size": 16, "device": "cpu", "augment": augment}
        found, expected = (epoch(Batches(dataset, part, 24, **choices), seed) for dataset in (helped, alone))
        assert_same(found, expected)
    choices = {"batch_size": 16, "device": "cpu", "augment": True}
    assert_same(*(epoch(MixedBatches(dataset, (16, 24), **choices), 5) for dataset in (helped, alone)))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_batches_of_several_sizes_are_those_of_each_size_in_their_places() -> None:
    choices = {"batch_size": 8, "device": "cpu", "augment": True}
    dataset = pictures(decoders=0)
    plain = {size: epoch(Batches(dataset, "train", size, **choices), 3) for size in (12, 16)}
    found = epoch(MixedBatches(dataset, (12, 16), **choices), 3)
    sizes = [images.shape[-1] for images, _ in found]
    assert_same(found, [plain[size][place] for place, size in enumerate(sizes)])
    assert set(sizes) == {12, 16}


def test_random_parts_lie_within_the_bounds_of_torchvision_and_differ_from_epoch_to_epoch() -> None:
    dataset = pictures(decoders=0)
    batches = Batches(dataset, "train", 32, batch_size=64, device="cpu", augment=True)
    spans = {}
    for seed in (1, 2):
        for images, labels in batches.epoch(shuffle_seed=seed):
            levels = images * torch.tensor(dataset.std)[:, None, None] + torch.tensor(dataset.mean)[:, None, None]
            right, down = (levels[:, 0, 16, -1] - levels[:, 0, 16, 0]), (levels[:, 1, -1, 16] - levels[:, 1, 0, 16])
            for label, across, along in zip(labels.tolist(), right.tolist(), down.tolist(), strict=True):
                width, height = shown(label).size
                spans[seed, label] = across, along
                # between the middles of the first and of the last pixel lie 31 of 32 parts
                share, ratio = abs(across) * along * (32 / 31) ** 2, abs(across) * width / (along * height)
                assert 0.8 * SCALE[0] < share < 1.1 * SCALE[1]
                assert 0.8 * RATIO[0] < ratio < 1.25 * RATIO[1]
    assert sum(spans[1, label] != spans[2, label] for label in range(COUNT)) > 0.95 * COUNT
    mirrored = sum(across < 0 for across, _ in spans.values())
    assert 0.35 * 2 * COUNT < mirrored < 0.65 * 2 * COUNT


def test_a_damaged_image_is_named_by_whatever_process_finds_it(tmp_path: Path) -> None:
    images = [encoded(shown(place), f"{place}.png") for place in range(COUNT)]
    images[140] = Encoded("broken.png", images[140].content[:-40])
    parts = dict.fromkeys(PARTS, (images, torch.zeros(COUNT, dtype=torch.int64)))
    for decoders in (0, 2):
        dataset = photographs("damaged", parts, ("a", "b")).reading(decoders, 0)
        with pytest.raises(MissingDataError, match=r"^broken\.png cannot be decoded"):
            epoch(Batches(dataset, "test", 16, batch_size=32, device="cpu"))


def test_the_fingerprint_is_of_what_the_files_hold_wherever_they_lie(tmp_path: Path) -> None:
    def with_images(images: list[Encoded]) -> str:
        return photographs("some", dict.fromkeys(PARTS, (images, torch.tensor([0, 1]))), ("a", "b")).fingerprint

    held = [encoded(shown(place)) for place in (0, 1)]
    stored = []
    for place, image in enumerate(held):
        path = tmp_path / f"{place}.png"
        path.write_bytes(image.content)
        stored.append(Encoded("elsewhere", path))
    assert with_images(stored) == with_images(held)
    assert with_images(held[::-1]) != with_images(held)


def test_a_part_without_images_is_empty() -> None:
    images = [encoded(shown(place)) for place in (0, 1)], torch.tensor([0, 1])
    nothing: tuple[list[Encoded], Tensor] = [], torch.empty(0, dtype=torch.int64)
    dataset = photographs("tests", {"train": nothing, "validation": nothing, "test": images}, ("a", "b"))
    for size in (16, 20):
        assert dataset.split("validation", size).images.shape == (0, 3, size, size)
    [(found, labels)] = epoch(Batches(dataset, "test", 16, batch_size=2, device="cpu"))
    assert (len(found), labels.tolist()) == (2, [0, 1])


def test_grey_among_colour_is_colour_and_grey_alone_is_grey() -> None:
    grey, colour = shown(3).convert("L"), shown(4)
    for kinds, channels in (([grey, grey], 1), ([grey, colour], 3)):
        parts = {
            part: ([encoded(kind) for kind in kinds], torch.tensor([0, 1])) for part in ("train", "validation", "test")
        }
        dataset = photographs("some", parts, ("a", "b"))
        [(images, _)] = epoch(Batches(dataset, "test", 16, batch_size=2, device="cpu"))
        assert images.shape[1] == dataset.channels == channels
        first = View().of_picture(grey.convert("RGB" if channels == 3 else "L"), 16, ()) / 255
        mean, std = (torch.tensor(each)[:, None, None] for each in (dataset.mean, dataset.std))
        torch.testing.assert_close(images[0], (first - mean) / std, rtol=0, atol=1e-6)
