"""Laws of records, tables and figures: derived from the record alone, and showing what it says."""

import copy
import json

import numpy as np
import pytest

from restool.bench.harness.figure import draw
from restool.bench.harness.record import read, rebuild, write
from restool.bench.harness.table import blocks, digits, duration, markdown, text, tick
from restool.errors import MissingDataError, UsageError

TABLE = """\
One continuous layer, 24 to 48 channels, batch 64, forward and backward
A processor, 2 threads, load 0.0 at the start, torch 2.5.0, torchvision 0.20.0, python 3.11.7, restool 0.1.0
Measured ceilings: 150 GFLOP/s, 20 GB/s

16 px, sigma 0.3, 9 taps; floor 1.60 ms, 75% arithmetic
candidate    median           quartiles  calls  speed-up  first call  output error  gradient error  times floor
conv2d       1.60 s    1.44 s .. 2.40 s     30     1.00x      3.20 s         2e-07           3e-06        1000x
auto (dft)  12.3 ms  11.1 ms .. 18.5 ms     30      130x     24.7 ms         2e-07           3e-06        7.72x

32 px, sigma 0.3, 17 taps; floor 3.20 ms, 75% arithmetic
candidate     median          quartiles  calls  speed-up  first call  output error  gradient error  times floor
conv2d        3.20 s   2.88 s .. 4.80 s     30     1.00x      6.40 s         2e-07           3e-06        1000x
auto (basis)  100 ms  90.0 ms .. 150 ms     30     32.0x      200 ms         2e-07           3e-06        31.2x"""


def test_the_table_says_what_the_record_holds(record):
    assert text(record) == TABLE


def test_the_markdown_table_has_the_same_cells(record):
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(record).splitlines()
        if line.startswith("|")
    ]
    assert cells[0] == cells[4]
    assert set(cells[1][1]) == {"-", ":"}
    plain = [line for line in TABLE.splitlines() if line.startswith(("conv2d", "auto"))]
    assert [" ".join(line.split()) for line in plain] == [" ".join(cells[index]) for index in (2, 3, 6, 7)]


def test_columns_without_a_value_are_left_out_and_a_missing_value_is_blank(record):
    [first, second, *_] = record["rows"]
    first |= {"images_per_second": 1234.5, "peak_memory": 1_234_000_000, "start_memory": 700_000_000}
    second |= {"ratio": None, "errors": {}}
    lines = text(record).splitlines()
    header, ours = lines[5].split("  "), lines[7]
    assert [name.strip() for name in header if name][-3:] == ["images/s", "peak memory", "before a step"]
    assert lines[6].split("  ")[-1].strip() == "0.70 GB"
    assert "1234" in lines[6]
    assert "1.23 GB" in lines[6]
    assert ours.split() == ["auto", "(dft)", *"12.3 ms 11.1 ms .. 18.5 ms 30 24.7 ms 7.72x".split()]
    assert "images/s" not in lines[10]


@pytest.fixture
def sequences(record):
    """Two systems at 784 steps: one by a loop and as it is, one with kernels."""
    for row in record["rows"]:
        row |= {"size": 784, "unit": "steps", "model": "flextcn-2" if "sigma" in row else ""}
    for row, name in zip(record["rows"][:2], ("loop", "restool"), strict=True):
        row |= {"model": "r-lstm", "candidate": name, "chosen": None}
        for key in ("sigma", "taps", "floor", "floor_arithmetic", "times_floor"):
            del row[key]
    return record | {"kind": "step", "settings": {"batch": 64, "model": "r-lstm, flextcn-2"}}


def test_several_models_stand_in_one_table_before_their_own(sequences):
    lines = text(sequences).splitlines()
    assert lines[0] == "A training step of 2 models, batch 64"
    assert lines[4:7] == [
        "model          input  sigma  plain way  median     beside it   median  speed-up",
        "r-lstm     784 steps              loop  1.60 s       restool  12.3 ms      130x",
        "flextcn-2  784 steps    0.3     conv2d  3.20 s  auto (basis)   100 ms     32.0x",
    ]
    headings = [line for line in lines if line.startswith(("r-lstm, ", "flextcn-2, "))]
    assert headings == [
        "r-lstm, 784 steps", "flextcn-2, 784 steps, sigma 0.3, 17 taps; floor 3.20 ms, 75% arithmetic",
    ]  # fmt: skip
    assert "times floor" not in lines[9]
    assert "| r-lstm    | 784 steps |" in markdown(sequences)
    assert draw(sequences) is None


def test_one_model_is_named_in_the_title_alone(sequences):
    sequences["rows"], sequences["settings"]["model"] = sequences["rows"][:2], "r-lstm"
    lines = text(sequences).splitlines()
    assert (lines[0], lines[4]) == ("A training step of r-lstm, batch 64", "784 steps")


