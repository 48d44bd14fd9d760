"""`gatefleet boarding`: meet an aircraft at a verification cabin, also with the uplink down.

What changes something goes to exactly one daemon and is sent once: if its answer is lost, the outcome is unknown, and
that is said. Documents that are expected are read from a file or the command line and handed to the daemon, which keeps
tokens only.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from edge.cli.daemons import SocketOption, ask_all, of_lane, sockets
from edge.cli.errors import Exit, InputInvalid, UsageWrong
from edge.cli.gate import ReasonOption, actor, reason_of, sent_once
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, local_time, rows_of, section
from edge.cli.sockets import Request
from edge.cli.status import word

_MAX_FILE: Final = 1 << 20
GROUP_HELP: Final = N_("Meet an aircraft at a boarding-verification cabin.")
OPEN_HELP: Final = N_(
    "Begin to meet an aircraft: say how many passengers are expected, or who.\n\n"
    "Documents are given one by one or in a file, one a line: issuer/number, a resident or permit number, or the lines"
    " of the machine-readable zone joined by |. The daemon makes tokens of them and keeps no number."
)
OPEN_EXAMPLES: Final = (
    "gatefleet boarding open C1 --flight NX101 --stand 12A --expected 142\n"
    "gatefleet boarding open C1 --flight NX101 --stand 12A --documents manifest.txt"
)
CLOSE_HELP: Final = N_("End a boarding: its counts are summed up and sealed.")
CLOSE_EXAMPLES: Final = "gatefleet boarding close C1"
SHOW_HELP: Final = N_("Show how the boardings of all cabins stand, and who waits for the officer.")
SHOW_EXAMPLES: Final = "gatefleet boarding show\ngatefleet boarding show C1 --json"
RULE_HELP: Final = N_("Decide on the passenger who is held, by the name of the attempt that `boarding show` gives.")
RULE_EXAMPLES: Final = (
    'gatefleet boarding rule C1 NX101-0003 release --reason "portrait compared by eye"\n'
    'gatefleet boarding rule C1 NX101-0004 refuse --reason "not the holder"'
)
STEPS: Final[Mapping[str, str]] = {
    "lost": N_("not seen"),
    "shut": N_("shut"),
    "waiting": N_("waits for a passenger"),
    "entering": N_("somebody enters"),
    "document": N_("reads the document"),
    "face": N_("compares the face"),
    "recording": N_("records"),
    "held": N_("waits for the officer"),
    "releasing": N_("releases"),
    "stepping_out": N_("lets out by the entrance"),
    "free": N_("both doors are free"),
}
COUNTS: Final[Mapping[str, str]] = {
    "expected": N_("Expected"),
    "seen": N_("Seen"),
    "verified": N_("Verified"),
    "held": N_("Held"),
    "released_by_officer": N_("Released by the officer"),
    "refused": N_("Refused"),
    "unexpected": N_("Not expected"),
    "no_show": N_("Not come"),
}

CabinArgument = Annotated[str, typer.Argument(metavar="CABIN", help=N_("its id in the configuration"))]
OfficerOption = Annotated[str, typer.Option("--officer", metavar="NAME", help=N_("who meets; else the user"))]


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="boarding", help=GROUP_HELP)
    app.command("open", help=OPEN_HELP, epilog=OPEN_EXAMPLES)(open_)
    app.command("close", help=CLOSE_HELP, epilog=CLOSE_EXAMPLES)(close)
    app.command("show", help=SHOW_HELP, epilog=SHOW_EXAMPLES)(show)
    app.command("rule", help=RULE_HELP, epilog=RULE_EXAMPLES)(rule)
    root.add_typer(app)


def open_(
    ctx: typer.Context,
    cabin: CabinArgument,
    flight: Annotated[str, typer.Option("--flight", metavar="FLIGHT", help=N_("such as NX101"))],
    stand: Annotated[str, typer.Option("--stand", metavar="STAND", help=N_("where the aircraft stands"))],
    expected: Annotated[
        int | None, typer.Option("--expected", metavar="N", min=0, max=1_000, help=N_("how many are expected"))
    ] = None,
    document: Annotated[
        list[str] | None, typer.Option("--document", metavar="TEXT", help=N_("who is expected; may be repeated"))
    ] = None,
    documents: Annotated[
        Path | None, typer.Option("--documents", metavar="FILE", help=N_("who is expected, one a line"))
    ] = None,
    boarding: Annotated[str, typer.Option("--id", metavar="ID", help=N_("its name; else of flight and time"))] = "",
    officer: OfficerOption = "",
    socket: SocketOption = None,
) -> Exit:
    """Open a boarding."""
    named = [*(document or ()), *(_lines(documents) if documents else ())]
    if (expected is None) is not bool(named):
        cure = _("give --expected, or --document or --documents")
        raise UsageWrong(_("say either how many are expected, or who"), cure=cure)
    name = boarding or f"{flight}-{datetime.now().astimezone():%y%m%d-%H%M}"
    wanted: dict[str, Any] = {"boarding": name, "flight": flight, "stand": stand, "officer": officer}
    wanted |= {"documents": named} if named else {"expected": expected}
    return _act(ctx.obj, cabin, {"op": "boarding_open", **wanted}, socket)


def close(
    ctx: typer.Context,
    cabin: CabinArgument,
    boarding: Annotated[str, typer.Option("--id", metavar="ID", help=N_("only this boarding"))] = "",
    officer: OfficerOption = "",
    socket: SocketOption = None,
) -> Exit:
    """Close the boarding that is open."""
    wanted = {"op": "boarding_close", "officer": officer} | ({"boarding": boarding} if boarding else {})
    return _act(ctx.obj, cabin, wanted, socket)


def rule(
    ctx: typer.Context,
    cabin: CabinArgument,
    attempt: Annotated[str, typer.Argument(metavar="ATTEMPT", help=N_("as `boarding show` names it"))],
    ruling: Annotated[
        Literal["release", "refuse", "again"],
        typer.Argument(metavar="release|refuse|again", help=N_("what becomes of the passenger")),
    ],
    reason: ReasonOption,
    socket: SocketOption = None,
) -> Exit:
    """Decide on the passenger who is held."""
    wanted = {"op": "boarding_rule", "attempt": attempt, "ruling": ruling, "reason": reason_of(reason)}
    return _act(ctx.obj, cabin, wanted, socket)


def show(
    ctx: typer.Context,
    cabin: Annotated[str | None, typer.Argument(metavar="CABIN", help=N_("only this one"))] = None,
    socket: SocketOption = None,
) -> Exit:
    """Show how it stands."""
    screen: Screen = ctx.obj
    paths = sockets(socket)
    request = {"op": "boarding_show"} | ({"lane": cabin} if cabin else {})
    found = ask_all([of_lane(paths, cabin)] if cabin else paths, request)
    cabins = [one for _path, data in found.answers for one in rows_of(data, "cabins")]

    def human(page: Page) -> None:
        for one in cabins:
            _write(page, one)
        if not cabins:
            page.text(_("There is no cabin here."))

    found.note_dead(screen)
    screen.show({"cabins": cabins, "dead": found.dead()}, human)
    return Exit.OK


def _act(screen: Screen, cabin: str, request: Request, given: list[Path] | None) -> Exit:
    path = of_lane(sockets(given), cabin)
    cure = _("look at gatefleet boarding show before you try again")
    data = sent_once(path, {**request, "lane": cabin, "actor": actor()}, cure)

    def human(page: Page) -> None:
        page.fields([(_("Result"), word(data.get("result"))), (_("Detail"), cell(data.get("detail")))])
        _write(page, data)

    screen.show(data, human)
    return Exit.OK if data.get("result") == "done" else Exit.FAILED


def _write(page: Page, one: Mapping[str, Any]) -> None:
    step = one.get("step")
    page.heading(
        f"{cell(one.get('lane'))}: {_(STEPS[step]) if isinstance(step, str) and step in STEPS else cell(step)}"
    )
    if one.get("held"):
        page.text(_("{attempt} waits for the officer").format(attempt=cell(one["held"])))
    if not one.get("boarding"):
        page.text(_("No boarding is open."))
        return
    counts = section(one, "counts")
    page.fields(
        [
            (_("Boarding"), one.get("boarding")),
            (_("Flight"), one.get("flight")),
            (_("Stand"), one.get("stand")),
            (_("Officer"), one.get("officer")),
            (_("Opened"), local_time(one.get("opened_at"))),
            *((_(title), str(counts.get(key, "-"))) for key, title in COUNTS.items()),
            (_("Anomalies"), str(one.get("anomalies", "-"))),
        ]
    )


def _lines(file: Path) -> list[str]:
    """Return the documents of a file; what is wrong is told without its text."""
    try:
        with file.open("rb") as source:
            raw = source.read(_MAX_FILE + 1)
    except OSError as error:
        raise InputInvalid(error.strerror or str(error), place=str(file)) from error
    if len(raw) > _MAX_FILE:
        raise InputInvalid(_("more than {limit} bytes").format(limit=_MAX_FILE), place=str(file))
    try:
        found = [line.strip() for line in raw.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise InputInvalid(_("not a text file"), place=str(file)) from None
    return [line for line in found if line and not line.startswith("#")]
