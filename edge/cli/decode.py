"""`gatefleet decode`: what do these bytes or this text mean? Offline: no daemon, no device.

With `-` each line of standard input gives exactly one line of JSON, whatever is in it. Lines and memory are bounded.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Annotated, Any, Final, cast

import typer

from core.errors import ConfigInvalid, GatefleetError, NotFound, Unsupported
from edge.cli.errors import Exit, FrameIncomplete, InputInvalid, UsageWrong, code_of
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen

MAX_LINE: Final = 1 << 20
"""The longest line that is decoded, in bytes; a longer one is thrown away and answered with an error."""
_CHUNK: Final = 1 << 16
_DOCUMENT_KINDS: Final = ("mrz", "plate", "resident-id", "permit")
"""Kinds of text that need no driver; core.identity.describe has the same names."""
_TEXT_DRIVERS: Final = frozenset({"reader", "nmea0183"})
"""Drivers whose bytes are text, so that a line of input is a line of theirs."""

StreamOption = Annotated[
    bool, typer.Option("--stream", help=N_("the lines are one connection, cut anywhere; an empty line ends it"))
]
Reports = list[dict[str, Any]]
DecodeLine = Callable[[bytes], Reports]
"""One line of input, without its end -> reports; raises GatefleetError."""

HELP: Final = N_(
    "Decode bytes or text offline.\n\n"
    "KIND is a kind of document (mrz, plate, resident-id, permit) or a driver with a byte decoder, "
    "such as modbus-rtu, jt808, nmea0183 or reader. With `-` every line of standard input gives one line "
    'of JSON: {"reports": [...]} or {"error": {...}}.'
)
EXAMPLES: Final = (
    "gatefleet decode plate --text \u7ca4Z1234\u6e2f\n"
    "gatefleet decode modbus-rtu --hex 110306014101440147d120\n"
    "gatefleet decode jt808 --hex 7e00020000012345678900000a817e\n"
    "gatefleet decode nmea0183 - < sentences.txt\n"
    "gatefleet decode mrz - < documents.txt"
)


@dataclass(frozen=True, slots=True)
class Source:
    """How input for a kind is read."""

    text: bool
    """Lines are text; else they are hexadecimal."""
    decode: Callable[[], Callable[[bytes], Reports]]
    """Makes the decoder of one connection: bytes -> reports."""
    frames: bool
    """No report means that no frame was whole."""
    end: bytes = b""
    """Follows a line of text on the wire."""
    encoding: str = "utf-8"
    whole: bool = False
    """A request or body that was understood ended by itself: an empty one behind it would be another."""


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("decode", help=HELP, epilog=EXAMPLES)(decode)


def decode(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=N_("what it is: mrz, plate, modbus-rtu, ..."))],
    lines: Annotated[str, typer.Argument(metavar="-", help=N_("read lines from standard input"))] = "",
    *,
    hex_: Annotated[str | None, typer.Option("--hex", metavar="HEX", help=N_("bytes, in hexadecimal"))] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help=N_("text as it stands"))] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="VENDOR/MODEL", help=N_("the device model, if it matters"))
    ] = None,
    stream: StreamOption = False,
) -> Exit:
    """Decode one input, or each line of standard input."""
    screen: Screen = ctx.obj
    if sum((lines == "-", hex_ is not None, text is not None)) != 1 or lines not in {"", "-"}:
        raise UsageWrong(_("give exactly one of --hex HEX, --text TEXT and -"), place="gatefleet decode")
    source = source_of(kind, profile)
    if lines:
        _decode_lines(line_decoder(source, stream=stream))
        return Exit.OK
    reports = _once(source, _wire_text(source, text or "") if hex_ is None else _bytes_of_hex(hex_))
    screen.show({"reports": reports}, lambda page: _show(page, reports))
    return Exit.OK


def source_of(kind: str, profile: str | None) -> Source:
    """Return how a kind is decoded; raise NotFound, Unsupported or ConfigInvalid."""
    if kind in _DOCUMENT_KINDS:
        return _document(kind)
    from drivers import registry

    try:
        driver = registry.driver(kind)
    except NotFound as error:
        raise NotFound(error.detail, cure=f"{error.cure}, {', '.join(_DOCUMENT_KINDS)}") from error
    if driver.decoder is None:
        raise Unsupported(
            f"{kind} has no byte decoder: such a device is read in registers",
            cure="decode the bytes on its line with modbus-rtu or modbus-tcp",
        )
    model = None
    if profile is not None:
        from edge.profiles import load_profile

        model = load_profile(profile)
        if model.driver != kind:
            raise ConfigInvalid(f"{profile} is a profile of the driver {model.driver}, not of {kind}", place=profile)
    make = driver.decoder
    if kind not in _TEXT_DRIVERS:
        pushes = driver.links == {"http-server"}
        return Source(text=False, decode=lambda: make(model), frames=True, whole=pushes)
    layout = model.map if model else {}
    end = "\r\n" if not layout.get("terminators") else layout["terminators"][0]
    encoding = layout.get("encoding", "utf-8")
    return Source(text=True, decode=lambda: make(model), frames=True, end=end.encode(), encoding=encoding)


def _document(kind: str) -> Source:
    from core.identity.describe import DESCRIBERS

    describe = DESCRIBERS[kind]

    def decode(raw: bytes) -> Reports:
        try:
            return [describe(raw.decode())]
        except UnicodeDecodeError as error:
            raise InputInvalid(f"not UTF-8: byte {error.start + 1}") from error

    return Source(text=True, decode=lambda: decode, frames=False)


def line_decoder(source: Source, *, stream: bool) -> DecodeLine:
    """Return the decoder of lines: each its own connection, or all of them one."""
    if not stream:
        return lambda line: _once(source, _wire_line(source, line))
    connection = source.decode()
    return lambda line: connection(_wire_line(source, line))


def _once(source: Source, data: bytes) -> Reports:
    """Return the reports of a whole connection; no bytes tell a decoder of frames that it has ended."""
    connection = source.decode()
    reports = list(connection(data))
    if not source.frames:
        return reports
    while not (source.whole and reports) and (more := connection(b"")):
        reports += more
    if not reports:
        raise FrameIncomplete(f"no whole frame in {len(data)} bytes")
    return reports


def _wire_line(source: Source, line: bytes) -> bytes:
    if not source.text:
        return _bytes_of_hex(line.decode("latin-1"))
    if not source.end:
        return line
    try:
        return _wire_text(source, line.decode())
    except UnicodeDecodeError as error:
        raise InputInvalid(f"not UTF-8: byte {error.start + 1}") from error


def _wire_text(source: Source, text: str) -> bytes:
    """Return text as it is on the device's line."""
    try:
        return text.encode(source.encoding if source.end else "utf-8") + source.end
    except UnicodeEncodeError as error:
        raise InputInvalid(f"sign {error.start + 1} is not in {source.encoding}") from error


