"""`gatefleet device list|show|watch|add|command|discover`: the devices of this machine's daemons, and new ones."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from core.errors import GatefleetError
from edge.cli import device_add, device_command, device_discover
from edge.cli.daemons import SocketOption, ask_all, of_device, sockets
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, local_time, section
from edge.cli.sockets import Connection, ask, follow
from edge.cli.status import word
from edge.cli.why import sentences_of, write_findings

GROUP_HELP: Final = N_("Devices: list, show, watch, add, command, discover.")
LIST_HELP: Final = N_("List the devices with their health.")
LIST_EXAMPLES: Final = "gatefleet device list\ngatefleet device list --sick"
SHOW_HELP: Final = N_("Show one device: what it is, its counters, its last fact.")
SHOW_EXAMPLES: Final = "gatefleet device show gate-03"
WATCH_HELP: Final = N_("Show what a device tells, as it comes, until Ctrl-C.")
WATCH_EXAMPLES: Final = "gatefleet device watch gate-03 --json"
DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help=N_("its id in the configuration"))]


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="device", help=GROUP_HELP)
    app.command("list", help=LIST_HELP, epilog=LIST_EXAMPLES)(list_)
    app.command("show", help=SHOW_HELP, epilog=SHOW_EXAMPLES)(show)
    app.command("watch", help=WATCH_HELP, epilog=WATCH_EXAMPLES)(watch)
    device_add.register(app)
    device_command.register(app)
    device_discover.register(app)
    root.add_typer(app)


def list_(
    ctx: typer.Context,
    sick: Annotated[bool, typer.Option("--sick", help=N_("only those that are not well"))] = False,
    socket: SocketOption = None,
) -> Exit:
    """List devices."""
    screen: Screen = ctx.obj
    found = ask_all(sockets(socket), {"op": "devices"}, list)
    devices = [
        {**device, "socket": str(path)}
        for path, devices in found.answers
        for device in devices
        if not sick or device.get("health") != "ok"
    ]
    columns = (_("Device"), _("Model"), _("Lane"), _("Health"), _("Faults"), _("Since"), _("Last seen"), _("Link"))
    found.note_dead(screen)
    screen.show(devices, lambda page: page.table(columns, map(_row, devices)))
    return Exit.OK


def _row(device: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        device.get("id"),
        device.get("profile"),
        device.get("lane"),
        word(device.get("health")),
        device.get("faults"),
        local_time(device.get("since")),
        local_time(device.get("last_seen")),
        device.get("link"),
    )


def show(ctx: typer.Context, device: DeviceArgument, socket: SocketOption = None) -> Exit:
    """Show one device."""
    screen: Screen = ctx.obj
    data = ask(of_device(sockets(socket), device), {"op": "device", "id": device})
    findings = sentences_of(data)

    def human(page: Page) -> None:
        page.heading(f"{cell(data.get('id'))}: {word(data.get('health'))}")
        page.fields(_fields(data))
        page.text("")
        write_findings(page, findings)
        for title, key in ((_("Last fact"), "facts"), (_("Counters"), "counters")):
            if section(data, key):
                page.text("")
                page.heading(title)
                page.fields((f"  {name}", value) for name, value in section(data, key).items())

    screen.show({**data, "findings": findings}, human)
    return Exit.OK


def _fields(data: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [
        (_("Model"), f"{cell(data.get('vendor'))} {cell(data.get('model'))} ({cell(data.get('profile'))})"),
        (_("Driver"), data.get("driver")),
        (_("Kind"), data.get("kind")),
        (_("Lane"), data.get("lane")),
        (_("Link"), data.get("link")),
        (_("Faults"), data.get("faults")),
        (_("Since"), local_time(data.get("since"))),
        (_("Last seen"), local_time(data.get("last_seen"))),
    ]


def watch(ctx: typer.Context, device: DeviceArgument, socket: SocketOption = None) -> Exit:
    """Show what a device tells."""
    screen: Screen = ctx.obj
    with Connection.open(of_device(sockets(socket), device)) as connection:
        connection.send({"op": "watch", "id": device})
        for _path, item in follow([connection], None):
            if isinstance(item, GatefleetError):
                raise item
            screen.line(item, f"{local_time(item.get('at'))}  {cell(item.get('fact'))}  {cell(item.get('values'))}")
    return Exit.OK
