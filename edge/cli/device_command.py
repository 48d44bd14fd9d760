"""`gatefleet device command`: have a device do something; which commands there are, its driver says.

It goes to exactly one daemon and is sent once, with a reason, recorded with the technician's name before it is begun.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from edge.cli.daemons import SocketOption, of_device, sockets
from edge.cli.errors import Exit, InputInvalid, UsageWrong
from edge.cli.gate import actor, reason_of, sent_once
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell
from edge.cli.sockets import ask
from edge.cli.status import word

HELP: Final = N_(
    "Have a device do something, or --list what it can do.\n\n"
    "Values are written as KEY=VALUE: a list as [1, 2], one of a table as KEY.NAME=VALUE, the bytes of a file as "
    "KEY=@FILE. A device that serves a lane is moved by its lane only: gatefleet gate."
)
EXAMPLES: Final = (
    "gatefleet device command dome-2 --list\n"
    'gatefleet device command dome-2 MoveCamera pan=0.5 duration_ms=800 --reason "look at the gate"\n'
    'gatefleet device command sw-1 ResetPoePort port=1.5 --reason "camera hangs"\n'
    "gatefleet device command buses ShowText text=绕行 speak=true --terminal 13800000001 "
    '--reason "bridge closed"\n'
    "gatefleet device command buses SetParameters values.0001=30 --terminal 13800000001 "
    '--reason "heartbeat"'
)
_MOST_BYTES: Final = 16 << 20
_WAIT_S: Final = 120.0
_AS_WRITTEN: Final = ("text", "bytes")
"""Fields whose values are not read as TOML: 1.5 may be the name of a port."""

NameArgument = Annotated[str, typer.Argument(metavar="COMMAND", help=N_("what it shall do"))]
ValueArgument = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help=N_("what the command takes"))]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help=N_("why; it is recorded"))]
TerminalOption = Annotated[
    str, typer.Option("--terminal", metavar="NUMBER", help=N_("which of the many behind the device"))
]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=1, max=7200, help=N_("wait so long for the outcome"))
]
ListOption = Annotated[bool, typer.Option("--list", help=N_("show which commands it has and what they take"))]


def register(group: typer.Typer) -> None:
    """Add the command to the group `device`."""
    group.command("command", help=HELP, epilog=EXAMPLES)(command)


def command(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help=N_("its id in the configuration"))],
    name: NameArgument = "",
    values: ValueArgument = None,
    *,
    reason: ReasonOption = "",
    terminal: TerminalOption = "",
    wait: WaitOption = _WAIT_S,
    list_: ListOption = False,
    socket: SocketOption = None,
) -> Exit:
    """Have a device do a command."""
    screen: Screen = ctx.obj
    if not list_:
        if not name:
            raise UsageWrong(_("say which command, or --list"), place="COMMAND")
        reason = reason_of(reason)
    path = of_device(sockets(socket), device)
    known = ask(path, {"op": "commands", "id": device}, list)
    if list_:
        screen.show(known, lambda page: page.table((_("Command"), _("Takes"), _("Does")), map(_row, known)))
        return Exit.OK
    request = {
        "op": "command",
        "id": device,
        "name": name,
        "terminal": terminal,
        "arguments": arguments_of(values or (), _fields(known, name)),
        "reason": reason,
        "actor": actor(),
    }
    cure = _("look at the device before you try again: gatefleet device show {device}").format(device=device)
    data = sent_once(path, request, cure, wait)
    screen.show(data, lambda page: _show(page, data))
    return Exit.OK if data.get("result") == "done" else Exit.FAILED


def _show(page: Page, data: Mapping[str, Any]) -> None:
    page.fields(
        [
            (_("Device"), data.get("device")),
            *([(_("Terminal"), data.get("terminal"))] if data.get("terminal") else []),
            (_("Command"), data.get("command")),
            (_("Result"), word(data.get("result"))),
            (_("Detail"), cell(data.get("detail"))),
        ]
    )


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    return one.get("name"), "\n".join(_taken(one)), one.get("does")


def _taken(one: Mapping[str, Any]) -> Iterator[str]:
    fields = one.get("fields")
    for row in fields if isinstance(fields, list) else ():
        if isinstance(row, dict):
            default = f" = {cell(row['default'])}" if "default" in row else ""
            yield f"{cell(row.get('name'))}: {cell(row.get('takes'))}{default}"


def _fields(known: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """Return what each field of a command takes; nothing where the daemon knows no such command, and will say so."""
    for one in known:
        if one.get("name") == name and isinstance(rows := one.get("fields"), list):
            return {str(row.get("name")): str(row.get("takes")) for row in rows if isinstance(row, dict)}
    return {}


def arguments_of(values: Sequence[str], takes: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments that were written; raise UsageWrong or InputInvalid."""
    arguments: dict[str, Any] = {}
    for text in values:
        key, sign, written = text.partition("=")
        *groups, last = path = key.strip().split(".")
        if not sign or not all(path):
            raise UsageWrong(_("write {text!r} as KEY=VALUE").format(text=text[:80]), place="KEY=VALUE")
        table = arguments
        for group in groups:
            table = table.setdefault(group, {})
            if not isinstance(table, dict):
                raise UsageWrong(_("{key!r} lies inside a value").format(key=key), place="KEY=VALUE")
        if last in table:
            raise UsageWrong(_("{key!r} is set twice").format(key=key), place="KEY=VALUE")
        table[last] = _value(written, "" if groups else takes.get(last, ""))
    return arguments


def _value(written: str, takes: str) -> Any:
    from edge.device_entry import read_value

    if written.startswith("@"):
        return _bytes_of(Path(written[1:]))
    return written if takes.startswith(_AS_WRITTEN) else read_value(written.strip())


def _bytes_of(path: Path) -> str:
    try:
        with path.open("rb") as source:
            raw = source.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputInvalid(_("cannot be read: {why}").format(why=error.strerror), place=str(path)) from error
    if len(raw) > _MOST_BYTES:
        raise InputInvalid(_("more than {limit} bytes").format(limit=_MOST_BYTES), place=str(path))
    return base64.b64encode(raw).decode()