def _bytes_of_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        odd = sum(not sign.isspace() for sign in digits) % 2
        raise InputInvalid("an odd number of hexadecimal digits" if odd else f"not hexadecimal: {error}") from error


def _decode_lines(decode_line: DecodeLine) -> None:
    """Answer what has come before reading on: a program may wait for each answer."""
    out = sys.stdout.buffer
    for batch in bounded_lines(cast("BufferedReader", sys.stdin.buffer).read1):
        out.write(b"".join([answer(decode_line, line) for line in batch]))
        out.flush()


def answer(decode_line: DecodeLine, line: bytes | None) -> bytes:
    """Return the JSON line for one line of input; None is one that was too long."""
    try:
        if line is None:
            raise InputInvalid(f"a line of more than {MAX_LINE} bytes")
        value: dict[str, Any] = {"reports": decode_line(line)}
    except GatefleetError as error:
        value = {"error": {"code": code_of(error), "detail": error.detail}}
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace") + b"\n"


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)


def bounded_lines(read: Callable[[int], bytes], limit: int = MAX_LINE) -> Iterator[list[bytes | None]]:
    """Yield the lines that each read completes, without their ends; None for a line longer than `limit`."""
    rest, too_long = b"", False
    while chunk := read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        batch: list[bytes | None] = [line.removesuffix(b"\r") if len(line) <= limit else None for line in whole]
        if too_long and batch:
            batch[0], too_long = None, False
        if len(rest) > limit or too_long:
            rest, too_long = b"", True
        yield batch
    if rest or too_long:
        yield [None if too_long else rest.removesuffix(b"\r")]


def _show(page: Page, reports: Reports) -> None:
    for report in reports:
        page.fields((key, value) for key, value in report.items())
