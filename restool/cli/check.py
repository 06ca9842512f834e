"""`restool check`: whether a results folder holds together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from restool.cli.option import option
from restool.cli.output import print_json
from restool.cli.panels import DEFAULT_OUT, Json, OutArgument
from restool.errors import DamagedError

if TYPE_CHECKING:
    from restool.transfer.check import Checked

Fix = Annotated[
    bool, option(None, "--fix", "Move what is damaged into DIR/damaged; the command that made it makes it anew.")
]


def check(out: OutArgument = DEFAULT_OUT, fix: Fix = False, as_json: Json = False) -> None:
    """Read all records, checkpoints and logits of a results folder and list what is damaged; status 4 if any is.

    restool check results/local
    restool check results/local --fix
    """
    from restool.transfer.check import check, set_aside

    checked = check(out)
    places = set_aside(out, checked.findings) if fix else []
    listing = _listing(out, checked, places)
    if as_json:
        counts = {name: getattr(checked, name) for name in ("records", "checkpoints", "logits", "unsealed")}
        found = [{"file": str(each.path), "problem": each.problem} for each in checked.findings]
        print_json({"out": str(out), **counts, "damaged": found, "moved_to": [str(place) for place in places]})
    if fix or not checked.findings:
        if not as_json:
            print("\n".join([_counts(checked), *listing]))
        return
    error = DamagedError(f"{len(checked.findings)} damaged files in {out}; give `fix` to move them aside")
    for line in listing:
        error.add_note(line)
    raise error


def _counts(checked: "Checked") -> str:
    told = f"{checked.records} records, {checked.checkpoints} checkpoints, {checked.logits} files of logits"
    unsealed = f"; {checked.unsealed} of them were written without a digest" if checked.unsealed else ""
    return f"{told}: {len(checked.findings) or 'none'} damaged{unsealed}"


def _listing(out: Path, checked: "Checked", places: list[Path]) -> list[str]:
    """A line for every damaged file, with where it was moved."""
    moved = [f", now {place.relative_to(out)}" for place in places] or [""] * len(checked.findings)
    return [
        f"{each.path.relative_to(out)} {each.problem}{where}"
        for each, where in zip(checked.findings, moved, strict=True)
    ]
