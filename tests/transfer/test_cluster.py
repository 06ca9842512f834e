"""Laws of a study that others do: the same bytes as in one process, whoever is lost, and nothing twice."""

import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from restool.errors import UsageError
from restool.records import ResultsFolder
from restool.transfer import Study
from restool.transfer.cluster.driver import MOST_LOST, Driver
from restool.transfer.cluster.messages import File, Task, Under
from restool.transfer.cluster.pool import Ended, Lost
from restool.transfer.cluster.worker import perform
from restool.transfer.progress import Limited, TimeLimitReached


class Handle:
    """What stands for a value in the memory of all machines."""

    def __init__(self, value):
        self.value = value


class Desk:
    """What a `Pool` is to a driver, in this process: tasks are done one after another, each by a worker of its own.

    `loses` is asked after every event whether its worker dies of it.
    """

    cpus, gpus, slots, most_given = 1, 0.0, 1, 2

    def __init__(self, loses: Callable[[Task, object], bool] = lambda task, event: False) -> None:
        self.loses, self.tasks, self.cancelled = loses, [], []
        self._streams = {}
        self._handles = []

    def put(self, value):
        handle = Handle(value)
        self._handles.append(weakref.ref(handle))
        return handle

    @property
    def kept(self):
        """Handles that somebody still holds."""
        return sum(handle() is not None for handle in self._handles)

    def submit(self, token, job, task, checkpoints, answers):
        self.tasks.append(task)
        stream = len(self.tasks)
        self._streams[stream] = (
            task,
            perform(lambda handle: handle.value, f"{token} {stream}", job, task, checkpoints, answers),
        )
        return stream

    def told(self, streams, seconds):
        stream = min(streams)
        task, events = self._streams[stream]
        event = next(events, Ended())
        if self.loses(task, event):
            list(events)  # its thread ends, unheard
            event = Lost("it was killed")
        if isinstance(event, Ended | Lost):
            del self._streams[stream]
        yield stream, event

    def cancel(self, streams):
        self.cancelled += streams
        for stream in streams:
            list(self._streams.pop(stream)[1])  # its thread ends: it would clear the folder of the next one's worker


@pytest.fixture
def drive(lab, tmp_path):
    """Runs the small study on a desk, in `tmp_path / "out"`."""

    def run(desk, progress=None, **choices) -> Study:
        study = lab.study(tmp_path / "out", progress, **choices)
        Driver(study, desk).run()
        return study

    return run


def checkpoints(path):
    return {file.name: file.read_bytes() for file in (path / "checkpoints").iterdir()}


def files(path):
    return sorted(
        str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and "locks" not in str(file)
    )


def test_workers_make_the_files_of_one_process(lab, drive, finished, tmp_path):
    desk = Desk()
    assert drive(desk).failed == []
    assert lab.records(tmp_path / "out") == lab.records(finished)
    assert checkpoints(tmp_path / "out") == checkpoints(finished)
    assert files(tmp_path / "out") == files(finished)
    cells = lab.plan()
    assert [task.cell for task in desk.tasks] == cells
    again = Desk()
    drive(again)
    assert again.tasks == []


def test_a_source_model_is_kept_for_others_as_long_as_it_has_cells_left(lab, tmp_path):
    kept = []

    class Counting(Desk):
        def submit(self, *arguments):
            kept.append((arguments[2].run, self.kept))
            return super().submit(*arguments)

    study, desk = lab.study(tmp_path / "out", seeds=[0, 1, 2], epochs=1, finetune_epochs=0), Counting()
    driver = Driver(study, desk)
    driver.run()
    assert {run for run, _ in kept} == {*study.runs}
    assert max(count for _, count in kept) <= 1 + 2 * 2  # the job, and weights and answers of two models under way
    assert desk.kept == 1  # the job, which the driver holds


def test_logits_come_home_too(lab, drive, tmp_path):
    lab.run(tmp_path / "alone", keep_logits=True)
    drive(Desk(), keep_logits=True)
    assert files(tmp_path / "out") == files(tmp_path / "alone")
    for cell in lab.plan():
        own, other = (ResultsFolder(tmp_path / name).logits(cell.key).read_bytes() for name in ("out", "alone"))
        assert own == other


@pytest.mark.parametrize("kind", [Under, File, Ended])
def test_what_a_lost_worker_did_is_done_again_by_another(lab, drive, finished, tmp_path, kind):
    died = set()

    def loses(task, event):
        dies = isinstance(event, kind) and task not in died
        died.update([task] if dies else [])
        return dies

    desk, progress = Desk(loses), lab.progress()
    assert drive(desk, progress).failed == []
    assert len(died) >= len(lab.plan())
    assert lab.records(tmp_path / "out") == lab.records(finished)
    assert checkpoints(tmp_path / "out") == checkpoints(finished)
    assert files(tmp_path / "out") == files(finished)


