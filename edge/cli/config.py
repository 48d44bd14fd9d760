"""`gatefleet config check`: every mistake of every file at once, without touching a device, a socket or a network."""

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import ConfigInvalid
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen

GROUP_HELP: Final = N_("Configuration files.")
CHECK_HELP: Final = N_(
    "Check configurations; tell all mistakes of all files.\n\n"
    "Nothing is opened but the files and the profiles they name. The exit status is 2 if there is a "
    "mistake."
)
CHECK_EXAMPLES: Final = "gatefleet config check /etc/gatefleet/*.toml"


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="config", help=GROUP_HELP)
    app.callback()(_group)
    app.command("check", help=CHECK_HELP, epilog=CHECK_EXAMPLES)(check)
    root.add_typer(app)


def _group() -> None:
    """Hold the commands together, also while there is only one."""


def check(
    ctx: typer.Context, files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=N_("TOML files"))]
) -> Exit:
    """Check files."""
    screen: Screen = ctx.obj
    mistakes = [mistake for file in files for mistake in mistakes_of(file)]

    def human(page: Page) -> None:
        for one in mistakes:
            page.text(f"{one['file']}:{one['line']}: {one['key']}: {one['text']}" if one["key"] else f"{one['text']}")
        good = len(files) - len({one["file"] for one in mistakes})
        page.text(_("{good} of {all} files are good").format(good=good, all=len(files)))

    screen.show(mistakes, human)
    return Exit.USAGE if mistakes else Exit.OK


def mistakes_of(file: Path) -> list[dict[str, str | int]]:
    """Return the mistakes of a file, each with file, line, key and text; line 0 and no key where none is known."""
    from edge.config import load_config

    try:
        load_config(file)
    except ConfigInvalid as error:
        return [_parted(file, line) for line in error.detail.splitlines()]
    return []


def _parted(file: Path, line: str) -> dict[str, str | int]:
    found = re.match(r"^(\d+): ([^:\s]+): (.*)$", line.removeprefix(f"{file}:"))
    if found is None:
        return {"file": str(file), "line": 0, "key": "", "text": line}
    return {"file": str(file), "line": int(found[1]), "key": found[2], "text": found[3]}
