"""Memory that does not suffice: a test goes on in smaller batches to the same result; a training fails in one line."""

import pytest
import torch
from torch import nn

from restool.data import Batches, Split
from restool.data.dataset import stored
from restool.errors import UsageError
from restool.transfer.evaluate import predictions

CPU = torch.device("cpu")
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


class Narrow(nn.Module):
    """Takes so many images at a time; whole numbers of grey levels, so that sums are exact in any order."""

    def __init__(self, most, error=ERRORS[0]):
        super().__init__()
        self.most, self.error, self.taken = most, error, []

    def forward(self, images):
        if len(images) > self.most:
            raise self.error
        self.taken.append(len(images))
        return (images * 64).round().double().sum((2, 3))


def batches():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (230, 3, 6, 6), dtype=torch.uint8, generator=random)
    part = Split(images, torch.arange(230) % 3)
    data = stored("noise", {"train": part, "validation": part, "test": part}, tuple("abc"), augment=False)
    return Batches(data, "test", 6, batch_size=100, device=CPU)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("most", "sizes"), [(30, [25] * 4 + [25] * 4 + [25, 5]), (50, [50] * 4 + [30]), (1, [1] * 230)]
)
def test_batches_are_halved_until_they_fit_and_give_the_same_bits(most, sizes, error):
    steps, told = [], []
    whole = predictions(Narrow(100), batches(), noted=told.append)
    assert told == []
    model = Narrow(most, error)
    parts = predictions(model, batches(), lambda: steps.append(1), told.append)
    assert model.taken == sizes
    assert len(steps) == 3
    assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))
    going = f"going on with {sizes[0]} at a time"
    assert told == [f"not enough memory to test 100 images of 6x6 at a time; {going}"]


def test_a_single_image_that_does_not_fit_is_an_error_a_user_can_mend():
    with pytest.raises(UsageError, match="^not enough memory to test one image of 6x6; choose smaller sizes$"):
        predictions(Narrow(0), batches())


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="^shapes differ$"):
        predictions(Narrow(0, RuntimeError("shapes differ")), batches())


def test_what_is_said_goes_to_stderr(capsys):
    predictions(Narrow(50), batches())
    answer = capsys.readouterr()
    assert (answer.out, answer.err.count("\n"), answer.err.startswith("restool: not enough")) == ("", 1, True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_training_that_does_not_fit_fails_alone_and_names_the_batch_size(lab, tmp_path, monkeypatch, error):
    def train(*given, **choices):
        if choices["size"] == 12:
            raise error
        return trained(*given, **choices)

    from restool.transfer import trainer

    trained = trainer.train
    monkeypatch.setattr(trainer, "train", train)
    progress = lab.progress()
    failed = lab.run(tmp_path, progress, protocols=["requery"])
    assert [(cell.protocol, cell.target) for cell in failed] == [("finetune", 12)]
    line = "not enough memory for training steps of 16 images of 12 px; choose a smaller `batch_size`"
    assert [text for _, text in progress.failures] == [line]


def test_a_study_says_once_what_it_meets_again(lab, tmp_path, monkeypatch):
    def predict(model, batches, step, noted):
        noted("going on with fewer")
        return predictions(model, batches, step)

    monkeypatch.setattr("restool.transfer.study.predictions", predict)
    noted, progress = [], lab.progress()
    progress.noted = noted.append
    lab.run(tmp_path, progress, protocols=["requery"])
    assert len(progress.tested) > 1
    assert noted == ["going on with fewer"]
