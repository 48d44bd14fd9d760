"""`gatefleet device discover`: which ONVIF cameras are there? No daemon is needed."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen

if TYPE_CHECKING:
    from edge.links.ws_discovery import Discovered

HELP: Final = N_(
    "Look for ONVIF cameras on this network by WS-Discovery.\n\n"
    "A probe is sent by multicast; nothing is asked of who answers, and no login leaves. A camera behind a router does "
    "not hear it."
)
EXAMPLES: Final = "gatefleet device discover\ngatefleet device discover --interface eth1 --for 5 --json"
InterfaceOption = Annotated[
    str, typer.Option("--interface", metavar="CARD", help=N_("the network card, by its name or its address"))
]
ForOption = Annotated[float, typer.Option("--for", metavar="SECONDS", min=0.1, max=60, help=N_("listen so long"))]


def register(group: typer.Typer) -> None:
    """Add the command to the group `device`."""
    group.command("discover", help=HELP, epilog=EXAMPLES)(discover)


def discover(ctx: typer.Context, interface: InterfaceOption = "", for_: ForOption = 3.0) -> Exit:
    """Look for cameras."""
    import asyncio

    from edge.links import ws_discovery

    screen: Screen = ctx.obj
    found = asyncio.run(ws_discovery.discover(interface=interface, seconds=for_))
    screen.show(value_of(found), lambda page: _show(page, found))
    return Exit.OK


def value_of(found: "Discovered") -> dict[str, Any]:
    """Return what was found, as programs get it."""
    cameras = [
        {
            "uuid": one.uuid,
            "url": one.urls[0] if one.urls else "",
            "urls": list(one.urls),
            "name": one.name,
            "hardware": one.hardware,
            "location": one.location,
            "told": list(one.told),
        }
        for one in found.cameras
    ]
    return {"cameras": cameras, "rejected": found.rejected, "lost": found.lost}


def _show(page: Page, found: "Discovered") -> None:
    if not found.cameras:
        page.text(_("No camera answered. Is this the cameras' network, and is discovery on in the cameras?"))
    else:
        rows = ((one.urls[0] if one.urls else "", one.name, one.hardware, one.location) for one in found.cameras)
        page.table((_("Address"), _("Name"), _("Hardware"), _("Location")), rows)
        page.text(_("To try one: gatefleet device add --driver onvif-camera --link ADDRESS --probe"))
    if found.rejected or found.lost:
        counts = _("{rejected} answers could not be read, {lost} were too many.")
        page.text(counts.format(rejected=found.rejected, lost=found.lost))
