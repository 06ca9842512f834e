"""Every system for sequences goes through a whole study: killed while it trains or is tuned, resumed, tested, tuned."""

import pytest

from restool.data import load
from restool.models import MODELS
from restool.training import load_checkpoint

NARROW = {
    "flextcn-2": "flextcn[4,4]",
    "flextcn-4": "flextcn[4,4,4,4]",
    "flextcn-6": "flextcn[4,4,4,4,4,4]",
    "cktcn-2": "cktcn-2?hidden=4",
    "cktcn-big-2": "cktcn-big-2?hidden=6",
    "cktcn-magnet-2": "flextcn[5,5]-ckconv-magnet",
    "dilrnn": "dilrnn?hidden=6,layers=3",
    "indrnn": "indrnn?hidden=8,layers=2",
    "tcn": "tcn?hidden=4,taps=3,levels=3",
    "r-lstm": "r-lstm?hidden=6",
    "self-attention": "self-attention?width=8,layers=1,heads=2,feed=8",
    "trellisnet": "trellisnet?hidden=12",
    "trellisnet-small": "trellisnet-small?hidden=11",
    "ur-lstm": "ur-lstm?hidden=6",
    "ur-gru-zoneout": "ur-gru-zoneout?hidden=6",
    "hippo-legs": "hippo-legs?memory=6,hidden=6",
    "lipschitz-rnn": "lipschitz-rnn?hidden=6",
    "cornn": "cornn?hidden=6",
    "unicornn": "unicornn?hidden=6",
    "plmu": "plmu?memory=8,hidden=6",
}
"""Of every listed system for sequences the same network, narrower."""
CHOICES = {
    "dataset": "tones",
    "train": (24,),
    "test": (12,),
    "protocols": "start",
    "epochs": 2,
    "finetune_epochs": 2,
    "limit": 32,
    "batch_size": 16,
}
EPOCH = 2  # steps


@pytest.fixture(scope="module")
def sequences(lab):
    return type(lab)(load("tones", limit=32))


def epochs_done(folder):
    """Epochs of every checkpoint."""
    return sorted(load_checkpoint(file).epoch for file in (folder / "checkpoints").iterdir())


def test_every_listed_system_is_here():
    assert NARROW.keys() == {name for name, entry in MODELS.items() if entry.dims == 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", NARROW)
def test_a_study_that_is_stopped_while_it_trains_and_while_it_tunes_ends_in_the_same_files(sequences, tmp_path, name):
    choices, progress = {**CHOICES, "model": NARROW[name]}, sequences.progress()
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert sequences.run(whole, progress, **choices) == []
    trained_and_tested = sum(steps for text, steps in list(progress.steps.items())[:-2])
    for epochs, step in (([1], EPOCH + 1), ([1, 2], trained_and_tested + 1)):  # an epoch of training is done by then
        with pytest.raises(sequences.stopped):
            sequences.run(stopped, sequences.progress(stop_after=step), **choices)
        assert epochs_done(stopped) == epochs
    assert sequences.run(stopped, **choices) == []
    assert sequences.records(stopped) == sequences.records(whole)
    for file in (whole / "checkpoints").iterdir():
        assert (stopped / "checkpoints" / file.name).read_bytes() == file.read_bytes()
