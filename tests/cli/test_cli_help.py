"""Help: complete, understandable without torch, and loaded without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import restool as package

HEAVY = {"torch", "torchvision", "numpy", "pandas", "matplotlib", "seaborn", "scipy", "PIL", "pyarrow", "safetensors"}
COMMANDS = ["sweep", "finetune", "train", "evaluate", "diagnose", "report", "compare", "study", "bench", "figure"]
COMMANDS += ["check", "export", "import", "ls"]
COMMON = ["--model", "--dataset", "--train", "--seeds", "--epochs", "--limit", "--device", "--out", "--time-limit"]


def test_help_needs_no_heavy_library():
    code = "import sys, json, restool.cli.app; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert "typer" in loaded
    assert not HEAVY & set(loaded)


def test_a_heavy_library_would_be_noticed():
    code = "import sys, json, numpy; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert HEAVY & set(loaded)


def test_help_lists_every_command_and_where_to_start(restool):
    answer = restool("--help")
    assert answer.status == 0
    assert not answer.err
    assert all(f" {command} " in answer.out for command in COMMANDS)
    assert "restool sweep --train 16 --test 28..36" in answer.out


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("sweep", [*COMMON, "--test", "--protocols", "--finetune-epochs", "--dry-run", "--json", "--alias-penalty"]),
        ("finetune", [*COMMON, "--test", "--protocols", "--source-epochs", "--dry-run", "--json", "--alias-penalty"]),
        ("train", [*COMMON, "--json", "--alias-penalty"]),
        ("evaluate", ["FILE", "--test", "--dataset", "--protocols", "--limit", "--device", "--json"]),
        ("diagnose", ["FILE", "--to", "--dataset", "--limit", "--device", "--json"]),
        ("report", ["DIR", "--json", "--page", "--metric"]),
        ("export", ["csv|jsonl|tensorboard", "DIR", "--to"]),
        ("compare", ["A", "B", "--fail-below", "--json"]),
        ("import", ["flexconv:FILE.pt", "--reference-size", "--out", "--json"]),
        ("figure", ["kernel", "kernels", "training"]),
        ("ls", ["models", "datasets", "runs"]),
    ],
)
def test_the_help_of_a_command_names_all_it_takes_and_shows_an_example(restool, command, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    answer = restool(command, "-h")
    assert answer.status == 0
    assert [option for option in options if option not in answer.out] == []
    assert command == "ls" or f"restool {command} " in answer.out.split("Usage:")[1].split("\n", 1)[1]


def test_no_command_shows_help_and_ends_as_a_usage_error(restool):
    answer = restool()
    assert answer.status == 2
    assert "Usage: restool" in answer.out
    assert not answer.err


def test_the_version_is_the_packages(restool):
    assert restool("--version").out == f"restool {package.__version__}\n"


def test_python_dash_m_is_the_same_program():
    answer = subprocess.run([sys.executable, "-m", "restool", "--version"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, f"restool {package.__version__}\n")


def test_the_shell_completes_commands_and_options(restool, monkeypatch):
    monkeypatch.setenv("_RESTOOL_COMPLETE", "complete_bash")
    for words, wanted in (
        ("restool sw", "sweep"),
        ("restool sweep --alias-p", "--alias-penalty"),
        ("restool ls m", "models"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        assert restool().out.split() == [wanted]


def test_there_is_a_completion_script(restool, monkeypatch):
    monkeypatch.setenv("_RESTOOL_COMPLETE", "source_bash")  # --show-completion asks which shell started the tests
    answer = restool()
    assert answer.status == 0
    assert "complete -o default -F _restool_completion restool" in answer.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_output_that_cannot_be_written_is_an_error():
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "restool", "--version"]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered)
    assert answer.returncode == 2
    assert answer.stderr == "restool: cannot use: No space left on device; free the disk or choose another folder\n"
