"""`gatefleet gate`: act on a lane by hand. Each act has a reason and is recorded with the technician's name.

A command goes to exactly one daemon and is sent once: if its answer is lost, the outcome is unknown, and that is said.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from core.errors import GatefleetError
from edge.cli.daemons import SocketOption, of_lane, sockets
from edge.cli.errors import Exit, OutcomeUnknown, Told, UsageWrong
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell
from edge.cli.sockets import Answer, Connection, Request, checked
from edge.cli.status import word

ACT_S: Final = 15.0
"""A gate may move for some seconds before the daemon knows how it ended."""
MAX_REASON: Final = 512
GROUP_HELP: Final = N_("Act on a lane by hand; the reason is recorded.")
ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "open": (
        N_("Let one person through now."),
        'gatefleet gate open E03 --direction in --reason "stuck traveller"',
    ),
    "lock": (N_("Let nobody through."), 'gatefleet gate lock E03 --reason "door jammed"'),
    "release": (
        N_("Go back to normal working: each is checked."),
        'gatefleet gate release E03 --reason "door repaired"',
    ),
    "free": (
        N_("Let all pass, unchecked but counted."),
        'gatefleet gate free E03 --reason "ordered by the shift leader"',
    ),
    "emergency": (N_("Open the doors for escape."), 'gatefleet gate emergency E03 --reason "fire alarm, hall 2"'),
}
"""Help and example of each action."""
LaneArgument = Annotated[str, typer.Argument(metavar="LANE", help=N_("its id in the configuration"))]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help=N_("why; it is recorded"))]
DirectionOption = Annotated[
    Literal["in", "out"] | None, typer.Option("--direction", metavar="in|out", help=N_("which way"))
]


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="gate", help=GROUP_HELP)
    for action, (help_, example) in ACTIONS.items():
        app.command(action, help=help_, epilog=example)(open_ if action == "open" else _command(action))
    root.add_typer(app)


def open_(
    ctx: typer.Context,
    lane: LaneArgument,
    reason: ReasonOption,
    direction: DirectionOption = None,
    socket: SocketOption = None,
) -> Exit:
    """Let one person through."""
    return act(ctx.obj, lane, {"action": "open", "reason": reason, "direction": direction}, socket)


def _command(action: str) -> Callable[..., Exit]:
    def command(ctx: typer.Context, lane: LaneArgument, reason: ReasonOption, socket: SocketOption = None) -> Exit:
        """Act on a lane."""
        return act(ctx.obj, lane, {"action": action, "reason": reason}, socket)

    return command


def act(screen: Screen, lane: str, what: Request, given: list[Path] | None) -> Exit:
    """Send one action to the daemon that has the lane; show and return how it ended."""
    reason = reason_of(str(what["reason"]))
    path = of_lane(sockets(given), lane)
    wanted = {key: value for key, value in what.items() if value is not None}
    cure = _("look at the gate and at gatefleet status before you try again")
    data = sent_once(path, {"op": "gate", "lane": lane, **wanted, "reason": reason, "actor": actor()}, cure)

    def human(page: Page) -> None:
        page.fields(
            [
                (_("Lane"), data.get("lane")),
                (_("Result"), word(data.get("result"))),
                (_("Mode"), word(data.get("mode"))),
                (_("Detail"), cell(data.get("detail"))),
            ]
        )

    screen.show(data, human)
    return Exit.OK if data.get("result") == "done" else Exit.FAILED


def sent_once(path: Path, request: Request, cure: str, wait_s: float = ACT_S) -> Answer:
    """Send a wish once; raise OutcomeUnknown, with the cure, where its answer is lost."""
    with Connection.open(path) as connection:
        try:
            connection.send(request)
            return checked(connection.answer(wait_s), dict, path)
        except Told:
            raise
        except UsageWrong:
            raise
        except GatefleetError as error:
            raise OutcomeUnknown(error.detail, place=error.place, cure=cure) from error


def reason_of(given: str) -> str:
    """Return a reason without the blanks around it; raise UsageWrong."""
    reason = given.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise UsageWrong(_("a reason has 1 to {limit} characters").format(limit=MAX_REASON), place="--reason")
    return reason


def actor() -> str:
    """Return who acts, for the record: the user of this terminal, behind sudo the one who called it."""
    from getpass import getuser

    try:
        user = os.environ.get("SUDO_USER") or getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"cli:{user}"[:128]
