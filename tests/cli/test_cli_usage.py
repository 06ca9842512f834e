"""Bad input on the command line: one line that names the mend, exit status 2, nothing written."""

import pytest


def typed(value: list[str] | str) -> str:
    """The name of a case: what is typed, without the message."""
    return " ".join(value) if isinstance(value, list) else ""


SWEEP = [
    (["--model", "flexnet7"], r"unknown model 'flexnet7'; the nearest is 'flexnet-7', the known ones are flexnet-3, "),
    (["--model", "flexnet[4]"], r"'flexnet\[4\]' needs widths from 1 to 16,384: flexnet\[STEM,BLOCK,...\]"),
    (
        ["--model", "flexnet[4,4]-conv"],
        r"unknown layer kind 'conv' in 'flexnet\[4,4\]-conv'; the nearest is 'conv3', the known ones are",
    ),
    (["--model", "flextcn-2"], r"flextcn-2 takes sequences, .*; choose a model of images"),
    (["--dataset", "cifar"], r"unknown dataset 'cifar'; the nearest is 'cifar10', the known ones are gabors, "),
    (["--dataset", "parquet"], r"unknown dataset 'parquet'; the nearest is 'parquet:DIR', the known ones are "),
    (["--protocols", "reqery"], r"unknown protocol 'reqery'; the nearest is 'requery', the known ones are"),
    (["--protocols", "interpolate"], r"protocol 'interpolate' does not apply to flexnet-3; requery, .*, resize, .* do"),
    (
        ["--protocols", "resize,finetune"],
        r"--protocols must be zero-shot protocols, but is 'finetune'; fine-tuning is asked for by --finetune-epochs$",
    ),
    (["--alias-penalty", "gab"], r"--alias-penalty must be one of none, gabor, gabor\+mask, spectral, but is 'gab'"),
    (["--model", "flexnet-7-conv3", "--alias-penalty", "gabor"], r"--alias-penalty does not apply to flexnet-7-conv3"),
    (
        ["--model", "flexnet-7-siren", "--alias-penalty", "gabor+mask"],
        r"--alias-penalty does not apply to .*; use none",
    ),
    (
        ["--model", "flexnet-7-conv3", "--alias-penalty", "spectral"],
        r"--alias-penalty does not apply to flexnet-7-conv3",
    ),
    (["--train", "12+"], r"--train must be numbers and ranges .*, but is ''"),
    (["--train", "3"], r"--train must hold values of at least 4, but is 3"),
    (["--test", "2..8"], r"--test must hold values of at least 4, but is 2"),
    (["--test", "36..28"], r"--test must be ranges that run upwards by 1 or more, such as 28..36:2, but is '36..28'"),
    (["--test", "28..36:0"], r"--test must be ranges that run upwards .*, but is '28..36:0'"),
    (["--test", "28-36"], r"--test must be numbers and ranges such as 16,20 or 28..36 or 28..36:2, but is '28-36'"),
    (["--test", ""], r"--test must be numbers and ranges .*, but is ''"),
    (["--seeds", "x"], r"--seeds must be numbers and ranges .*, but is 'x'"),
    (["--seeds", "-1"], r"--seeds must be numbers and ranges .*, but is '-1'"),
    (["--limit", "0"], r"--limit must be at least 1 image, but is 0; leave it out to use them all"),
    (["--limit", "many"], r"invalid value for '--limit': it takes a whole number, but got 'many'; see `restool sweep"),
    (["--epochs", "-1"], r"--epochs must be at least 0, but is -1"),
    (["--epochs", "1.5"], r"invalid value for '--epochs': it takes a whole number, but got '1.5'"),
    (["--finetune-epochs", "-1"], r"--finetune-epochs must be at least 0, but is -1"),
    (["--batch-size", "1"], r"--batch-size must be at least 2 .*, but is 1"),
    (["--precision", "float16"], r"--precision must be one of float32, bfloat16, but is 'float16'"),
    (
        ["--method", "winograd"],
        r"invalid value for '--method': 'winograd' is not one of 'auto', 'direct', 'fft', 'basis', 'dft'",
    ),
    (["--learning-rate", "0"], r"--learning-rate must be above 0, but is 0.0"),
    (["--learning-rate", "2e30"], r"--learning-rate must be at most 1e\+30, but is 2e\+30"),
    (["--learning-rate", "nan"], r"--learning-rate must be a number, but is nan"),
    (["--learning-rate", "fast"], r"invalid value for '--learning-rate': it takes a number, but got 'fast'"),
    (["--time-limit", "0"], r"--time-limit must be above 0 minutes, but is 0.0"),
    (["--time-limit", "nan"], r"--time-limit must be above 0 minutes, but is nan"),
    (["--out", ""], r"invalid value for '--out': it takes a folder, but got nothing; \. is the working folder"),
    (["--device", "tpu"], r"--device must be auto, cpu, cuda or cuda:K, K being the number of a GPU, but is 'tpu'"),
    (["--limit"], r"option '--limit' requires an argument"),
    (
        ["--tran", "16"],
        r"no such option: --tran \(Possible options: --ray, --train, --tune\); see `restool sweep --help`",
    ),
    (["16"], r"got unexpected extra argument\(s\) \(16\); see `restool sweep --help`"),
]


