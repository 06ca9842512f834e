"""Progress: bars on a terminal, few lines in a log file, and the stop of a time limit."""

import contextlib
import io
import os
import re
import time
from collections.abc import Iterator

import pytest

from restool.errors import ArgumentError
from restool.transfer import progress
from restool.transfer.progress import Limited, ProgressBars, TimeLimitReached

FIGURES = {"loss": 1.2345, "validation_accuracy": 0.5}


class Terminal(io.StringIO):
    """Text that was written to a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2  # asked for the width of the terminal

    @property
    def final(self) -> list[str]:
        """Lines as they stand on the screen in the end."""
        lines = (line.rpartition("\r")[2].rstrip() for line in self.getvalue().split("\n"))
        return [line for line in lines if line]


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    """Collects what goes to stderr as if it were a terminal."""
    with contextlib.redirect_stderr(Terminal()) as screen:
        yield screen


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def work(bars: ProgressBars, text: str, steps: int, epochs: int = 0, done: int = 0) -> None:
    with bars.activity(text, steps, done) as watch:
        for _ in range(steps - done):
            watch.step()
        for _ in range(epochs):
            watch.epoch(FIGURES)


def test_the_bar_of_a_training_stays_and_that_of_a_test_goes():
    with terminal() as screen:
        work(ProgressBars(), "train", 3, epochs=1)
        work(ProgressBars(), "test", 3)
    assert "test: " in screen.getvalue()
    (left,) = screen.final
    assert re.fullmatch(r"train: 00:00 left, loss 1\.234, val 50\.0 %, 3/3 \[00:00\] .*", left)


def test_a_terminal_of_80_columns_shows_time_left_loss_and_validation_accuracy(monkeypatch):
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    monkeypatch.setenv("COLUMNS", "80")  # older versions of tqdm ask the environment
    monkeypatch.setenv("LINES", "24")
    bars = ProgressBars()
    bars.at(12, 46)
    with terminal() as screen:
        work(bars, "train flexnet-3 at 16 px, seed 0", 3, epochs=1)
    (left,) = screen.final
    assert len(left) <= 80
    assert "left, loss 1.234, val 50.0 %" in left


def test_a_bar_shows_the_time_left():
    with terminal() as screen, ProgressBars().activity("train", 100) as watch:
        for _ in range(10):
            watch.step()
            time.sleep(0.02)
    assert re.search(r"train: 00:0\d left, [1-9]0?/100 \[00:00\]", screen.getvalue())


def test_a_resumed_bar_starts_where_the_work_stands():
    with terminal() as screen, ProgressBars().activity("train", 100, done=40):
        assert " 40/100 " in screen.getvalue()


def test_the_position_in_the_study_comes_first():
    bars = ProgressBars()
    bars.at(3, 46)
    with terminal() as screen:
        work(bars, "train", 1, epochs=1)
    assert screen.final[0].startswith("[3/46] train: ")


def test_the_time_that_the_whole_run_still_takes_is_told_at_the_pace_so_far(capsys, clock):
    bars = ProgressBars()
    for number in (11, 12, 13):  # a resumed run, five seconds for each cell
        bars.at(number, 20)
        work(bars, "train", 1, epochs=1)
        clock.now += 5
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("val 50.0 %")[2] for line in lines] == ["", ", 00:45 for all", ", 00:40 for all"]
    bars.at(14, 20)
    with terminal() as screen:
        work(bars, "train", 1, epochs=1)
    assert ", 00:35 for all]" in screen.final[0]
    bars.at(1, 3)  # the next sweep of a study
    work(bars, "train", 1, epochs=1)
    assert "for all" not in capsys.readouterr().err


def test_a_log_file_gets_one_line_per_training_and_none_for_a_short_test(capsys):
    bars = ProgressBars()
    work(bars, "train", 3, epochs=8)
    work(bars, "test", 3)
    assert capsys.readouterr().err == "train: step 3 of 3, 00:00 left, loss 1.234, val 50.0 %\n"


def test_a_log_file_gets_a_line_each_half_minute_with_the_time_left(capsys, clock):
    bars = ProgressBars()
    with bars.activity("train", 100, done=40) as watch:
        for _ in range(31):  # a step a second since the 40th: 29 remain
            clock.now += 1
            watch.step()
        assert capsys.readouterr().err == "train: step 70 of 100, 00:30 left\n"
    work(bars, "test", 3)
    assert capsys.readouterr().err == ""


def test_half_a_minute_is_counted_across_activities(capsys, clock):
    bars = ProgressBars()
    for index in range(10):
        with bars.activity(f"test {index}", 1) as watch:
            clock.now += 10
            watch.step()
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["test 2", "test 5", "test 8"]


def test_the_time_limit_stops_at_the_first_step_after_it(clock):
    with Limited(ProgressBars(), 0.5).activity("train", 100) as watch:
        for seconds in (10, 29, 30):
            clock.now = 1000 + seconds
            watch.step()
        clock.now = 1030.5
        with pytest.raises(TimeLimitReached):
            watch.step()


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_a_time_limit_is_a_positive_number_of_minutes(minutes):
    with pytest.raises(ArgumentError, match=f"^`time_limit` must be above 0 minutes, but is {minutes}$"):
        Limited(ProgressBars(), minutes)


def test_what_is_told_under_a_time_limit_is_told_all_the_same(capsys):
    told = []
    for wrapped in (False, True):
        bars = Limited(ProgressBars(), 1) if wrapped else ProgressBars()
        bars.at(2, 5)
        work(bars, "train", 3, epochs=1)
        bars.waiting(3)
        bars.failed("flexnet-3 16 px", RuntimeError("the loss became nan"))
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert told[0].startswith("[2/5] train: step 3 of 3, ")


def test_a_failed_cell_is_one_line(capsys):
    ProgressBars().failed("flexnet-3 16 px", RuntimeError("the loss became nan\nin epoch 3"))
    assert capsys.readouterr().err == "restool: failed: flexnet-3 16 px: the loss became nan\n"


def test_a_failed_cell_is_told_in_the_words_of_who_listens(capsys):
    bars = ProgressBars(lambda error: f"{type(error).__name__} of {error}")
    bars.failed("flexnet-3 16 px", ValueError("rate"))
    assert capsys.readouterr().err == "restool: failed: flexnet-3 16 px: ValueError of rate\n"


def test_waiting_for_another_process_is_told_once(capsys):
    bars = ProgressBars()
    for cells in (3, 2, 1):
        bars.waiting(cells)
    assert capsys.readouterr().err == "restool: waiting for 3 cells that another process works on\n"
