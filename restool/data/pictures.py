"""Pictures as files hold them, read into 8 bits of grey or colour: turned as EXIF says, and opaque.

Whatever a file holds becomes mode L or RGB. Palettes, CMYK and Lab are converted as Pillow does; of an animation the
first frame counts. Grey levels of 16 bits are divided by 257 and rounded, so that 65,535 becomes 255.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from restool.errors import MissingDataError, RestoolError, UsageError

BACKGROUND = (255, 255, 255)
"""What lies behind transparent pixels. Hidden colours are mostly black, as are glyphs, so black would swallow both."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its orientation in EXIF; from 5 on the sides change places."""

CHUNK = 256
"""A thread decodes so many images at a time."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as it is stored, with the place that an error message names."""

    where: str
    content: bytes | Path


def picture(encoded: Encoded) -> Image.Image:
    """An image in mode L or RGB, upright, and on `BACKGROUND` where it is transparent.

    Raises:
        MissingDataError: if it is damaged, or has more pixels than Pillow's bound against decompression bombs.
        UsageError: if its grey levels have no stated range: floats, or whole numbers beyond 16 bits.
    """
    with _opened(encoded) as opened:
        opened.load()
        plain = _plain(opened, encoded.where)
        turn = TURNS.get(_orientation(opened))
        return plain if turn is None else plain.transpose(turn)


def header(encoded: Encoded) -> tuple[int, int, bool]:
    """Width, height and whether `picture` will be grey, from the first bytes of a file.

    A PNG that tells its orientation behind the pixels counts as upright, so its sides may have changed places.

    Raises:
        MissingDataError: if this is no image, or too large a one. Damage further inside is not seen.
    """
    with _opened(encoded) as opened:
        grey = _is_grey(opened.mode)
        if opened.width != opened.height and _orientation(opened) >= 5:
            if opened.format != "TIFF":
                return opened.height, opened.width, grey
            opened.load()  # Pillow turns a TIFF by itself, some versions of it here
        return opened.width, opened.height, grey


def decode(images: Sequence[Encoded]) -> Tensor:
    """Pixels of images that share one size: uint8 [N, C, n, n], C = 1 if all are grey, else 3.

    Raises:
        MissingDataError: if an image is damaged.
        UsageError: if an image is not square, of another size than the first, or refused by `picture`.
    """
    arrays = _by_threads(_pixels, images)
    height, width = arrays[0].shape[:2]
    if height != width:
        raise UsageError(f"images must be square, but {images[0].where} is {width}x{height}; crop or resize them first")
    for image, array in zip(images, arrays, strict=True):
        if array.shape[:2] != (height, width):
            raise UsageError(
                f"images must share one size, but {image.where} is {array.shape[1]}x{array.shape[0]} and"
                f" {images[0].where} is {width}x{height}; crop or resize them first"
            )
    if any(array.shape[2] == 3 for array in arrays):
        arrays = [np.broadcast_to(array, (height, width, 3)) for array in arrays]
    return torch.from_numpy(np.ascontiguousarray(np.stack(arrays).transpose(0, 3, 1, 2)))


def sound(images: Sequence[Encoded]) -> list[bool]:
    """Whether each image can be read to its end.

    Raises:
        UsageError: if an image is whole, but refused by `picture`.
    """
    return _by_threads(_is_sound, images)


def _is_sound(image: Encoded) -> bool:
    try:
        picture(image)
    except MissingDataError:
        return False
    return True


def _by_threads(function: Callable[[Encoded], Result], images: Sequence[Encoded]) -> list[Result]:
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda chunk: [function(image) for image in chunk], chunks)
        return [result for chunk in found for result in chunk]


def _pixels(image: Encoded) -> NDArray[np.uint8]:
    """[H, W, 1] of a grey image, [H, W, 3] of any other."""
    array = np.asarray(picture(image))
    return array[:, :, None] if array.ndim == 2 else array


@contextmanager
def _opened(encoded: Encoded) -> Iterator[Image.Image]:
    """A file that Pillow has begun to read; whatever fails until it is closed becomes one line that names it."""
    source = BytesIO(encoded.content) if isinstance(encoded.content, bytes) else encoded.content
    try:
        with _silence():
            opened = Image.open(source)
        with opened:
            if Image.MAX_IMAGE_PIXELS is not None and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            yield opened
    except RestoolError:
        raise
    except Image.DecompressionBombError:
        raise MissingDataError(
            f"{encoded.where} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, Pillow's bound against decompression"
            " bombs; shrink or remove it"
        ) from None
    except Exception as error:  # damaged files break Pillow's readers in too many ways to list
        raise MissingDataError(f"{encoded.where} cannot be decoded as an image; replace it") from error


_ALONE = Lock()


@contextmanager
def _silence() -> Iterator[None]:
    """Pillow warns of large images, which are refused here, and of EXIF that it cannot read; threads share filters."""
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA") or mode.startswith("I")


def _plain(image: Image.Image, where: str) -> Image.Image:
    """A loaded image in mode L or RGB, as it lies in the file."""
    if image.mode.startswith("I"):
        return _of_sixteen_bits(image, where)
    if image.mode.startswith("F"):
        raise UsageError(
            f"images must have whole grey levels, but {where} has floats (mode {image.mode}), whose range no file"
            " states; convert it to 8 or 16 bits"
        )
    mode = "L" if _is_grey(image.mode) else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode)
    behind = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    return Image.alpha_composite(behind, image.convert("RGBA")).convert(mode)


def _of_sixteen_bits(image: Image.Image, where: str) -> Image.Image:
    levels = np.array(image, dtype=np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise UsageError(
            f"images must have grey levels from 0 to 65535, but those of {where} run from {levels.min()} to"
            f" {levels.max()}; convert it to 8 or 16 bits"
        )
    if "transparency" in image.info:
        levels[levels == image.info["transparency"]] = 65535
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read; nothing is decoded for it."""
    with _silence():
        try:
            found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)  # that of PNG would decode the image
        except Exception:  # as damaged files do
            return 1
    return found if found in TURNS else 1
