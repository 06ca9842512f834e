"""The commands, and how each of them ends: one line on stderr for an error, and its exit status."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from restool.cli.bench import bench
from restool.cli.check import check
from restool.cli.command import Command, Failure
from restool.cli.compare import compare
from restool.cli.diagnose import diagnose
from restool.cli.evaluate import evaluate
from restool.cli.export import export
from restool.cli.figure import figure
from restool.cli.finetune import finetune
from restool.cli.import_ import import_
from restool.cli.ls import ls
from restool.cli.report import report
from restool.cli.study import study
from restool.cli.sweep import sweep
from restool.cli.train import train
from restool.errors import is_out_of_memory
from restool.version import __version__

MENDS = {
    errno.ENOSPC: "free the disk or choose another folder",
    errno.EDQUOT: "free the disk or choose another folder",
    errno.EACCES: "ask its owner, or choose another",
    errno.EPERM: "ask its owner, or choose another",
    errno.EMFILE: "raise the limit of open files, see `ulimit -n`",
}
"""What to do about a file that the system does not let be used."""

app = typer.Typer(
    name="restool",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (sweep, finetune, train, evaluate, diagnose, report, compare, export, check):
    app.command(cls=Command)(command)
app.command("import", cls=Command)(import_)
app.add_typer(figure, name="figure")
app.add_typer(ls, name="ls")
app.add_typer(bench, name="bench")
app.add_typer(study, name="study")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"restool {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", metavar="", callback=_print_version)
    ] = False,
) -> None:
    """What happens to a model trained at one resolution when it is used at another? Train, sweep, fine-tune, look.

    Start with:

    restool sweep --train 16 --test 28..36
    restool finetune --train 16 --test 32 --epochs 10
    """


def run() -> None:
    """Run the command line and exit; every error a user can mend is one line on stderr."""
    try:
        status = app(prog_name="restool", standalone_mode=False)
        sys.stdout.flush()
    except Failure as error:
        _fail(str(error), error.exit_status, error.listing)
    except typer.TyperException as error:
        _fail_on_usage(error)
    except typer.Abort:
        _fail("interrupted", 130)
    except OSError as error:
        _fail_on_file(error)
    except (MemoryError, RuntimeError) as error:
        _fail_on_memory(error)
    if status == 130:
        _fail("interrupted", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail_on_usage(error: typer.TyperException) -> NoReturn:
    message = error.format_message().replace("Value error, ", "").strip().rstrip(".")
    if not message:  # `restool` alone, which has shown its help
        sys.exit(2)
    context = getattr(error, "ctx", None)
    hint = "" if context is None or message.endswith("?") else f"; see `{context.command_path} --help`"
    _fail(f"{message[0].lower()}{message[1:]}{hint}", 2)


def _fail_on_file(error: OSError) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # stdout itself is full or closed; Python would stumble over what is left in it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(1)
    place = f" {error.filename}" if error.filename else ""
    reason = error.strerror or str(error)
    mend = MENDS.get(error.errno or 0, "choose another folder")
    _fail(f"cannot use{place}: {reason}; {mend}", 2)


def _fail_on_memory(error: Exception) -> NoReturn:
    if not is_out_of_memory(error):
        raise error
    _fail("not enough memory; choose smaller sizes, fewer images or smaller batches", 2)


def _fail(message: str, status: int, listing: Sequence[str] = ()) -> NoReturn:
    print(
        f"restool: {' '.join(message.split())}",
        *(f"  {' '.join(line.split())}" for line in listing),
        sep="\n",
        file=sys.stderr,
    )
    sys.exit(status)
