"""`gatefleet buffer status|verify|repair|export`: the durable buffer, through its daemon or as a file."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.errors import BufferUnavailable
from edge.cli.daemons import SocketOption, ask_all, sockets
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, local_time, section, size
from edge.cli.status import buffer_line

GROUP_HELP: Final = N_("The durable buffer of a daemon.")
STATUS_HELP: Final = N_(
    "Show what waits for central, by stream.\n\nWith --file it reads the file itself, also while its daemon is down."
)
STATUS_EXAMPLES: Final = "gatefleet buffer status\ngatefleet buffer status --file /var/lib/gatefleet/gates/buffer.db"
VERIFY_HELP: Final = N_(
    "Check every entry of a buffer file; change nothing. The exit status is 1 if something is damaged."
)
VERIFY_EXAMPLES: Final = "gatefleet buffer verify /var/lib/gatefleet/gates/buffer.db"
REPAIR_HELP: Final = N_(
    "Save what can be saved of a damaged buffer file, whose daemon is stopped.\n\nThe damaged file is kept beside it."
)
REPAIR_EXAMPLES: Final = "gatefleet buffer repair /var/lib/gatefleet/gates/buffer.db"
EXPORT_HELP: Final = N_("Write the events of a buffer file as JSON lines, to carry them to central.")
EXPORT_EXAMPLES: Final = "gatefleet buffer export /var/lib/gatefleet/gates/buffer.db --out /media/stick/events.jsonl"
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help=N_("the buffer file"))]


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="buffer", help=GROUP_HELP)
    app.command("status", help=STATUS_HELP, epilog=STATUS_EXAMPLES)(status)
    app.command("verify", help=VERIFY_HELP, epilog=VERIFY_EXAMPLES)(verify)
    app.command("repair", help=REPAIR_HELP, epilog=REPAIR_EXAMPLES)(repair)
    app.command("export", help=EXPORT_HELP, epilog=EXPORT_EXAMPLES)(export)
    root.add_typer(app)


def status(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help=N_("read this file, ask no daemon"))
    ] = None,
    socket: SocketOption = None,
) -> Exit:
    """Show what the buffers hold."""
    screen: Screen = ctx.obj
    if file is not None:
        verdict = _verdict(file, "verify")
        screen.show(verdict, lambda page: _write_verdict(page, verdict))
        return Exit.OK
    found = ask_all(sockets(socket), {"op": "status"})
    found.note_dead(screen)
    buffers = [
        {"socket": str(path), "edge": data.get("edge"), "epoch": data.get("epoch"), **section(data, "buffer")}
        for path, data in found.answers
    ]

    def human(page: Page) -> None:
        for one in buffers:
            page.heading(cell(one["edge"]))
            page.text(buffer_line(one))
            if one.get("trouble"):
                page.text(f"! {cell(one['trouble'])}")
            _write_streams(page, section(one, "streams"))

    screen.show({"buffers": buffers, "dead": found.dead()}, human)
    return Exit.OK


def _write_streams(page: Page, streams: Mapping[str, Any]) -> None:
    columns = (_("Stream"), _("Entries"), _("Size"), _("Oldest"), _("Newest"), _("Acked"), _("Dropped"))
    rows = ((name, section(streams, name)) for name in streams)
    page.table(
        columns,
        (
            (
                name,
                one.get("entries"),
                size(one.get("bytes")),
                local_time(one.get("oldest")),
                one.get("newest"),
                one.get("acked"),
                one.get("dropped"),
            )
            for name, one in rows
        ),
    )


def verify(ctx: typer.Context, file: FileArgument) -> Exit:
    """Check a buffer file."""
    return _tool(ctx.obj, file, "verify")


def repair(ctx: typer.Context, file: FileArgument) -> Exit:
    """Save what can be saved."""
    return _tool(ctx.obj, file, "repair")


def export(
    ctx: typer.Context,
    file: FileArgument,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help=N_("the file to write"))],
    edge: Annotated[
        str, typer.Option("--edge", metavar="SITE.NAME", help=N_("the edge's name, as the source of the events"))
    ] = "",
) -> Exit:
    """Write events as JSON lines."""
    with _file_errors(out):
        from edge.buffer import tools

        count = tools.export(file, out, source=edge)
    screen: Screen = ctx.obj
    screen.show(
        {"file": str(file), "out": str(out), "events": count},
        lambda page: page.text(_("{n} events written to {file}").format(n=count, file=out)),
    )
    return Exit.OK


def _tool(screen: Screen, file: Path, verb: str) -> Exit:
    verdict = _verdict(file, verb)
    screen.show(verdict, lambda page: _write_verdict(page, verdict))
    return Exit.OK if verdict["sound"] else Exit.FAILED


def _verdict(file: Path, verb: str) -> dict[str, Any]:
    with _file_errors(file):
        from edge.buffer import tools

        verdict = tools.verify(file) if verb == "verify" else tools.repair(file)
    return {"file": str(file), **asdict(verdict)}


@contextmanager
def _file_errors(file: Path) -> Iterator[None]:
    """Tell errors of the file system as ours."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BufferUnavailable(reason, place=str(getattr(error, "filename", None) or file)) from error


def _write_verdict(page: Page, verdict: Mapping[str, Any]) -> None:
    damaged = _("DAMAGED: {trouble}").format(trouble=verdict["trouble"])
    page.heading(cell(verdict["file"]))
    page.fields(
        [
            (
                _("State"),
                _("sound") if verdict["sound"] else damaged,
            ),
            (_("Size"), size(verdict["size_bytes"])),
            (_("Epoch"), verdict["epoch"]),
            (_("Damaged copies"), verdict["damaged_copies"]),
        ]
    )
    columns = (_("Stream"), _("Entries"), _("Acked"), _("Bad"), _("Missing"))
    keys = ("entries", "acked", "bad_rows", "holes")
    page.table(columns, ((name, *(verdict[key].get(name) for key in keys)) for name in verdict["entries"]))
