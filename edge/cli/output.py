"""The one place where commands show things: for people as text and tables, for programs as JSON on stdout.

With `--json` a command writes one JSON object or array, a stream writes one object a line, and an error is
`{"error": {"code", "detail", "place", "cure"}}` on stdout. Without it errors go to stderr: what, where, cure.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

from core.errors import GatefleetError
from edge.cli.errors import Exit, code_of, exit_of
from edge.cli.language import N_, _

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_PIPES: Final = 160
NOTHING: Final = "-"

TITLES: Final[Mapping[str, str]] = {
    "internal": N_("this should not have happened"),
    "config_invalid": N_("the configuration is wrong"),
    "frame_invalid": N_("these bytes break the protocol"),
    "frame_incomplete": N_("these bytes are no whole frame"),
    "document_invalid": N_("this is no machine-readable zone"),
    "link_lost": N_("the connection failed"),
    "device_silent": N_("the device does not answer"),
    "device_refused": N_("the device refuses"),
    "unsupported": N_("this is not supported"),
    "not_found": N_("there is nothing of that name"),
    "buffer_full": N_("the buffer is full"),
    "buffer_unavailable": N_("the buffer cannot be used"),
    "signature_invalid": N_("the signature is not good"),
    "command_expired": N_("the command came too late"),
    "message_invalid": N_("the message cannot be understood"),
    "list_refused": N_("the list is refused"),
    "usage": N_("the command line is wrong"),
    "input_invalid": N_("the input is wrong"),
    "no_daemon": N_("no daemon found"),
    "not_installed": N_("this part is not installed"),
    "central_unreachable": N_("central cannot be reached"),
    "outcome_unknown": N_("it is not known whether it was done"),
}
"""What to call an error, by its code; the detail comes behind."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a command shows its results."""

    json: bool
    out: TextIO
    err: TextIO

    def show(self, value: object, human: Callable[["Page"], None]) -> None:
        """Show one result: the value as JSON, or what `human` puts on the page."""
        if self.json:
            self.out.write(as_json(value) + "\n")
        else:
            page = Page(_console(self.out))
            human(page)
        self.out.flush()

    def line(self, value: object, human: str) -> None:
        """Show one item of a stream, at once."""
        self.out.write((as_json(value) if self.json else printable(human)) + "\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """Tell people something beside the result; programs read it in the JSON."""
        if not self.json:
            self.err.write(printable(text) + "\n")

    def error(self, error: GatefleetError) -> Exit:
        """Show an error; return the exit status."""
        if self.json:
            self.out.write(as_json({"error": error_value(error)}) + "\n")
            self.out.flush()
        else:
            self.err.write("".join(f"{line}\n" for line in error_lines(error)))
        return exit_of(error)


@dataclass(frozen=True, slots=True)
class Page:
    """A result for people."""

    console: "Console"

    def text(self, text: str) -> None:
        """Write a paragraph."""
        self.console.print(printable(text, keep="\n"), soft_wrap=not self.console.is_terminal)

    def heading(self, text: str) -> None:
        """Write a line that stands out."""
        self.console.print(printable(text), style="bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table; what is None or empty is shown as a dash."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(cell(value) for value in row))
        self.console.print(table)

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Write names and values below one another."""
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        for name, value in pairs:
            grid.add_row(name, cell(value))
        self.console.print(grid)


def _console(out: TextIO) -> "Console":
    from rich.console import Console

    width = None if out.isatty() else int(os.environ.get("COLUMNS") or WIDTH_OF_PIPES)
    return Console(file=out, width=width, markup=False, emoji=False, highlight=False)


def as_json(value: object) -> str:
    """Return JSON in one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def error_value(error: GatefleetError) -> dict[str, str]:
    """Return an error as programs get it."""
    return {"code": code_of(error), "detail": error.detail, "place": error.place, "cure": error.cure}


def error_lines(error: GatefleetError) -> list[str]:
    """Return an error as people get it: what, where, cure."""
    title = _(TITLES.get(code_of(error), code_of(error)))
    pairs = ((_("Error"), title), ("", error.detail), (_("Where"), error.place), (_("Cure"), error.cure))
    return [
        f"{name}: {line}" if name and not number else f"  {line}"
        for name, text in pairs
        if text
        for number, line in enumerate(printable(text, keep="\n").split("\n"))
    ]


def printable(text: str, keep: str = "") -> str:
    """Return the text without signs that could steer a terminal: what is shown may come from a hostile device."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else f"\\x{ord(sign):02x}" for sign in text)


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    if value is None or value in ("", [], {}, ()):
        return NOTHING
    match value:
        case bool():
            return _("yes") if value else _("no")
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(cell(item) for item in value)
        case dict():
            return ", ".join(f"{key}={cell(item)}" for key, item in value.items())
        case _:
            return printable(str(value))


def section(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object inside an object; an empty one where there is none."""
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def rows_of(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list inside an object; none where there is no list."""
    found = data.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def local_time(value: object) -> str:
    """Return a moment of the wire in the time of this machine; what is none stays as it is."""
    if not isinstance(value, str) or not value:
        return NOTHING
    try:
        return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return printable(value)


def duration(seconds: object) -> str:
    """Return a length of time for people, such as `3d 4h` or `12s`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e12:
        return cell(seconds)
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if rest >= size or (unit == "s" and not parts):
            parts.append(f"{rest // size}{unit}")
        rest %= size
    return " ".join(parts[:2])


def size(count: object) -> str:
    """Return a number of bytes for people."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        return cell(count)
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def standard(*, json_wanted: bool) -> Screen:
    """Return the screen of this process."""
    return Screen(json_wanted, sys.stdout, sys.stderr)
