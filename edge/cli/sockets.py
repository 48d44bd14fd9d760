"""Talking to a daemon: one JSON object a line over its Unix socket.

Promises
1. A dead, hanging or babbling daemon costs at most its timeout.
2. No answer makes us keep more than MAX_LINE bytes, and a chunk; no request is longer than MAX_REQUEST.
3. What comes is either data or an error of ours; nothing that a daemon sends can raise anything else.
"""

import json
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from core.errors import GatefleetError, LinkLost, MessageInvalid
from edge.cli.errors import Told, UsageWrong
from edge.cli.language import _

MAX_LINE: Final = 1 << 20
MAX_REQUEST: Final = 64 << 20
"""What a daemon takes in one line: a signed list of some hundred thousand entries."""
CONNECT_S: Final = 2.0
ANSWER_S: Final = 5.0
_CHUNK: Final = 1 << 16

Answer = Any
Request = Mapping[str, Any]


class Connection:
    """One connection to a daemon."""

    def __init__(self, path: Path, link: socket.socket) -> None:
        self.path = path
        self.half = b""
        """The beginning of a line whose end has not come."""
        self._link = link
        self._lines: list[bytes] = []

    @classmethod
    def open(cls, path: Path) -> Self:
        """Connect; raise LinkLost with the cure."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(CONNECT_S)
        try:
            link.connect(str(path))
        except OSError as error:
            link.close()
            raise LinkLost(_reason(error), place=str(path), cure=_cure(error)) from error
        return cls(path, link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._link.close()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._link.fileno()

    def send(self, request: Request) -> None:
        """Send one request; raise LinkLost, or UsageWrong if no daemon would take so long a line."""
        line = encode(request)
        try:
            self._link.sendall(line)
        except OSError as error:
            raise self._lost(_reason(error)) from error

    def answer(self, deadline_s: float = ANSWER_S) -> Answer:
        """Return the data of the next line; raise Told, LinkLost or MessageInvalid."""
        deadline = time.monotonic() + deadline_s
        while not self._lines:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._lost(_("no answer within {seconds:g} s").format(seconds=deadline_s))
            self._link.settimeout(left)
            if not self.take():
                raise self._lost(_("closed in the middle of a line") if self.half else _("closed without an answer"))
        return opened(self._lines.pop(0), str(self.path))

    def take(self) -> bool:
        """Read what has come, or wait for it until the timeout; return False at the end of the connection."""
        try:
            chunk = self._link.recv(_CHUNK)
        except TimeoutError:
            return True
        except OSError as error:
            raise self._lost(_reason(error)) from error
        *whole, self.half = (self.half + chunk).split(b"\n")
        self._lines += whole
        if len(self.half) > MAX_LINE:
            raise MessageInvalid(_("a line of more than {limit} bytes").format(limit=MAX_LINE), place=str(self.path))
        return bool(chunk)

    def arrived(self) -> list[bytes]:
        """Return the whole lines that are here, and forget them."""
        lines, self._lines = self._lines, []
        return lines

    def _lost(self, reason: str) -> LinkLost:
        return LinkLost(reason, place=str(self.path))


def encode(request: Request) -> bytes:
    """Return a request's line; raise UsageWrong if it is longer than a daemon takes."""
    line = json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
    if len(line) > MAX_REQUEST:
        raise UsageWrong(_("{size} bytes pass the {limit} of a request").format(size=len(line), limit=MAX_REQUEST))
    return line


def opened(line: bytes, place: str) -> Answer:
    """Return the data of an answer's line; raise Told, or MessageInvalid if it is no answer."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageInvalid(_("not a line of JSON"), place=place) from error
    if isinstance(answer, dict) and answer.get("ok") is True:
        return answer.get("data")
    told = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(told, dict):
        raise MessageInvalid(_("neither data nor an error"), place=place)
    words = {key: str(told.get(key) or "") for key in ("code", "detail", "place", "cure")}
    raise Told(words["code"] or "internal", words["detail"], place=words["place"] or place, cure=words["cure"])


def ask(path: Path, request: Request, kind: type = dict, *, deadline_s: float = ANSWER_S) -> Answer:
    """Ask one daemon one thing; raise MessageInvalid if the data is not a dict, or a list of them, as wanted."""
    with Connection.open(path) as connection:
        connection.send(request)
        return checked(connection.answer(deadline_s), kind, path)


def checked(data: Answer, kind: type, path: Path) -> Answer:
    """Return the data; raise MessageInvalid if it is not of that kind."""
    if not isinstance(data, kind) or (isinstance(data, list) and not all(isinstance(one, dict) for one in data)):
        raise MessageInvalid(_("data of another kind than was asked for"), place=str(path))
    return data


def follow(connections: Sequence[Connection], quiet_s: float | None) -> Iterator[tuple[Path, Answer | GatefleetError]]:
    """Yield (socket, data or error) as they come from all; end when all have ended, or after a quiet time."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(quiet_s)
            if not ready:
                return
            for key, _events in ready:
                connection = key.data
                items, ended = _taken(connection)
                if ended:
                    selector.unregister(connection)
                yield from ((connection.path, item) for item in items)


def _taken(connection: Connection) -> tuple[list[Answer | GatefleetError], bool]:
    items: list[Answer | GatefleetError] = []
    try:
        ended = not connection.take()
        for line in connection.arrived():
            item = opened(line, str(connection.path))
            items.append(checked(item, dict, connection.path))
    except GatefleetError as error:
        return [*items, error], True
    if ended and connection.half:
        items.append(LinkLost(_("closed in the middle of a line"), place=str(connection.path)))
    return items, ended


def _reason(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return _("a dead socket file: nobody listens behind it")
        case FileNotFoundError():
            return _("there is no such socket")
        case PermissionError():
            return _("this user may not use the socket")
        case TimeoutError():
            return _("the daemon does not take the call")
        case _:
            return error.strerror or str(error)


def _cure(error: OSError) -> str:
    match error:
        case PermissionError():
            return _("use sudo, or join the group that owns the socket")
        case ConnectionRefusedError() | FileNotFoundError():
            return _("start the daemon: systemctl start gatefleet-edge@NAME")
        case _:
            return _("look at the daemon: systemctl status gatefleet-edge@NAME")
