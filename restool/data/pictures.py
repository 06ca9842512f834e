"""Pictures as files hold them, read into 8 bits of grey or colour: turned as EXIF says, and opaque.

Whatever a file holds becomes mode L or RGB. Palettes, CMYK and Lab are converted as Pillow does; of an animation the
first frame counts. Grey levels of 16 bits are divided by 257 and rounded, so that 65,535 becomes 255.
"""

import os
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
from PIL import ExifTags, Image
from torch import Tensor

from restool.data.spool import Stored
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

MOST_RESIDENT = 1 << 31
"""Squares of one size that are more bytes than this as colours are decoded where they are needed, as photographs are. A
constant, so that no key depends on the memory of a machine."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as it is stored, with the place that an error message names."""

    where: str
    content: bytes | Path | Stored

    def read(self) -> bytes:
        """As it is stored."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


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


def decode(images: Sequence[Encoded]) -> Tensor | None:
    """Pixels of squares of one size: uint8 [N, C, n, n], C = 1 if all are grey, else 3.

    None for any other images, and for those whose pixels are more than `MOST_RESIDENT` bytes.

    Raises:
        MissingDataError: if an image is damaged.
        UsageError: if an image is refused by `picture`.
    """
    width, height, _ = header(images[0])
    if width != height or len(images) * 3 * width**2 > MOST_RESIDENT:
        return None
    pixels = np.empty((len(images), 3, width, width), dtype=np.uint8)

    def put(place: int) -> bool:
        """Whether the image of a place has colour."""
        shown = picture(images[place])
        if shown.size != (width, width):
            raise _OtherSizeError
        pixels[place] = np.atleast_3d(np.asarray(shown)).transpose(2, 0, 1)
        return shown.mode != "L"

    try:
        coloured = any(_by_threads(put, range(len(images))))
    except _OtherSizeError:
        return None
    return torch.from_numpy(pixels if coloured else pixels[:, :1].copy())


class _OtherSizeError(Exception):
    """An image is of another size than the first one."""


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


def _by_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for chunk in found for result in chunk]


@contextmanager
def _opened(encoded: Encoded) -> Iterator[Image.Image]:
    """A file that Pillow has begun to read; whatever fails until it is closed becomes one line that names it."""
    source = encoded.content if isinstance(encoded.content, Path) else BytesIO(encoded.read())
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
    levels = np.array(image, dtype=np.int32)
    if levels.min() < 0 or levels.max() > 65535:
        raise UsageError(
            f"images must have grey levels from 0 to 65535, but those of {where} run from {levels.min()} to"
            f" {levels.max()}; convert it to 8 or 16 bits"
        )
    if "transparency" in image.info:
        levels[levels == image.info["transparency"]] = 65535
    levels += 128
    levels //= 257
    return Image.fromarray(levels.astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read; nothing is decoded for it."""
    with _silence():
        try:
            found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)  # that of PNG would decode the image
        except Exception:  # as damaged files do
            return 1
    return found if found in TURNS else 1
