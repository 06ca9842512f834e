import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from restool.data.pictures import Encoded, header, picture
from restool.errors import MissingDataError, UsageError

WIDTH, HEIGHT = 9, 6
WHITE = 255


def levels(channels: int, most: int = 255) -> np.ndarray:
    """Levels from 0 to `most`, no two columns, rows or channels alike: [H, W, C]."""
    y, x, c = np.ogrid[:HEIGHT, :WIDTH, :channels]
    return (37 * x + 101 * y + 71 * c) % (most + 1)


def image(mode: str) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (WIDTH, HEIGHT), levels(channels).astype(np.uint8).tobytes())


def encode(image: Image.Image, kind: str, **options: object) -> Encoded:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Encoded(f"a.{kind.lower()}", buffer.getvalue())


def decoded(encoded: Encoded) -> np.ndarray:
    return np.asarray(picture(encoded))


def as_pillow_reads(encoded: Encoded) -> Image.Image:
    assert isinstance(encoded.content, bytes)
    return Image.open(io.BytesIO(encoded.content))


LOSSLESS: dict[str, dict[str, object]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


@pytest.mark.parametrize("kind", ["JPEG", *LOSSLESS])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_brings_images_upright_as_pillow_does(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    encoded = encode(image("RGB"), kind, exif=exif, **LOSSLESS.get(kind, {}))
    expected = ImageOps.exif_transpose(as_pillow_reads(encoded))
    np.testing.assert_array_equal(decoded(encoded), expected)
    assert expected.size == ((WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH))
    assert header(encoded) == (*expected.size, False)


def turned(levels: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF in words: row 0 and column 0 of what is stored are these sides of what was seen."""
    flips: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,  # top, left
        2: lambda a: a[:, ::-1],  # top, right
        3: lambda a: a[::-1, ::-1],  # bottom, right
        4: lambda a: a[::-1],  # bottom, left
        5: lambda a: a.T,  # left, top
        6: lambda a: a.T[:, ::-1],  # right, top
        7: lambda a: a.T[::-1, ::-1],  # right, bottom
        8: lambda a: a.T[::-1],  # left, bottom
    }
    return flips[orientation](levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_the_standard(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    np.testing.assert_array_equal(
        decoded(encode(image("L"), "PNG", exif=exif)), turned(levels(1)[:, :, 0], orientation)
    )


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_an_orientation_behind_the_pixels_of_a_png_counts_too() -> None:
    content = encode(image("L"), "PNG").content
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert isinstance(content, bytes)
    late = content[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + content[-12:]
    np.testing.assert_array_equal(decoded(Encoded("late.png", late)), turned(levels(1)[:, :, 0], 6))
    assert header(Encoded("late.png", late)) == (WIDTH, HEIGHT, True)


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12", b"Exif\0\0garbage", b"Exif\0\0"])
def test_exif_that_cannot_be_read_leaves_an_image_as_it_is(exif: bytes) -> None:
    encoded = encode(image("L"), "JPEG", exif=exif)
    np.testing.assert_array_equal(decoded(encoded), decoded(encode(image("L"), "JPEG")))
    assert header(encoded) == (WIDTH, HEIGHT, True)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return (colour * alpha + WHITE * (255 - alpha)) / 255


def assert_on_white(encoded: Encoded, colour: np.ndarray, alpha: np.ndarray) -> None:
    found = decoded(encoded)
    assert np.abs(found - on_white(colour, alpha)).max() <= 0.51, "more than rounding"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colour_with_alpha_lies_on_white(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    rgba = levels(4)
    assert_on_white(encode(image("RGBA"), kind, **options), rgba[:, :, :3], rgba[:, :, 3:])


def test_grey_with_alpha_stays_grey_and_lies_on_white() -> None:
    grey_alpha = levels(2)
    encoded = encode(image("LA"), "PNG")
    assert header(encoded) == (WIDTH, HEIGHT, True)
    assert_on_white(encoded, grey_alpha[:, :, 0], grey_alpha[:, :, 1])


def test_a_palette_with_alpha_lies_on_white() -> None:
    index = levels(1, most=15)[:, :, 0]
    colours = np.arange(48).reshape(16, 3) * 5
    for alpha in (np.arange(16) * 17, np.where(np.arange(16) == 3, 0, 255)):
        paletted = Image.fromarray(index.astype(np.uint8))
        paletted.putpalette(colours.ravel().tolist())
        encoded = encode(paletted, "PNG", transparency=bytes(alpha.tolist()))
        assert_on_white(encoded, colours[index], alpha[index][:, :, None])
    one = encode(paletted, "GIF", transparency=3)
    assert_on_white(one, colours[index], alpha[index][:, :, None])


@pytest.mark.parametrize(("mode", "key"), [("L", 37), ("RGB", (37, 108, 179)), ("1", 1)])
def test_one_colour_that_stands_for_transparent_becomes_white(mode: str, key: int | tuple[int, ...]) -> None:
    stored = image("RGB" if mode == "RGB" else "L").convert(mode)
    plain, keyed = decoded(encode(stored, "PNG")), decoded(encode(stored, "PNG", transparency=key))
    here = (plain == (255 if mode == "1" else np.array(key))).reshape(HEIGHT, WIDTH, -1).all(axis=2)
    assert here.any()
    assert (keyed[here] == WHITE).all()
    np.testing.assert_array_equal(keyed[~here], plain[~here])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_black_glyphs_on_nothing_are_seen(mode: str) -> None:
    glyph = Image.new("RGBA", (12, 12))
    glyph.paste((0, 0, 0, 255), (3, 4, 8, 9))
    stored = glyph.quantize(4) if mode == "P" else glyph.convert(mode)
    expected = np.full((12, 12), WHITE)
    expected[4:9, 3:8] = 0
    found = decoded(encode(stored, "PNG"))
    np.testing.assert_array_equal(found if found.ndim == 2 else found[:, :, 1], expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_257(kind: str) -> None:
    stored = levels(1, most=65535)[:, :, 0] * 97 % 65536
    stored[0, :4] = 0, 65535, 128, 129  # 128 / 257 rounds down, 129 / 257 up
    encoded = encode(Image.fromarray(stored.astype(np.int32 if kind == "PPM" else np.uint16)), kind)
    np.testing.assert_array_equal(decoded(encoded), np.rint(stored / 257))
    assert decoded(encoded)[0, :4].tolist() == [0, 255, 0, 1]
    assert header(encoded) == (WIDTH, HEIGHT, True)


@pytest.mark.parametrize("dtype", [">u2", "<u2", "<i4"])
def test_every_way_to_store_sixteen_bits_is_read_alike(dtype: str) -> None:
    stored = (levels(1)[:, :, 0] * 257).astype(dtype)
    mode = {">u2": "I;16B", "<u2": "I;16", "<i4": "I"}[dtype]
    encoded = encode(Image.frombytes(mode, (WIDTH, HEIGHT), stored.tobytes()), "TIFF")
    np.testing.assert_array_equal(decoded(encoded), levels(1)[:, :, 0])


def test_sixteen_bits_that_stand_for_transparent_become_white() -> None:
    content = encode(Image.fromarray((levels(1)[:, :, 0] * 257).astype(np.uint16)), "PNG").content
    assert isinstance(content, bytes)
    keyed = content[:33] + chunk(b"tRNS", struct.pack(">H", 37 * 257)) + content[33:]
    expected = levels(1)[:, :, 0]
    np.testing.assert_array_equal(decoded(Encoded("a.png", keyed)), np.where(expected == 37, WHITE, expected))


@pytest.mark.parametrize(("value", "text"), [(70_000, "0 to 70000"), (-1, "-1 to 0")])
def test_more_than_sixteen_bits_are_refused(value: int, text: str) -> None:
    stored = np.zeros((4, 4), np.int32)
    stored[1, 2] = value
    message = rf"^images must have grey levels from 0 to 65535, but those of a\.tiff run from {text}; convert it"
    with pytest.raises(UsageError, match=message):
        picture(encode(Image.fromarray(stored), "TIFF"))


def test_floats_are_refused_with_the_reason() -> None:
    message = r"^images must have whole grey levels, but a\.tiff has floats \(mode F\), whose range no file states;"
    with pytest.raises(UsageError, match=message):
        picture(encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


ORDINARY = [("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("CMYK", "TIFF"), ("CMYK", "JPEG"), ("YCbCr", "JPEG"),
            ("LAB", "TIFF"), ("RGB", "BMP"), ("RGB", "PPM"), ("L", "PPM"), ("RGB", "GIF"), ("RGB", "WEBP")]  # fmt: skip


@pytest.mark.parametrize(("mode", "kind"), ORDINARY)
def test_ordinary_modes_are_converted_as_pillow_does(mode: str, kind: str) -> None:
    stored = image("RGB").convert(mode) if mode in ("P", "1") else image(mode)
    encoded = encode(stored, kind)
    grey = mode in ("1", "L")
    assert picture(encoded).mode == ("L" if grey else "RGB")
    np.testing.assert_array_equal(decoded(encoded), as_pillow_reads(encoded).convert("L" if grey else "RGB"))
    assert header(encoded) == (WIDTH, HEIGHT, grey)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decoded(encoded) == (200, 0, 0)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_whatever_is_cut_off_or_garbled_is_one_line_that_names_the_file(kind: str) -> None:
    rng = np.random.default_rng(0)
    whole = encode(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)), kind).content
    assert isinstance(whole, bytes)
    for end in (0, 1, 10, len(whole) // 4, len(whole) // 2):
        with pytest.raises(MissingDataError, match=r"^cut cannot be decoded as an image; replace it$"):
            picture(Encoded("cut", whole[:end]))
    for place in rng.integers(0, len(whole), 60):
        garbled = bytearray(whole)
        garbled[place] ^= 0xFF
        with suppress(MissingDataError, UsageError):
            assert picture(Encoded("x", bytes(garbled))).mode in ("L", "RGB")


def test_a_file_that_is_not_there_or_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_text("<html>404 not found</html>")
    for name in ("a.jpg", "b.jpg"):
        for read in (picture, header):
            with pytest.raises(MissingDataError, match=f"^{name} cannot be decoded as an image; replace it$"):
                read(Encoded(name, tmp_path / name))


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    ihdr = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    idat = zlib.compress(bytes(1000))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")
    message = r"^bomb\.png has more than 89,478,485 pixels, Pillow's bound against decompression bombs; shrink or remo"
    for read in (picture, header):
        with pytest.raises(MissingDataError, match=message):
            read(Encoded("bomb.png", bomb))


@pytest.mark.parametrize(("side", "refused"), [(10, False), (11, True), (15, True)])
def test_the_bound_against_bombs_is_pillows(side: int, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    encoded = encode(Image.new("L", (side, side)), "PNG")
    if refused:
        with pytest.raises(MissingDataError, match=r"^a\.png has more than 100 pixels"):
            picture(encoded)
    else:
        assert picture(encoded).size == (side, side)
