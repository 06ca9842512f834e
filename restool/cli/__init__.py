"""The command line: parses and delegates. Heavy imports happen inside the commands, so that help is instant."""

import sys

import typer

from restool.cli.evaluate import evaluate
from restool.cli.finetune import finetune
from restool.cli.import_ import import_
from restool.cli.ls import ls
from restool.cli.report import report
from restool.cli.sweep import sweep
from restool.cli.train import train
from restool.errors import RestoolError

app = typer.Typer(
    name="restool",
    help="What happens to a model trained at one resolution when it is used at another? Train, sweep, fine-tune, look.",
    epilog="Start with: restool sweep --train 16 --test 28..36",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (sweep, finetune, train, evaluate, report):
    app.command()(command)
app.command("import")(import_)
app.add_typer(ls, name="ls")


def main() -> None:
    """Run the command line; every error a user can mend ends as one line on stderr and its exit status."""
    try:
        status = app(standalone_mode=False)
    except RestoolError as error:
        _fail(str(error), error.exit_status)
    except typer.TyperException as error:
        _fail(error.format_message(), 2)
    except typer.Abort:
        _fail("interrupted", 130)
    except OSError as error:
        _fail_on_file(error)
    if status == 130:
        _fail("interrupted; the same command goes on from the last epoch and record", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail_on_file(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        sys.exit(1)
    place = f" {error.filename}" if error.filename else ""
    reason = error.strerror or str(error)
    _fail(f"cannot use{place}: {reason}; free the disk or choose another --out", 2)


def _fail(message: str, status: int) -> None:
    print(f"restool: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
