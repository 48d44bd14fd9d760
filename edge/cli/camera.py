"""`gatefleet camera view`: see a camera's live picture from this machine, also with the uplink down.

The daemon gives an address that opens once, within a minute; who looks is recorded when it is opened.
"""

from typing import Annotated, Final

import typer

from edge.cli.daemons import SocketOption, of_device, sockets
from edge.cli.errors import Exit
from edge.cli.gate import actor
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, local_time
from edge.cli.sockets import ask

GROUP_HELP: Final = N_("Cameras: see their live picture.")
VIEW_HELP: Final = N_(
    "Give an address that shows a camera's live picture once.\n\nOpen it in a browser within a minute; it is recorded."
)
VIEW_EXAMPLES: Final = "gatefleet camera view dome-2"


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="camera", help=GROUP_HELP)
    app.callback()(_group)
    app.command("view", help=VIEW_HELP, epilog=VIEW_EXAMPLES)(view)
    root.add_typer(app)


def _group() -> None:
    """Keep the group a group while it has one command."""


def view(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help=N_("its id in the configuration"))],
    socket: SocketOption = None,
) -> Exit:
    """Give an address."""
    screen: Screen = ctx.obj
    data = ask(of_device(sockets(socket), device), {"op": "camera_view", "id": device, "actor": actor()})

    def human(page: Page) -> None:
        page.fields([(_("Address"), data.get("url")), (_("Open it before"), local_time(data.get("expires_at")))])

    screen.show(data, human)
    return Exit.OK
