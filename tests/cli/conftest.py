"""Runs the command line in this process, as typed, and a finished study of seconds to run it on."""

import contextlib
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from restool.cli import main

MODEL = ("--model", "flexnet[4,4]-conv3")
SMALL = (*MODEL, "--limit", "20", "--batch-size", "10", "--epochs", "2", "--train", "8")
STUDY = (*SMALL, "--test", "10,12", "--protocols", "as-is,resize")


@dataclass(frozen=True)
class Answer:
    """What a command line ended with."""

    status: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line of an error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("restool: ")
        return lines[0].removeprefix("restool: ")


Restool = Callable[..., Answer]


def run(*arguments: object) -> Answer:
    """What `restool ARGUMENTS` prints and its exit status."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["restool", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    return Answer(end.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def restool() -> Restool:
    return run


@pytest.fixture(scope="session")
def study_options() -> tuple[str, ...]:
    """Of the study in `swept`."""
    return STUDY


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Its options for training alone."""
    return SMALL


@pytest.fixture(scope="session")
def _swept(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("swept") / "out"
    answer = run("sweep", *STUDY, "--out", out)
    assert answer.status == 0, answer.err
    return out


@pytest.fixture
def swept(_swept, tmp_path) -> Path:
    """A copy of a results folder with a finished sweep."""
    return Path(shutil.copytree(_swept, tmp_path / "swept"))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
