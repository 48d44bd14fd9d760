"""`gatefleet passage tail`: who passed where, as the lanes record it. No document numbers: lanes do not keep them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Annotated, Any, Final

import typer

from core.errors import GatefleetError
from edge.cli.daemons import Found, SocketOption, sockets
from edge.cli.errors import Exit, NoDaemon
from edge.cli.language import N_, _
from edge.cli.output import Screen, cell, local_time
from edge.cli.sockets import Connection, follow
from edge.cli.status import word

QUIET_S: Final = 0.5
"""Without --follow a daemon that sends nothing for so long has told all."""
GROUP_HELP: Final = N_("Passages of travellers.")
TAIL_HELP: Final = N_("Show the last passages, and with --follow those that come, until Ctrl-C.")
TAIL_EXAMPLES: Final = "gatefleet passage tail -n 50\ngatefleet passage tail --follow --lane E03 --json"
KINDS: Final = {
    "decided": N_("decided"),
    "cleared": N_("cleared"),
    "timed_out": N_("timed out"),
    "anomaly": N_("anomaly"),
    "free": N_("free passage"),
    "verified": N_("verified"),
    "held": N_("held"),
    "ruled": N_("officer ruled"),
    "boarding_opened": N_("boarding opened"),
    "boarding_closed": N_("boarding closed"),
}


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="passage", help=GROUP_HELP)
    app.callback()(_group)
    app.command("tail", help=TAIL_HELP, epilog=TAIL_EXAMPLES)(tail)
    root.add_typer(app)


def _group() -> None:
    """Hold the commands together, also while there is only one."""


def tail(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("--last", "-n", metavar="N", min=0, max=1_000, help=N_("how many"))] = 20,
    to_follow: Annotated[bool, typer.Option("--follow", "-f", help=N_("go on with those that come"))] = False,
    lane: Annotated[str | None, typer.Option("--lane", metavar="LANE", help=N_("only of this lane"))] = None,
    socket: SocketOption = None,
) -> Exit:
    """Show passages of all daemons as they come."""
    screen: Screen = ctx.obj
    with ExitStack() as stack:
        connections, found = _opened(stack, sockets(socket), {"op": "passages", "last": last, "follow": to_follow})
        found.note_dead(screen)
        items = follow(connections, None if to_follow else QUIET_S)
        for path, item in items if to_follow else islice(items, last * len(connections)):
            if isinstance(item, GatefleetError):
                if len(connections) == 1:
                    raise item
                screen.note(f"! {path}: {item.detail}")
            elif lane is None or item.get("lane") == lane:
                screen.line(item, _line(item))
    return Exit.OK


def _opened(stack: ExitStack, paths: list[Any], request: Mapping[str, Any]) -> tuple[list[Connection], Found]:
    connections, errors = [], []
    for path in paths:
        try:
            connection = stack.enter_context(Connection.open(path))
            connection.send(request)
            connections.append(connection)
        except GatefleetError as error:
            errors.append((path, error))
    if not connections:
        raise NoDaemon("\n".join(f"{path}: {error.detail}" for path, error in errors), cure=errors[0][1].cure)
    return connections, Found((), tuple(errors))


def _line(item: Mapping[str, Any]) -> str:
    return "  ".join(_parts(item))


def _parts(item: Mapping[str, Any]) -> Iterator[str]:
    kind = item.get("kind")
    yield local_time(item.get("at"))
    yield cell(item.get("lane"))
    yield _(KINDS[kind]) if isinstance(kind, str) and kind in KINDS else cell(kind)
    if item.get("direction"):
        yield word(item["direction"])
    if item.get("effect"):
        yield cell(item["effect"])
    if item.get("reasons"):
        yield f"({cell(item['reasons'])})"
    if item.get("anomaly"):
        yield word(item["anomaly"])
    if item.get("persons"):
        yield _("{n} persons").format(n=cell(item["persons"]))
    if item.get("ms") is not None:
        yield f"{cell(item['ms'])} ms"
    if item.get("attempt"):
        yield cell(item["attempt"])
