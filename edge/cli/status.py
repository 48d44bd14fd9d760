"""`gatefleet status`: is this checkpoint machine well? All daemons at a glance."""

from collections.abc import Mapping
from typing import Any, Final

import typer

from edge.cli.daemons import SocketOption, ask_all, sockets
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, duration, local_time, rows_of, section, size

HELP: Final = N_(
    "Show all daemons of this machine: uplink, clock, buffer, lanes, devices, lists.\n\n"
    "A socket behind which nobody listens is named; the others are shown all the same."
)
EXAMPLES: Final = "gatefleet status\ngatefleet status --json"
_HEALTH: Final = ("ok", "degraded", "fault", "offline", "unknown")
WORDS: Final = {
    "up": N_("up"),
    "down": N_("down"),
    "ok": N_("ok"),
    "degraded": N_("degraded"),
    "fault": N_("fault"),
    "offline": N_("offline"),
    "unknown": N_("unknown"),
    "maintenance": N_("maintenance"),
    "normal": N_("normal"),
    "free": N_("free"),
    "locked": N_("locked"),
    "emergency": N_("emergency"),
    "in": N_("in"),
    "out": N_("out"),
    "done": N_("done"),
    "failed": N_("failed"),
    "refused": N_("refused"),
    "tailgate": N_("tailgating"),
    "wrong_way": N_("wrong way"),
    "forced": N_("forced"),
    "jam": N_("jam"),
}
"""Words of the wire for people."""


def word(value: object) -> str:
    """Return a word of the wire for people; one that is not known as it stands."""
    return _(WORDS[value]) if isinstance(value, str) and value in WORDS else cell(value)


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("status", help=HELP, epilog=EXAMPLES)(status)


def status(ctx: typer.Context, socket: SocketOption = None) -> Exit:
    """Show the state of all daemons."""
    screen: Screen = ctx.obj
    found = ask_all(sockets(socket), {"op": "status"})

    def human(page: Page) -> None:
        for _path, data in found.answers:
            write_status(page, data)

    found.note_dead(screen)
    daemons = [{"socket": str(path), **data} for path, data in found.answers]
    screen.show({"daemons": daemons, "dead": found.dead()}, human)
    return Exit.OK


def write_status(page: Page, data: Mapping[str, Any]) -> None:
    """Write one daemon's state."""
    uplink, clock, devices = section(data, "uplink"), section(data, "clock"), section(data, "devices")
    since = word(uplink.get("state"))
    if uplink.get("since"):
        since = _("{state} since {time}").format(state=since, time=local_time(uplink["since"]))
    counted = (f"{word(health)} {cell(devices.get(health))}" for health in _HEALTH if devices.get(health))
    running = _("version {version}, up {uptime}, boot {boot}").format(
        version=cell(data.get("version")), uptime=duration(data.get("uptime_s")), boot=cell(data.get("boot_id"))
    )
    measured = _("{source}, offset {offset} ms, error {error} ms").format(
        source=cell(clock.get("source")), offset=cell(clock.get("offset_ms")), error=cell(clock.get("error_ms"))
    )
    page.heading(cell(data.get("edge")))
    pairs = [
        (_("Daemon"), running),
        (_("Uplink"), f"{since}  {cell(uplink.get('url'))}"),
        (_("Clock"), measured),
        (_("Buffer"), buffer_line(section(data, "buffer"))),
        (_("Devices"), ", ".join(counted)),
    ]
    if uplink.get("last_error"):
        pairs.insert(2, (_("Last error"), cell(uplink["last_error"])))
    page.fields(pairs)
    _write_lanes(page, rows_of(data, "lanes"))
    _write_platforms(page, rows_of(data, "platforms"))
    _write_lists(page, rows_of(data, "lists"))


def buffer_line(buffer: Mapping[str, Any]) -> str:
    """Return the state of a buffer in one line."""
    streams = section(buffer, "streams")
    waiting = sum(count for name in streams if isinstance(count := section(streams, name).get("entries"), int))
    text = _("{health}, {used} of {quota}, {entries} entries wait for central").format(
        health=_("healthy") if buffer.get("healthy") is True else _("NOT healthy"),
        used=size(buffer.get("used_bytes")),
        quota=size(buffer.get("quota_bytes")),
        entries=waiting,
    )
    oldest = [moment for name in streams if isinstance(moment := section(streams, name).get("oldest"), str)]
    return text + (_(", the oldest of {time}").format(time=local_time(min(oldest))) if oldest else "")


def _write_lanes(page: Page, lanes: list[Mapping[str, Any]]) -> None:
    if not lanes:
        return
    columns = (_("Lane"), _("State"), _("Mode"), _("Gate"), _("Reader"), _("Passages"), _("Refusals"))
    keys = ("gate", "reader", "passages", "refusals")
    page.table(
        columns,
        (
            (lane.get("id"), lane.get("state"), word(lane.get("mode")), *(word(lane.get(key)) for key in keys))
            for lane in lanes
        ),
    )


def _write_platforms(page: Page, platforms: list[Mapping[str, Any]]) -> None:
    if not platforms:
        return
    columns = (_("Platform"), _("Kind"), _("State"), _("Waiting"), _("Delivered"), _("Set aside"), _("Dropped"))
    keys = ("waiting", "delivered", "set_aside", "pictures_dropped")
    page.table(
        columns,
        (
            (one.get("id"), one.get("kind"), word(one.get("state")), *(cell(one.get(key)) for key in keys))
            for one in platforms
        ),
    )


def _write_lists(page: Page, lists: list[Mapping[str, Any]]) -> None:
    if not lists:
        return
    columns = (_("List"), _("Version"), _("Entries"), _("Confirmed"))
    page.table(
        columns,
        (
            (one.get("list_id"), one.get("version"), one.get("entries"), local_time(one.get("confirmed_at")))
            for one in lists
        ),
    )
