"""Laws of a grid in parts: together they are the grid, and no source model is trained twice where that can be."""

from itertools import chain

import pytest

from restool.errors import ArgumentError, UsageError
from restool.transfer import open_study
from restool.transfer.shards import part_of, shard_of
from restool.transfer.spread import Spread, spread_of


@pytest.fixture(scope="module")
def cells(lab):
    return lab.plan(seeds=range(5), finetune_epochs=0)


@pytest.mark.parametrize("of", [1, 2, 3, 4, 5, 6, 7, 20, 55])
def test_the_parts_of_a_grid_are_the_grid_in_its_order(cells, of):
    parts = [part_of(cells, number, of) for number in range(1, of + 1)]
    assert list(chain(*parts)) == cells
    counts = [len({cell.run for cell in part}) if of <= 5 else len(part) for part in parts]
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1


@pytest.mark.parametrize("of", [2, 3, 4, 5])
def test_a_source_model_is_whole_in_one_part(cells, of):
    runs = [{cell.run for cell in part_of(cells, number, of)} for number in range(1, of + 1)]
    assert sum(map(len, runs)) == len(set().union(*runs)) == 5


def test_parts_in_folders_of_their_own_make_the_records_of_the_whole(lab, finished, tmp_path):
    records = {}
    for number in (1, 2):
        folder = tmp_path / str(number)
        study = lab.study(folder, shard=(number, 2))
        study.run()
        assert study.missing() == []
        records |= lab.records(folder)
    assert records == lab.records(finished)


@pytest.mark.parametrize(
    "text", ["", "0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", "01/2", "1/1000000", "1 / 2", "²/3"]
)
def test_a_text_that_is_no_part_is_refused(text):
    with pytest.raises(ArgumentError, match="`shard` must be I/N"):
        shard_of(text)


def test_more_parts_than_cells_are_refused(lab, cells, tmp_path):
    with pytest.raises(
        ArgumentError, match="`shard` must be one of at most 55, as many as there are cells, but is '1/56'"
    ):
        part_of(cells, 1, 56)
    with pytest.raises(ArgumentError, match="must be one of at most"):
        open_study(lab.config(), tmp_path, device="cpu", shard="1/1000", progress=lab.progress())


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"workers": 0}, "`workers` must be at least 1, but is 0"),
        ({"workers": 2, "ray": "auto"}, "`workers` are those of this machine and `ray` names a cluster; leave one out"),
        (
            {"ray": "ray://host:10001"},
            "`ray` must be auto or HOST:PORT, such as 10.0.0.1:6379, but is 'ray://host:10001'",
        ),
        ({"ray": ""}, "`ray` must be auto or HOST:PORT"),
        ({"cpus_per_cell": 2}, "`cpus_per_cell` must be left out without `workers` or `ray`, but is 2"),
        ({"gpus_per_cell": 0.0}, "`gpus_per_cell` must be left out without `workers` or `ray`, but is 0.0"),
        ({"workers": 2, "gpus_per_cell": 1.5}, "`gpus_per_cell` must be at most 1 or a whole number, but is 1.5"),
        ({"workers": 2, "gpus_per_cell": 1.0, "device": "cpu"}, "`gpus_per_cell` must be 0 on a CPU, but is 1.0"),
        (
            {"workers": 2, "gpus_per_cell": 0.0, "device": "cuda"},
            "`gpus_per_cell` must be above 0 on a GPU, but is 0.0",
        ),
        (
            {"workers": 2, "device": "cuda:1"},
            "`device` must be auto, cpu or cuda for workers, but is 'cuda:1'; Ray gives",
        ),
        ({"ray": "auto", "device": "tpu"}, "`device` must be auto, cpu or cuda for workers, but is 'tpu'"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_read(lab, tmp_path, choices, told):
    with pytest.raises(UsageError) as error:
        open_study(lab.config(dataset="folder:gone"), tmp_path / "out", progress=lab.progress(), **choices)
    assert str(error.value).startswith(told)
    assert list(tmp_path.iterdir()) == []


def test_one_process_is_what_nobody_asks_ray_for():
    assert spread_of(None, None, None, None, "cuda:1") is None
    assert spread_of(3, None, None, 0.25, "auto") == Spread(workers=3, gpus_per_cell=0.25, device="auto")
