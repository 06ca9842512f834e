"""Whatever happens to a file of a data set is told, or the data set is another by its fingerprint, or just the same."""

import io

import pytest
from damaging import DAMAGES, damaged, unless_refused
from PIL import Image
from storing import labels, pixels, png, write_folders, write_parquet

from restool.data import load

TIMES = 6
"""So often each kind of damage is tried on each kind of file."""


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG")
    return buffer.getvalue()


def parquet(folder):
    """A data set, the file of it that is to be damaged, and one that is not."""
    for part in ("train", "test"):
        write_parquet(folder / f"{part}.parquet", [png(image) for image in pixels(part)], labels(part).tolist())
    return f"parquet:{folder}", folder / "train.parquet", folder / "test.parquet"


def image(encode):
    """Likewise, of image files."""

    def written(folder):
        write_folders(folder)
        file, other = folder / "train/class0/000.png", folder / "train/class1/001.png"
        file.write_bytes(encode(pixels("train")[0]))
        return f"folder:{folder}", file, other

    return written


def read(name, file):
    """Fingerprint, and all labels and bytes of a data set; None if it is refused in a line that names the file."""

    def content():
        dataset = load(name)
        parts = [dataset.split(part, 10) for part in dataset.counts]
        return dataset.fingerprint, [(part.labels.tolist(), part.images.numpy().tobytes()) for part in parts]

    return unless_refused(content, file.name)


@pytest.mark.parametrize("write", [parquet, image(png), image(jpeg)], ids=["parquet", "png", "jpeg"])
def test_damage_of_any_kind_is_told_or_makes_another_data_set_or_none_at_all(write, tmp_path):
    name, file, other = write(tmp_path)
    whole, refused = read(name, file), 0
    versions = damaged(file.read_bytes(), other.read_bytes(), TIMES)
    for kind, content in versions:
        file.write_bytes(content)
        now = read(name, file)
        refused += now is None
        assert now is None or (now[0] == whole[0]) == (now[1] == whole[1]), kind
    assert len(versions) == 2 + TIMES * len(DAMAGES)
    assert 0 < refused < len(versions)
