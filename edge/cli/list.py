"""`gatefleet list apply`: a signed list from a stick, for a checkpoint whose uplink is down."""

from pathlib import Path
from typing import Annotated, Final

import typer

from edge.cli.daemons import SocketOption, ask_all, sockets
from edge.cli.errors import Exit, InputInvalid
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen
from edge.cli.sockets import MAX_REQUEST

_LONGEST_S: Final = 60.0
"""A long list takes a while to be proved and kept."""
GROUP_HELP: Final = N_("Clearance lists.")
APPLY_HELP: Final = N_(
    "Hand a signed list to the daemons of this machine, such as from a stick.\n\n"
    "Each daemon proves the signature and refuses what is tampered, older or for another site."
)
APPLY_EXAMPLES: Final = "gatefleet list apply /media/stick/block-7.signed"


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="list", help=GROUP_HELP)
    app.callback()(_group)
    app.command("apply", help=APPLY_HELP, epilog=APPLY_EXAMPLES)(apply)
    root.add_typer(app)


def _group() -> None:
    """Hold the commands together, also while there is only one."""


def apply(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=N_("the signed list"))],
    socket: SocketOption = None,
) -> Exit:
    """Apply a signed list."""
    screen: Screen = ctx.obj
    found = ask_all(sockets(socket), {"op": "list_apply", "signed": _text_of(file)}, deadline_s=_LONGEST_S)
    results = [{"socket": str(path), **data} for path, data in found.answers]
    columns = (_("List"), _("Version"), _("Entries"), _("Socket"))

    def human(page: Page) -> None:
        rows = ((one.get("list_id"), one.get("version"), one.get("entries"), one["socket"]) for one in results)
        page.table(columns, rows)

    found.note_dead(screen)
    screen.show({"applied": results, "failed": found.dead()}, human)
    return Exit.FAILED if found.errors else Exit.OK


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_REQUEST + 1)
        if len(raw) > MAX_REQUEST:
            cure = _("let the daemon fetch it from central")
            raise InputInvalid(_("more than {limit} bytes").format(limit=MAX_REQUEST), place=str(file), cure=cure)
        return raw.decode()
    except OSError as error:
        raise InputInvalid(error.strerror or str(error), place=str(file)) from error
    except UnicodeDecodeError as error:
        raise InputInvalid(_("not a text file"), place=str(file)) from error
