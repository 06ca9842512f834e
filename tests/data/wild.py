"""A made-up folder of photographs as users have them: 40 kinds of size, mode, orientation and naming, and strangers.

From the command line: python tests/data/wild.py DIR [COUNT [SCALE]]
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw

CLASSES = {"bottom": (0.8,), "both": (0.2, 0.8), "middle": (0.5,), "top": (0.2,)}
"""Where dark discs lie on a light ground, as shares of the height: an image that is not turned upright, or whose
transparent ground becomes black, is of another class. A mirror image is of the same."""

PARTS = {"train": 0.7, "test": 0.3}

SIZES = [(64, 64), (80, 60), (60, 80), (96, 64), (48, 48), (33, 47), (60, 120), (100, 75)]

ENCODINGS = [
    ("JPEG", "RGB", ".jpg", 1), ("JPEG", "RGB", ".JPG", 6), ("JPEG", "RGB", ".jpeg", 8), ("JPEG", "L", ".JPEG", 1),
    ("JPEG", "CMYK", ".jpg", 1), ("JPEG", "RGB", ".jfif", 3), ("JPEG", "L", ".jpg", 5), ("JPEG", "RGB", ".jpe", 2),
    ("PNG", "RGB", ".png", 1), ("PNG", "RGB", ".PNG", 7), ("PNG", "L", ".png", 1), ("PNG", "1", ".png", 1),
    ("PNG", "P", ".png", 1), ("PNG", "I;16", ".png", 1), ("PNG", "RGBA", ".png", 1), ("PNG", "LA", ".Png", 4),
    ("GIF", "P", ".gif", 1), ("GIF", "RGBA", ".GIF", 1), ("WEBP", "RGB", ".webp", 6), ("WEBP", "RGBA", ".webp", 1),
]  # fmt: skip
"""Format, mode, ending and EXIF orientation; each comes in two sizes."""

STEMS = ["{:05d}", "IMG {:05d}", "été_{:05d}", "photo.{:05d}.final"]

STRANGERS = [".DS_Store", "train/.DS_Store", "train/top/Thumbs.db", "train/top/._00000.jpg", "test/both/notes.txt",
             "test/.ipynb_checkpoints/00000-checkpoint.png", "train/middle/.ipynb_checkpoints/0.png"]  # fmt: skip

STORED_SO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that was held so stores what it saw: what undoes the turn that the orientation asks for."""


@dataclass(frozen=True)
class Made:
    """A file, relative to the folder, and what is seen on it."""

    path: str
    class_name: str
    size: tuple[int, int]


def write_wild(folder: Path, count: int = 240, *, scale: float = 1.0, seed: int = 0) -> list[Made]:
    """Write `count` images, the kinds in turn, and the strangers; sides of 33 to 120 px are multiplied by `scale`."""
    rng = np.random.default_rng(seed)
    names = list(CLASSES)
    made = []
    for index in range(count):
        part = "train" if index % 10 < 10 * PARTS["train"] else "test"
        kind, class_name = ENCODINGS[index % len(ENCODINGS)], names[index // 3 % len(names)]
        turn = index // len(ENCODINGS) % 2
        width, height = (round(side * scale) for side in SIZES[(index + 5 * turn) % len(SIZES)])
        path = f"{part}/{class_name}/{STEMS[index % len(STEMS)].format(index)}{kind[2]}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _save(folder / path, _scene(class_name, (width, height), rng), kind)
        made.append(Made(path, class_name, (width, height)))
    for stranger in STRANGERS:
        (folder / stranger).parent.mkdir(parents=True, exist_ok=True)
        (folder / stranger).write_bytes(b"\0\5\x16\7")
    return made


def _scene(class_name: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Black discs, opaque, on a light ground with noise, which is transparent black in the alpha channel."""
    width, height = size
    ground = rng.integers(190, 240, 3) + rng.integers(-12, 13, (height, width, 3))
    discs = Image.new("L", size)
    draw, radius = ImageDraw.Draw(discs), 0.13 * min(size)
    for share in CLASSES[class_name]:
        x, y = width * rng.uniform(0.3, 0.7), height * share
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    image = Image.fromarray(ground.astype(np.uint8))
    image.paste((10, 10, 10), mask=discs)
    image.putalpha(discs)
    return image


def _save(file: Path, scene: Image.Image, kind: tuple[str, str, str, int]) -> None:
    encoding, mode, _, orientation = kind
    if mode in ("RGBA", "LA"):
        image = Image.new("RGBA", scene.size)
        image.paste(scene, mask=scene.getchannel("A"))
        image = image.convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(scene.convert("RGB").convert("L")).astype(np.uint16) * 257)
    else:
        image = scene.convert("RGB").convert(mode)
    options: dict[str, object] = {}
    if orientation != 1:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image, options["exif"] = image.transpose(STORED_SO[orientation]), exif
    image.save(file, encoding, **options)


if __name__ == "__main__":
    write_wild(Path(sys.argv[1]), *map(int, sys.argv[2:3]), scale=float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
