"""`gatefleet why`: why a device is sick, in a sentence, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from edge.cli.daemons import SocketOption, of_device_or_platform, sockets
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, local_time, rows_of
from edge.cli.sentences import told
from edge.cli.sockets import ask
from edge.cli.status import word

HELP: Final = N_("Say why a device, or a platform above, is sick and what to do.")
EXAMPLES: Final = "gatefleet why gate-03"


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("why", help=HELP, epilog=EXAMPLES)(why)


def why(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help=N_("its id in the configuration"))],
    socket: SocketOption = None,
) -> Exit:
    """Say why a device is sick."""
    screen: Screen = ctx.obj
    data = ask(of_device_or_platform(sockets(socket), device), {"op": "why", "id": device})
    findings = sentences_of(data)

    def human(page: Page) -> None:
        page.heading(f"{cell(data.get('id'))}: {word(data.get('health'))}")
        write_findings(page, findings)

    screen.show({**data, "findings": findings}, human)
    return Exit.OK


def sentences_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of an answer, each with its sentence and its cure."""
    told_all = ((finding, told(finding)) for finding in rows_of(data, "findings"))
    return [{**finding, "sentence": sentence, "cure": cure} for finding, (sentence, cure) in told_all]


def write_findings(page: Page, findings: Sequence[Mapping[str, Any]]) -> None:
    """Write what is so and what to do, one below the other."""
    for one in findings:
        since = _("since {time}").format(time=local_time(one["since"])) if one.get("since") else ""
        page.text(f"- {one['sentence']}" + (f" ({since})" if since else ""))
        if one["cure"]:
            page.text(f"  {_('Cure')}: {one['cure']}")
    if not findings:
        page.text(_("The daemon gives no reason."))