@pytest.mark.parametrize(("options", "message"), SWEEP, ids=typed)
def test_a_bad_option_is_named_with_its_rule_value_and_mend(restool, here, options, message):
    answer = restool("sweep", *options)
    assert answer.status == 2
    assert not answer.out
    pytest.raises(ValueError, _raise, answer.message).match(f"^{message}")
    assert not list(here.iterdir())


def _raise(message: str) -> None:
    raise ValueError(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "no such command 'swep'. Did you mean 'sweep'?"),
        (["frob"], "no such command 'frob'; see `restool --help`"),
        (["ls", "nodels"], "no such command 'nodels'. Did you mean 'models'?"),
        (
            ["train", "--test", "32"],
            "no such option: --test (Possible options: --dataset, --std); see `restool train --help`",
        ),
        (["train", "--epochs", "0"], "--epochs must be at least 1 for a model that is trained, but is 0"),
        (["finetune", "--epochs", "-2"], "--epochs must be at least 0, but is -2"),
        (["finetune", "--source-epochs", "-2"], "--source-epochs must be at least 0, but is -2"),
        (["finetune", "--model", "x-net"], "unknown model 'x-net'; the nearest is 'flexnet-7', the known ones are "),
        (["report", ""], "invalid value for 'DIR': it takes a folder, but got nothing; . is the working folder; see "),
        (
            ["export", "csv", "--to="],
            "invalid value for '--to': it takes a path, but got nothing; see `restool export ",
        ),
        (
            ["evaluate", " "],
            "invalid value for 'FILE': it takes a file, but got nothing; see `restool evaluate --help`",
        ),
        (["evaluate"], "missing argument 'FILE'; see `restool evaluate --help`"),
        (["evaluate", "x", "--test", "3"], "--test must hold values of at least 4, but is 3"),
        (["evaluate", "x", "--protocols", "no"], "unknown protocol 'no'; the nearest is 'interpolate', the known ones"),
        (["import", "a.pt", "--out", "a.safetensors"], "the source must start with flexconv:, as in flexconv:model.pt"),
        (["import", "flexconv:a.pt"], "missing option '--out'; see `restool import --help`"),
        (["import", "flexconv:a.pt", "--out", "a.pt"], "--out must end in .safetensors, but is a.pt"),
    ],
    ids=typed,
)
def test_a_command_that_cannot_be_run_says_why(restool, here, arguments, message):
    answer = restool(*arguments)
    assert answer.status == 2
    assert answer.message.startswith(message)
    assert not answer.out
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", [["sweep"], ["finetune"], ["train"]])
def test_cuda_without_a_gpu_is_refused(restool, here, command, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = restool(*command, "--device", "cuda")
    assert answer.status == 2
    assert answer.message == (
        "--device must be a device that torch can use, and it sees no NVIDIA GPU, but is 'cuda'; use cpu or auto"
    )
    assert not list(here.iterdir())


def test_too_little_memory_is_one_line(restool, here, monkeypatch):
    told = (
        "DefaultCPUAllocator: can't allocate memory: you tried to",
        "Storage size calculation overflowed with sizes",
    )
    for error in (MemoryError(), *map(RuntimeError, told)):
        monkeypatch.setattr("restool.transfer.run.load", lambda *_, error=error, **__: _throw(error))
        answer = restool("sweep")
        assert answer.status == 2
        assert answer.message.startswith("not enough memory; choose smaller sizes, fewer images or")


def test_a_defect_of_restool_itself_keeps_its_traceback(restool, here, monkeypatch):
    monkeypatch.setattr("restool.transfer.run.load", lambda *_, **__: _throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        restool("sweep")


def test_an_interrupt_says_how_to_go_on(restool, here, monkeypatch):
    monkeypatch.setattr("restool.transfer.run.load", lambda *_, **__: _throw(KeyboardInterrupt()))
    answer = restool("sweep")
    assert answer.status == 130
    assert answer.message == "interrupted; the same command goes on from the last finished epoch and cell"


def _throw(error: BaseException) -> None:
    raise error


def test_a_finished_sweep_keeps_its_logits_when_it_is_asked_to(restool, swept, study_options):
    before = restool("sweep", *study_options, "--out", swept)
    assert "agreement" not in before.out
    kept = restool("sweep", *study_options, "--keep-logits", "--out", swept)
    assert kept.status == 0, kept.err
    assert {path.stem for path in (swept / "logits").iterdir()} == {path.stem for path in (swept / "records").iterdir()}
    assert kept.out.startswith(before.out.rstrip())
    table = kept.out.removeprefix(before.out.rstrip())
    assert table.count("| 8 px") == 4  # two protocols at two targets
    assert "agreement" in table
