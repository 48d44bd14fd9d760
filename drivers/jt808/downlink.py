"""The bodies of what the platform sends: replies to a terminal, and commands."""

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from core.errors import Unsupported
from core.messages.commands import DeviceCommand
from drivers.jt808.commands import (
    AskDescription,
    AskPosition,
    ControlTerminal,
    QueryParameters,
    SendPassthrough,
    SetParameters,
    ShowText,
    TellTime,
    TerminalCommand,
    UpgradeTerminal,
)
from drivers.jt808.dialect import Dialect, Version

DONE: Final = 0
FAILED: Final = 1
BAD_MESSAGE: Final = 2
UNSUPPORTED: Final = 3

NO_SUCH_TERMINAL: Final = 4
"""Of 0x8100."""
_MAX_HOLES: Final = {2011: 125, 2013: 125, 2019: 500}
"""Package numbers in one request: a byte counts them until 2013, and they must fit in one frame."""


def general_reply(serial: int, msg_id: int, result: int) -> bytes:
    """Return the body of 0x8001."""
    return struct.pack(">HHB", serial, msg_id, result)


def registered(serial: int, result: int, code: str = "") -> bytes:
    """Return the body of 0x8100; the code stands there only where the result is 0."""
    return struct.pack(">HB", serial, result) + code.encode("ascii")


def resend(first_serial: int, missing: Sequence[int], version: Version) -> bytes:
    """Return the body of 0x8003, with as many of the holes as fit."""
    asked = missing[: _MAX_HOLES[version]]
    count = struct.pack(">H" if version == 2019 else ">B", len(asked))
    return struct.pack(">H", first_serial) + count + struct.pack(f">{len(asked)}H", *asked)


def media_reply(media_id: bytes, missing: Sequence[int] = ()) -> bytes:
    """Return the body of 0x8800: nothing after the id where all has come."""
    asked = missing[:125]
    return media_id + (struct.pack(f">B{len(asked)}H", len(asked), *asked) if asked else b"")


def body_of(command: DeviceCommand | TerminalCommand, dialect: Dialect, version: Version) -> tuple[int, bytes]:
    """Return message id and body of a command; raise Unsupported where a terminal has none such."""
    match command:
        case ShowText():
            return 0x8300, _text(command, version)
        case ControlTerminal():
            return 0x8105, bytes((command.word,)) + _gbk(command.parameters)
        case UpgradeTerminal():
            return 0x8108, _upgrade(command)
        case SendPassthrough():
            return 0x8900, bytes((command.kind,)) + command.data
        case TellTime():
            return 0x8004, _time(command.at, dialect.time_offset_h)
        case SetParameters():
            return 0x8103, _parameters(command, dialect)
        case _:
            return _question(command)


def _question(command: DeviceCommand | TerminalCommand) -> tuple[int, bytes]:
    match command:
        case QueryParameters(ids=()):
            return 0x8104, b""
        case QueryParameters(ids=ids):
            return 0x8106, bytes((len(ids),)) + b"".join(int(one, 16).to_bytes(4, "big") for one in ids)
        case AskPosition():
            return 0x8201, b""
        case AskDescription():
            return 0x8107, b""
        case _:
            raise Unsupported(f"a vehicle locator has no {type(command).__name__}")


def _gbk(text: str) -> bytes:
    try:
        return text.encode("gbk")
    except UnicodeEncodeError as error:
        raise Unsupported(f"{text[error.start]!r} cannot be sent: the protocol writes GBK") from error


def _text(command: ShowText, version: Version) -> bytes:
    # Bit 0 urgent, bit 2 on the display, bit 3 spoken (JT/T 808-2013, table 38); 2019 keeps them and adds a kind.
    flag = command.urgent | command.display << 2 | command.speak << 3
    if version == 2019:
        return bytes((flag, 1)) + _gbk(command.text)
    return bytes((flag,)) + _gbk(command.text)


def _parameters(command: SetParameters, dialect: Dialect) -> bytes:
    body = bytes((len(command.values),))
    for name, value in command.values.items():
        raw = _value(int(name, 16), value, dialect)
        body += int(name, 16).to_bytes(4, "big") + bytes((len(raw),)) + raw
    return body


def _value(parameter: int, value: int | str, dialect: Dialect) -> bytes:
    kind = dialect.parameter_kind(parameter)
    size = {"dword": 4, "word": 2, "byte": 1}.get(kind or "")
    if size is not None and isinstance(value, int) and 0 <= value < 1 << 8 * size:
        return value.to_bytes(size, "big")
    raw = b""
    if kind == "text" and isinstance(value, str):
        raw = _gbk(value)
    elif kind in {"hex", None} and isinstance(value, str):
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            raise Unsupported(f"parameter {parameter:04X} takes hexadecimal digits") from None
    else:
        raise Unsupported(f"parameter {parameter:04X} is a {kind or 'value in hexadecimal'}, {value!r} is none")
    if len(raw) > 255:
        raise Unsupported(f"parameter {parameter:04X} takes at most 255 bytes")
    return raw


def _upgrade(command: UpgradeTerminal) -> bytes:
    version = _gbk(command.version)
    head = bytes((command.upgrade_type,)) + _gbk(command.maker).ljust(5, b"\0")[:5] + bytes((len(version),)) + version
    return head + struct.pack(">I", len(command.data)) + command.data


def _time(at: datetime, offset_h: int) -> bytes:
    return bytes.fromhex(at.astimezone(timezone(timedelta(hours=offset_h))).strftime("%y%m%d%H%M%S"))
