"""`restool bench` as typed: what it prints and writes, and what it refuses."""

import json

import pytest

from restool.bench.harness import machine
from restool.bench.harness.compare import InaccurateError
from restool.bench.work.candidates import METHODS

QUICK = ("--repeats", 1, "--batch", 2)
COMMON = ["--size", "--batch", "--device", "--threads", "--repeats", "--seconds", "--give-up", "--out", "--json"]
MODEL = ("--model", "flexnet[4,6]")


@pytest.fixture(autouse=True)
def quick_machine(monkeypatch):
    """Ceilings from matrices and buffers so small that they mean nothing."""
    monkeypatch.setattr(machine, "SIDE", 32)
    monkeypatch.setattr(machine, "COPIED", 1024)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "layer",
            [
                *COMMON,
                "--length",
                "--dims",
                "--sigma",
                "--channels",
                "--backward",
                "--forward",
                "--candidates",
                "--candidate",
            ],
        ),
        ("step", [*COMMON, "--length", "--model", "--sigma", "--memory", "--candidates", "--candidate"]),
        ("eval", [*COMMON, "--model", "--source", "--sigma", "--candidate"]),
        ("data", [*COMMON, "--images", "--workers"]),
        ("figure", ["DIR"]),
    ],
)
def test_the_help_of_a_benchmark_names_all_it_takes_and_shows_an_example(restool, command, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    answer = restool("bench", command, "--help")
    assert answer.status == 0
    assert [option for option in options if option not in answer.out] == []
    assert f"restool bench {command} " in answer.out.split("Usage:")[1].split("\n", 1)[1]


def test_the_benchmarks_are_listed(restool):
    answer = restool("bench", "--help")
    assert all(f" {command} " in answer.out for command in ("layer", "step", "eval", "data", "figure"))


@pytest.mark.parametrize(
    ("command", "baseline", "others"),
    [
        (("layer", "--size", "8,9", "--sigma", "whole", "--channels", "2:3"), "conv2d", METHODS),
        (("step", *MODEL, "--size", "8,9", "--candidates", "auto,fft"), "conv2d", ("auto", "fft")),
        (("eval", *MODEL, "--source", 8, "--size", "8,9"), "conv2d", ("conv2d-cached", "restool")),
        (("data", "--size", "8,9", "--images", 3), "torchvision", ("restool",)),
    ],
    ids=["layer", "step", "eval", "data"],
)
def test_a_benchmark_prints_one_json_object_and_writes_the_same(restool, here, command, baseline, others):
    answer = restool("bench", *command, *QUICK, "--threads", 1, "--out", "out", "--json")
    assert answer.status == 0, answer.err
    record = json.loads(answer.out)
    kind = command[0]
    assert json.loads((here / "out" / f"bench-{kind}.json").read_text()) == record
    assert {path.name for path in (here / "out").iterdir()} == {
        f"bench-{kind}.{suffix}" for suffix in ("json", "md", "png", "pdf")
    }
    assert answer.err.splitlines()[-1].startswith(f"wrote out/bench-{kind}.json, ")
    assert (record["kind"], record["settings"]["batch"], record["environment"]["threads"]) == (kind, 2, 1)
    assert record["environment"].keys() >= {"device", "load", "torch", "torchvision", "restool", "git", "python"}
    assert all(rate > 0 for rate in record["machine"].values())
    assert [(row["size"], row["candidate"]) for row in record["rows"]] == [
        (size, name) for size in (8, 9) for name in (baseline, *others)
    ]
    for row in record["rows"]:
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert row["calls"] == 1
        assert row["first_call"] > 0
        assert row["times_floor"] == pytest.approx(row["median"] / row["floor"])


def test_sequences_are_measured_by_their_length_and_several_models_in_one_table(restool, here):
    step = ("bench", "step", "--model", "dilrnn,flextcn[4]", "--length", 12, "--candidates", "auto", *QUICK)
    answer = restool(*step, "--json", "--out", "out")
    assert answer.status == 0, answer.err
    rows = json.loads(answer.out)["rows"]
    assert [(row["model"], row["size"], row["unit"], row["candidate"]) for row in rows] == [
        ("dilrnn", 12, "steps", "loop"), ("dilrnn", 12, "steps", "restool"),
        ("flextcn[4]", 12, "steps", "conv1d"), ("flextcn[4]", 12, "steps", "auto"),
    ]  # fmt: skip
    assert {path.name for path in (here / "out").iterdir()} == {"bench-step.json", "bench-step.md"}
    table = (here / "out" / "bench-step.md").read_text()
    assert table.startswith("# A training step of 2 models, batch 2\n")
    answer = restool("bench", "layer", "--dims", 1, "--length", 12, "--candidates", "conv1d", *QUICK)
    assert answer.status == 0, answer.err
    assert answer.out.startswith("One causal continuous layer, ")
    assert "\n12 steps, sigma 0.3, " in answer.out


def test_the_table_has_a_block_for_every_case_and_nothing_is_written_unasked(restool, here):
    answer = restool(
        "bench", "layer", "--size", "8", "--sigma", "0.2,whole", "--candidates", "dft", "--forward", *QUICK
    )
    assert answer.status == 0, answer.err
    title, _, ceilings, *rest = answer.out.splitlines()
    assert title == "One continuous layer, 24 to 24 channels, batch 2, forward"
    assert ceilings.startswith("Measured ceilings: ")
    assert [line.split(";")[0] for line in rest if line.startswith("8 px")] == [
        "8 px, sigma 0.2, 3 taps", "8 px, sigma whole, 9 taps",
    ]  # fmt: skip
    assert [line.split()[0] for line in rest if line.startswith(("conv2d", "dft"))] == ["conv2d", "dft"] * 2
    assert not list(here.iterdir())


def test_the_figure_is_made_anew_from_the_record(restool, here):
    restool("bench", "data", "--images", 3, "--size", "8,9", *QUICK, "--out", "out")
    before = {path: path.read_bytes() for path in (here / "out").iterdir()}
    for path in before:
        if path.suffix != ".json":
            path.unlink()
    answer = restool("bench", "figure", "out")
    assert (answer.status, answer.out.split()) == (0, [f"out/bench-data.{suffix}" for suffix in ("md", "png", "pdf")])
    assert {path: path.read_bytes() for path in before} == before


def test_photographs_are_measured_and_their_figure_is_made_anew(restool, here):
    options = ("--images", 3, "--batch", 2, "--size", 8, *QUICK, "--out", "out")
    answer = restool("bench", "data", "--photographs", *options)
    assert answer.status == 0, answer.err
    assert answer.out.startswith("Input pipeline, 3 images of 500x375 px, batch 2")
    before = {path: path.read_bytes() for path in (here / "out").iterdir()}
    assert restool("bench", "figure", "out").status == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_module_of_the_users_takes_part(restool, here, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (here / "own_cli.py").write_text(
        "import torch\n"
        "class Right(torch.nn.Conv2d):\n    pass\n"
        "class Rounding(torch.nn.Conv2d):\n"
        "    def forward(self, images):\n"
        "        output = super().forward(images)\n"
        "        return output if output.dtype == torch.float64 else output.bfloat16().float()\n"
        "def right(i, o):\n    return Right(i, o, 3, padding=1)\n"
        "def rounding(i, o):\n    return Rounding(i, o, 3, padding=1)\n"
    )
    layer = ("bench", "layer", "--size", "8", "--candidates", "conv2d", *QUICK)
    answer = restool(*layer, "--candidate", "own_cli:right", "--json")
    assert answer.status == 0, answer.err
    assert [row["candidate"] for row in json.loads(answer.out)["rows"]] == ["conv2d", "own_cli:right"]
    answer = restool(*layer, "--candidate", "own_cli:rounding", "--out", "out")
    assert answer.status == InaccurateError.exit_status
    assert "candidate own_cli:rounding is wrong at 8 px, sigma 0.3: output error " in answer.err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layer", "--size", "3"], "--size must hold values of at least 4, but is 3"),
        (
            ["layer", "--sigma", "wide"],
            "--sigma must be initial, whole or numbers above 0 up to 1e30 such as 0.05,0.",
        ),
        (["layer", "--channels", "a:b"], "--channels must be a number, or two as in 24:48, but is 'a:b'"),
        (["layer", "--channels", "0"], "--channels must be at least 1, but is 0"),
        (
            ["layer", "--candidates", "dtf"],
            "--candidates must be names out of conv1d, conv2d, auto, direct, fft, basis, dft, but is 'dtf'; the n",
        ),
        (["layer", "--candidate", "mine"], "--candidate must be package.module:factory, but is 'mine'"),
        (["layer", "--batch", "0"], "--batch must be at least 1, but is 0"),
        (["layer", "--repeats", "0"], "--repeats must be at least 1, but is 0"),
        (["layer", "--seconds", "-1"], "--seconds must be above 0, but is -1.0"),
        (["layer", "--seconds", "long"], "invalid value for '--seconds': it takes a number, but got 'long'"),
        (["layer", "--threads", "0"], "--threads must be at least 1, but is 0"),
        (["step", "--batch", "1"], "--batch must be at least 2 (batch norm needs it), but is 1"),
        (["step", "--model", "flexnet-8"], "unknown model 'flexnet-8'; the nearest is "),
        (
            ["step", "--model", "ckcnn-7-magnet", "--sigma", "0.3"],
            "--sigma must be initial or whole where there is no mask, but is '0.3'",
        ),
        (["layer", "--dims", "3"], "--dims must be at most 2, but is 3"),
        (
            ["step", "--model", "flextcn-2,cornn", "--penalties", "gabor"],
            "--penalties must be left out for cornn, but is 'gabor'; it has no continuous kernels",
        ),
        (
            ["step", "--model", "cornn", "--sigma", "initial,whole"],
            "--sigma must be initial for cornn, but is 'initial,whole'; it has no continuous kernels",
        ),
        (["step", "--model", "flexnet-7-njet"], "flexnet-7-njet has no continuous kernels to compare methods on; "),
        (["eval", "--model", "tcn"], "tcn takes sequences, and this benchmark shows images; choose an image model"),
        (["eval", "--source", "2"], "--source must be at least 4, but is 2"),
        (["data", "--workers", "-1"], "--workers must be at least 0, but is -1"),
        (["figure"], "missing argument 'DIR'; see `restool bench figure --help`"),
        (["layr"], "no such command 'layr'. Did you mean 'layer'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_benchmark_that_cannot_be_run_says_why_before_it_measures_anything(
    restool, here, monkeypatch, arguments, message
):
    monkeypatch.setattr("restool.bench.harness.run.measure_machine", lambda device: pytest.fail("it was measured"))
    answer = restool("bench", *arguments)
    assert answer.status == 2
    lines = [line for line in answer.err.splitlines() if line.startswith("restool: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"restool: {message}")
    assert not answer.out
    assert not list(here.iterdir())


def test_a_folder_without_records_is_missing_data(restool, here):
    answer = restool("bench", "figure", ".")
    assert (answer.status, answer.message) == (
        4, "no bench-*.json in .; a benchmark that writes into it makes one",
    )  # fmt: skip
