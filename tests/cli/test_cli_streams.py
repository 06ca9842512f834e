"""No stream, locale, backend or cache folder breaks a finished run; whole processes, as these belong to one."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SWEEP = ["sweep", "--model", "flexnet[4,4]", "--limit", "20", "--batch-size", "10", "--train", "8", "--test", "10"]
SWEEP += ["--protocols", "as-is", "--epochs", "1"]
LONG = [*SWEEP[:-1], "100000"]


def environment(**more):
    return os.environ | {"OMP_NUM_THREADS": "1"} | more


def run(*arguments, before="", folder=None, **more):
    """Status, stdout and stderr of `restool ARGUMENTS`, which a shell starts with redirections."""
    command = f'exec "$0" -m restool "$@" {before}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment(**more),
        cwd=folder,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_run_whose_streams_are_all_closed_is_whole(tmp_path):
    status, _, err = run(*SWEEP, "--out", str(tmp_path / "out"), before="<&- >&- 2>&-")
    assert status == 0, err
    assert len(list((tmp_path / "out" / "records").iterdir())) == 2
    assert (tmp_path / "out" / "heatmap.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_swallows_what_is_written_and_nothing_else(swept, closed):
    status, out, err = run("report", str(swept), before=closed)
    assert status == 0, err
    assert ("Accuracy" in out, "wrote" in err) == (">&-" not in closed.split(), "2>&-" not in closed)


@pytest.mark.parametrize(
    "surroundings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["backend", "locale"],
)
def test_surroundings_that_were_made_for_others_change_nothing(swept, tmp_path, surroundings):
    out = swept.rename(tmp_path / "词")
    status, printed, err = run("report", str(out), **surroundings)
    assert status == 0, err
    assert "Traceback" not in err
    assert "| 8 px " in printed
    assert (out / "heatmap.png").exists()


def test_the_cache_of_nobody_is_a_folder_like_any_other(tmp_path):
    status, printed, err = run(*SWEEP, "--out", "out", folder=tmp_path, RESTOOL_CACHE="~nouser/cache")
    assert status == 0, err
    assert "Traceback" not in err
    assert "| 8 px " in printed
    assert (tmp_path / "~nouser" / "cache").is_dir()


def begun(tmp_path, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "restool", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return process


def test_sigterm_ends_a_run_as_an_interrupt_does(tmp_path):
    process = begun(tmp_path, *LONG, "--out", str(tmp_path / "out"))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/checkpoints/*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.splitlines()[-1] == (
        "restool: interrupted; the same command goes on from the last finished epoch and cell"
    )
    assert "Traceback" not in err


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6])
def test_an_interrupt_while_a_command_is_still_loading_leaves_no_traceback(tmp_path, seconds):
    process = begun(tmp_path, "ls", "models")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "the same command goes on" not in err
    assert process.returncode == -signal.SIGINT or err.splitlines()[-1] == "restool: interrupted"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_a_command_has_begun_has_its_own_status(restool, monkeypatch, number, status):
    monkeypatch.setattr("restool.cli.app.run", lambda: os.kill(os.getpid(), number))
    before = signal.signal(number, signal.default_int_handler)  # a shell may have it ignored, in the background
    try:
        answer = restool("ls", "models")
    finally:
        signal.signal(number, before)
    assert (answer.status, answer.message) == (status, "interrupted")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_module_that_swallows_interrupts_while_it_is_loaded_keeps_no_process_alive(
    tmp_path, monkeypatch, number, status
):
    swallowing = f"import os\ntry:\n    os.kill(os.getpid(), {int(number)})\nexcept KeyboardInterrupt:\n    pass\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "swallowing.py").write_text(swallowing)
    process = begun(tmp_path, "sweep", "--model", "swallowing:make")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, "restool: interrupted\n")