def test_a_training_goes_on_from_the_last_epoch_that_came_home(lab, drive, tmp_path, monkeypatch):
    monkeypatch.setattr("restool.transfer.cluster.worker.KEEP_SECONDS", 0.0)
    monkeypatch.setattr("restool.transfer.cluster.worker.TELL_SECONDS", 0.0)
    shares = []

    def loses(task, event):
        if isinstance(event, Under) and event.text.startswith("train"):
            shares.append(event.share)
        return shares[-1] == 0.75 and shares.count(0.75) == 1 and isinstance(event, Under)

    lab.run(tmp_path / "alone", epochs=2, finetune_epochs=0, test=(10,))
    drive(Desk(loses), epochs=2, finetune_epochs=0, test=(10,))
    died = shares.index(0.75)
    assert shares[: died + 1] == [0.0, 0.25, 0.5, 0.75]  # of two epochs of two steps
    assert shares[died + 1 : died + 4] == [0.5, 0.75, 1.0]
    assert checkpoints(tmp_path / "out") == checkpoints(tmp_path / "alone")


def test_a_task_that_kills_its_workers_fails_and_the_others_are_done(lab, drive):
    cells = lab.plan()
    poison = cells[2]
    desk = Desk(lambda task, event: task.cell == poison)
    progress = lab.progress()
    study = drive(desk, progress)
    assert study.failed == [poison]
    assert [task.cell for task in desk.tasks].count(poison) == MOST_LOST + 1
    ((text, told),) = progress.failures
    assert (text, told) == (str(poison), f"its workers died {MOST_LOST + 1} times, the last time so: it was killed")
    assert {cell.key for cell in study.missing()} == {poison.key}


def test_a_source_that_cannot_be_trained_fails_all_of_its_cells_and_no_others(lab, drive):
    progress = lab.progress()
    study = drive(Desk(lambda task, event: task.run.seed == 1), progress, seeds=[0, 1], finetune_epochs=0)
    of_seed = [cell for cell in study.cells if cell.run.seed == 1]
    assert study.failed == of_seed
    assert study.missing() == of_seed


def test_a_loss_without_an_end_is_told_as_in_one_process(lab, drive, tmp_path):
    one, other = lab.progress(), lab.progress()
    choices = {"learning_rate": 1e20, "weight_decay": 0.0, "finetune_epochs": 0}
    lab.run(tmp_path / "alone", one, **choices)
    drive(Desk(), other, **choices)
    assert one.failures
    assert other.failures == one.failures


def test_a_cell_that_another_process_holds_is_waited_for(lab, drive, tmp_path, monkeypatch):
    cells = lab.plan()
    held = ResultsFolder(tmp_path / "out").lock(cells[3].key)
    held.__enter__()
    monkeypatch.setattr("restool.transfer.cluster.driver.WAIT_SECONDS", 0.01)
    progress = lab.progress()
    progress.waiting = lambda count: (progress.waits.append(count), held.__exit__(None, None, None))
    desk = Desk()
    assert drive(desk, progress).missing() == []
    assert progress.waits == [1]
    assert desk.tasks[-1].cell == cells[3]


def test_a_cell_that_another_process_did_meanwhile_is_not_done_again(lab, drive, finished, tmp_path):
    cells = lab.plan()
    moved = cells[-1]

    def done_by_another(task, event):
        if task.cell == cells[1]:
            shutil.copy(ResultsFolder(finished).record(moved.key), ResultsFolder(tmp_path / "out").record(moved.key))
        return False

    desk = Desk(done_by_another)
    assert drive(desk).missing() == []
    assert moved not in [task.cell for task in desk.tasks]


def test_time_runs_out_while_workers_work_and_they_are_told(lab, tmp_path):
    progress = lab.progress()
    desk = Desk()
    limited = Limited(progress, 1e-9)
    study = lab.study(tmp_path / "out", limited)
    with pytest.raises(TimeLimitReached):
        Driver(study, desk).run()
    assert desk.cancelled
    assert not any(study.folder.is_held(cell.key) for cell in study.cells)


def test_trainings_alone(lab, tmp_path):
    study = lab.study(tmp_path / "out", seeds=[0, 1])
    desk = Desk(lambda task, event: task.run.seed == 1)
    assert Driver(study, desk).train() == [run for run in study.runs if run.seed == 1]
    assert [path.stem for path in (tmp_path / "out" / "checkpoints").iterdir()] == [study.runs[0].key]
    assert study.missing() == study.cells


def test_a_worker_with_other_code_is_refused(lab, tmp_path):
    foreign = replace(lab.plan()[0].run, code="0" * 16)
    job = Driver(lab.study(tmp_path), Desk())._job.value
    (told,) = perform(lambda handle: handle, "token", job, Task(run=foreign, cell=None), {}, None)
    assert isinstance(told.error, UsageError)
    assert "are others on a worker than on the driver" in str(told.error)
    (told,) = perform(lambda handle: handle, "other", replace(job, version="0"), Task(run=foreign, cell=None), {}, None)
    assert "install the same" in str(told.error)