def test_the_figure_of_sequences_has_their_words_and_no_floor_where_none_was_counted(sequences):
    sequences["rows"] = sequences["rows"][:2] + [row | {"size": 1024} for row in sequences["rows"][:2]]
    [ax] = draw(sequences).axes
    assert ax.get_xlabel() == "sequence length in steps"
    assert lines_of(ax).keys() == {"loop", "restool"}


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("layer", {"backward": False}, "One continuous layer, 24 to 48 channels, batch 64, forward"),
        (
            "layer",
            {"backward": False, "dims": 1},
            "One causal continuous layer, 24 to 48 channels, batch 64, forward",
        ),
        ("step", {"model": "flexnet-7"}, "A training step of flexnet-7, batch 64"),
        ("eval", {"model": "flexnet-7", "source": 16}, "Evaluation of flexnet-7 from 16 px, batch 64"),
        ("data", {"images": 2000, "stored": 32}, "Input pipeline, 2000 images of 32 px, batch 64"),
    ],
)
def test_the_title_says_what_was_measured(record, kind, settings, expected):
    record |= {"kind": kind, "settings": record["settings"] | settings}
    assert text(record).splitlines()[0] == expected
    assert draw(record) is not None


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (145.2, "145 s"), (1.0, "1.00 s"), (0.9999, "1.00 s"), (0.0999, "99.9 ms"), (0.001, "1.00 ms"),
        (0.00099999, "1.00 ms"), (2.5e-5, "25.0 µs"), (1e-8, "0.010 µs"), (0.0, "0.000 µs"),
    ],
)  # fmt: skip
def test_a_duration_has_three_digits_and_a_unit(seconds, written):
    assert duration(seconds) == written


def test_numbers_have_three_digits_and_no_exponent():
    assert [digits(value) for value in (0.0123, 0.999, 9.994, 9.996, 99.96, 12345.6)] == [
        "0.012", "1.00", "9.99", "10.0", "100", "12346",
    ]  # fmt: skip
    assert [tick(seconds) for seconds in (2e-4, 0.05, 20)] == ["200 µs", "50 ms", "20 s"]


def test_a_case_is_a_block_whatever_its_neighbours(record):
    for row in record["rows"][2:]:
        row |= {"size": 16, "sigma": "whole"}
    headings = [heading.split(";")[0] for heading, _ in blocks(record)]
    assert headings == ["16 px, sigma 0.3, 9 taps", "16 px, sigma whole, 17 taps"]


def lines_of(ax):
    return {line.get_label(): (line.get_linestyle(), *map(list, line.get_data())) for line in ax.lines}


def test_the_figure_draws_every_candidate_and_the_floor_over_the_image_size(record):
    figure = draw(record)
    [ax] = figure.axes
    lines = lines_of(ax)
    assert lines["conv2d"] == ("-", [16, 32], [1.6, 3.2])
    assert lines["auto"] == ("-", [16, 32], [0.0123456, 0.1])
    assert lines["floor"] == ("--", [16, 32], pytest.approx([1.6e-3, 3.2e-3]))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_title()) == ("image size in pixels a side", "sigma 0.3")
    bands = [band.get_datalim(ax.transData).intervaly for band in ax.collections]
    assert np.allclose(bands, [(0.9 * 1.6, 1.5 * 3.2), (0.9 * 0.0123456, 0.15)])
    assert ax.lines[0].get_color() == (0, 0, 0)


def test_the_axis_is_the_kernel_size_where_that_alone_varies(record):
    for row in record["rows"]:
        row |= {"size": 32, "sigma": "0.1" if row["taps"] == 9 else "0.3"}
    [ax] = draw(record).axes
    assert (ax.get_xlabel(), ax.get_title()) == ("kernel size in taps a side", "32 px")
    assert lines_of(ax)["conv2d"] == ("-", [9, 17], [1.6, 3.2])


def test_where_both_vary_every_width_has_a_panel(record):
    wide = copy.deepcopy(record["rows"])
    for row in wide:
        row |= {"sigma": "whole", "median": 2 * row["median"]}
    record["rows"] += wide
    axes = draw(record).axes
    assert [ax.get_title() for ax in axes] == ["sigma 0.3", "sigma whole"]
    assert lines_of(axes[1])["conv2d"] == ("-", [16, 32], [3.2, 6.4])


def test_a_candidate_that_was_left_out_ends_where_it_did(record):
    record["rows"] = [row for row in record["rows"] if (row["size"], row["candidate"]) != (32, "conv2d")]
    assert lines_of(draw(record).axes[0])["conv2d"] == ("-", [16], [1.6])


def test_there_is_no_figure_where_nothing_varies(record, tmp_path):
    record["rows"] = record["rows"][:2]
    assert draw(record) is None
    assert [path.name for path in write(tmp_path, record)] == ["bench-layer.json", "bench-layer.md"]


def test_what_is_written_is_read_again(record, tmp_path):
    assert [path.name for path in write(tmp_path / "new", record)] == [
        f"bench-layer.{suffix}" for suffix in ("json", "md", "png", "pdf")
    ]
    assert read(tmp_path / "new" / "bench-layer.json") == record


def test_tables_and_figures_are_a_function_of_the_record(record, tmp_path):
    written = {path: path.read_bytes() for path in write(tmp_path, record)}
    record["kind"], record["settings"] = "step", {"batch": 1, "model": "flexnet-7"}
    written |= {path: path.read_bytes() for path in write(tmp_path, record)}
    derived = [path for path in written if path.suffix != ".json"]
    for path in derived:
        path.unlink()
    assert sorted(rebuild(tmp_path)) == sorted(derived)
    assert {path: path.read_bytes() for path in written} == written


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1', "7", "\x00"])
def test_a_damaged_record_is_refused(tmp_path, content):
    (tmp_path / "bench-layer.json").write_text(content)
    with pytest.raises(UsageError, match=r"bench-layer.json is damaged; measure it again$"):
        rebuild(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_record_of_another_format_is_refused(tmp_path, record):
    (tmp_path / "bench-layer.json").write_text(json.dumps(record | {"format": 2}))
    with pytest.raises(UsageError, match="bench-layer.json was made by another version of restool; measure it again$"):
        rebuild(tmp_path)


def test_a_folder_without_records_says_what_makes_one(tmp_path):
    with pytest.raises(MissingDataError, match=r"^no bench-\*.json in .*; a benchmark that writes into it makes one$"):
        rebuild(tmp_path)
