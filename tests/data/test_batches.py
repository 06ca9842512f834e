from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as tv

from restool.data import Batches, Dataset, Split, load
from restool.data.batches import PADDING, flip_and_crop
from restool.data.dataset import stored
from restool.errors import UsageError


def noise(count: int, *, size: int = 32, augment: bool = True) -> Dataset:
    """Random colour images whose labels are their places in the part."""
    generator = torch.Generator().manual_seed(0)
    parts = {
        part: Split(
            torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator), torch.arange(count)
        )
        for part in ("train", "validation", "test")
    }
    return stored("noise", parts, tuple(str(k) for k in range(count)), augment=augment)


def official(image: Tensor, sizes: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Resize, ToTensor and Normalize of torchvision on Pillow images."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    for size in sizes:
        picture = tv.resize(picture, [size, size])
    return tv.normalize(tv.to_tensor(picture), list(mean), list(std))


def epoch(batches: Batches, seed: int | None = None) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches.epoch(shuffle_seed=seed), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_flip_and_crop_is_torchvisions() -> None:
    cases = list(product((False, True), range(2 * PADDING + 1), range(2 * PADDING + 1)))
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (len(cases), 3, 12, 12), dtype=torch.uint8, generator=generator)
    found = flip_and_crop(images, torch.tensor([c[0] for c in cases]), torch.tensor([c[1:] for c in cases]))
    for image, (flip, top, left), result in zip(images, cases, found, strict=True):
        padded = tv.pad(tv.hflip(image) if flip else image, [PADDING])
        assert torch.equal(result, tv.crop(padded, top, left, 12, 12))


@pytest.mark.parametrize("sizes", [(32,), (16,), (28,), (36, 16), (24, 36, 20)])
def test_a_plain_epoch_is_torchvisions_test_transform(sizes: tuple[int, ...]) -> None:
    dataset = noise(5)
    images, labels = epoch(Batches(dataset, "test", sizes, batch_size=2, device="cpu"))
    expected = [official(image, sizes, dataset.mean, dataset.std) for image in dataset.split("test", 32).images]
    torch.testing.assert_close(images, torch.stack(expected), rtol=0, atol=1e-6)
    assert torch.equal(labels, torch.arange(5))


def test_a_shuffled_epoch_flips_and_crops_the_stored_image_before_it_is_resized() -> None:
    dataset = noise(6)
    images, labels = epoch(Batches(dataset, "train", 16, batch_size=4, device="cpu", augment=True), seed=3)
    cuts = set()
    for image, label in zip(images, labels, strict=True):
        source = dataset.split("train", 16).images[label]
        matches = [
            cut
            for cut in product((False, True), range(2 * PADDING + 1), range(2 * PADDING + 1))
            if torch.allclose(official(cut_out(source, *cut), (16,), dataset.mean, dataset.std), image, atol=1e-6)
        ]
        assert len(matches) == 1
        cuts.update(matches)
    assert len(cuts) > 1
    assert {flip for flip, _, _ in cuts} == {False, True}


def cut_out(image: Tensor, flip: bool, top: int, left: int) -> Tensor:
    return tv.crop(tv.pad(tv.hflip(image) if flip else image, [PADDING]), top, left, *image.shape[1:])


def test_every_image_is_seen_once_an_epoch_with_its_label() -> None:
    dataset = noise(50, size=8)
    images, labels = epoch(Batches(dataset, "train", 8, batch_size=7, device="cpu"), seed=0)
    plain, _ = epoch(Batches(dataset, "train", 8, batch_size=50, device="cpu"))
    assert sorted(labels.tolist()) == list(range(50))
    assert labels.tolist() != list(range(50))
    assert torch.equal(images, plain[labels])


def test_the_seed_alone_decides_an_epoch() -> None:
    dataset = noise(40, size=8)
    batches = Batches(dataset, "train", 12, batch_size=16, device="cpu", augment=True)
    torch.manual_seed(1)
    first = epoch(batches, seed=5)
    torch.manual_seed(2)
    epoch(batches, seed=6)
    other_batch_size = Batches(dataset, "train", 12, batch_size=9, device="cpu", augment=True)
    for again in (epoch(batches, seed=5), epoch(other_batch_size, seed=5)):
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = epoch(batches, seed=6)
    assert not torch.equal(first[1], other[1])
    assert not torch.equal(first[0][first[1].argsort()], other[0][other[1].argsort()])  # the augmentation differs too


def test_an_epoch_leaves_the_global_random_state_alone() -> None:
    batches = Batches(noise(10, size=8), "train", 8, batch_size=4, device="cpu", augment=True)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    epoch(batches, seed=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_without_a_seed_nothing_is_random() -> None:
    dataset = noise(10, size=8)
    augmented, plain = (Batches(dataset, "train", 8, batch_size=4, device="cpu", augment=a) for a in (True, False))
    assert torch.equal(epoch(augmented)[0], epoch(plain)[0])


def test_the_last_batch_holds_the_rest() -> None:
    batches = Batches(noise(10, size=8), "train", 8, batch_size=4, device="cpu")
    for seed in (None, 0):
        assert [len(labels) for _, labels in batches.epoch(shuffle_seed=seed)] == [4, 4, 2]
    assert (len(batches), batches.samples) == (3, 10)


def test_rendered_images_start_at_the_first_size() -> None:
    dataset = load("gabors", limit=4)
    images, _ = epoch(Batches(dataset, "test", (36, 16), batch_size=4, device="cpu"))
    shown = dataset.split("test", 36).images
    expected = [official(image, (16,), dataset.mean, dataset.std) for image in shown]
    torch.testing.assert_close(images, torch.stack(expected), rtol=0, atol=1e-5)  # 1 / std is 36
    assert shown.shape[-1] == 36


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_device_sees_the_same_epoch() -> None:
    on_cpu, on_gpu = (
        epoch(Batches(noise(20), "train", (28, 16), batch_size=8, device=device, augment=True), seed=1)
        for device in ("cpu", "cuda")
    )
    assert torch.equal(on_gpu[1].cpu(), on_cpu[1])
    torch.testing.assert_close(on_gpu[0].cpu(), on_cpu[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": ()}, r"`sizes` must be one or more sizes of at least 1 pixel, but is \(\)"),
        ({"sizes": (16, 0)}, r"`sizes` must be .* but is \(16, 0\)"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"part": "dev"}, "`part` must be one of train, validation, test, but is 'dev'"),
        ({"augment": True}, "augment must be off for noise: a flip or a crop changes what its images show"),
    ],
)
def test_a_bad_argument_is_named(change: dict[str, object], message: str) -> None:
    arguments = {"part": "train", "sizes": 8, "batch_size": 4, "device": "cpu", **change}
    with pytest.raises(UsageError, match=f"^{message}$"):
        Batches(noise(3, size=8, augment=False), **arguments)  # type: ignore[arg-type]


def test_an_image_of_no_pixels_cannot_be_rendered() -> None:
    with pytest.raises(UsageError, match="^`size` must be at least 1 pixel, but is 0$"):
        load("gabors", limit=1).split("train", 0)
