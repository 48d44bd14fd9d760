"""SIP messages (RFC 3261, 7) as GB/T 28181 uses them, in datagrams and in streams.

    METHOD sip:id@domain SIP/2.0 | SIP/2.0 200 OK
    Name: value                                       compact names too (7.3.3); folded lines are refused
    <empty line>
    body of Content-Length bytes

Promises:
1. No bytes raise anything but FrameInvalid from `parse_datagram`, and nothing at all from `SipStream.receive`.
2. A stream never holds more than one head and one body: 16 KB + 64 KB.
3. After bytes that are no message, the stream goes on at the next start line.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.errors import FrameInvalid
from drivers.gb28181.headers import Address, CSeq, Via, parse_address, parse_cseq, parse_via, split_list

MAX_BODY: Final = 64 * 1024
MAX_HEAD: Final = 16 * 1024
MAX_HEADERS: Final = 64
MAX_LINE: Final = 2048
_BLANK: Final = b"\r\n\r\n"
_START: Final = rb"(?:[A-Z]{3,16} [^\s]{1,512} SIP/2\.0|SIP/2\.0 [1-6][0-9][0-9](?: [^\r\n]{0,256})?)\r\n"
_START_LINE = re.compile(_START)
_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LONGEST_START: Final = 16 + 512 + 16 + 256
_ONCE: Final = ("From", "To", "Call-ID", "CSeq")
_CANONICAL: Final = {
    "v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "c": "Content-Type", "l": "Content-Length",
    "e": "Content-Encoding", "s": "Subject", "k": "Supported", "o": "Event", "u": "Allow-Events", "r": "Refer-To",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines in their order; names are found in any case and in compact form."""

    rows: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a name."""
        return tuple(value for key, value in self.rows if key.lower() == name.lower())

    def get(self, name: str) -> str | None:
        """Return the first value of a name."""
        return next(iter(self.all(name)), None)

    def plus(self, *rows: tuple[str, str]) -> "Headers":
        """Return these headers and more."""
        return Headers(self.rows + rows)

    def without(self, *names: str) -> "Headers":
        """Return these headers less some."""
        gone = {name.lower() for name in names}
        return Headers(tuple(row for row in self.rows if row[0].lower() not in gone))


@dataclass(frozen=True, slots=True)
class _Common:
    headers: Headers
    body: bytes = field(default=b"", kw_only=True)

    @property
    def vias(self) -> tuple[Via, ...]:
        """All Via values, ours or the nearest hop's first."""
        return tuple(parse_via(part) for value in self.headers.all("Via") for part in split_list(value))

    @property
    def via(self) -> Via:
        """The top Via."""
        return self.vias[0]

    @property
    def sender(self) -> Address:
        """The From."""
        return parse_address(self.headers.get("From") or "")

    @property
    def target(self) -> Address:
        """The To."""
        return parse_address(self.headers.get("To") or "")

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> CSeq:
        """The CSeq."""
        return parse_cseq(self.headers.get("CSeq") or "")

    @property
    def contacts(self) -> tuple[Address, ...]:
        """All Contact values; empty for `*`."""
        values = [part for value in self.headers.all("Contact") for part in split_list(value)]
        return tuple(parse_address(value) for value in values if value != "*")


@dataclass(frozen=True, slots=True)
class SipRequest(_Common):
    """A request."""

    method: str = field(default="", kw_only=True)
    uri: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class SipResponse(_Common):
    """A response."""

    status: int = field(default=0, kw_only=True)
    reason: str = field(default="", kw_only=True)


SipMessage = SipRequest | SipResponse


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes of a stream that are no message."""

    detail: str
    raw: bytes


def encode(message: SipMessage) -> bytes:
    """Return the bytes of a message, with its Content-Length."""
    if isinstance(message, SipRequest):
        start = f"{message.method} {message.uri} SIP/2.0"
    else:
        start = f"SIP/2.0 {message.status} {message.reason}"
    rows = [*message.headers.without("Content-Length").rows, ("Content-Length", str(len(message.body)))]
    lines = [start, *(f"{name}: {value}" for name, value in rows)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break inside a SIP header")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + _BLANK + message.body


def parse_datagram(data: bytes) -> SipMessage:
    """Return the message of a datagram; raise FrameInvalid. What follows Content-Length is nothing (18.3)."""
    head, blank, body = data.lstrip(b"\r\n").partition(_BLANK)
    if not blank:
        raise FrameInvalid("a SIP message without the empty line after its head")
    message = parse_head(head)
    length = content_length(message)
    if length is not None and length > len(body):
        raise FrameInvalid(f"Content-Length {length}, but {len(body)} bytes came")
    if len(body) > MAX_BODY:
        raise FrameInvalid(f"a body of more than {MAX_BODY} bytes")
    return replace(message, body=body[:length])


def parse_head(head: bytes) -> SipMessage:
    """Return a message without its body from the bytes before the empty line; raise FrameInvalid."""
    if len(head) > MAX_HEAD:
        raise FrameInvalid(f"a head of more than {MAX_HEAD} bytes")
    start, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    if not _START_LINE.fullmatch(start.encode("utf-8", "surrogateescape") + b"\r\n"):
        raise FrameInvalid(f"not a SIP start line: {start[:60]!r}")
    if len(lines) > MAX_HEADERS:
        raise FrameInvalid(f"more than {MAX_HEADERS} headers")
    headers = Headers(tuple(_row(line) for line in lines))
    message: SipMessage
    if start.startswith("SIP/2.0 "):
        _, status, *reason = start.split(" ", 2)
        message = SipResponse(headers, status=int(status), reason=reason[0] if reason else "")
    else:
        method, uri, _ = start.split(" ")
        message = SipRequest(headers, method=method, uri=uri)
    _check(message)
    return message


def content_length(message: SipMessage) -> int | None:
    """Return what the head says of its body, None where it says nothing; raise FrameInvalid."""
    values = set(message.headers.all("Content-Length"))
    if not values:
        return None
    value = values.pop()
    if values or not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > MAX_BODY:
        raise FrameInvalid(f"a Content-Length that cannot be: {value[:20]!r}")
    return int(value)


class SipStream:
    """Cuts a byte stream into messages. Here Content-Length is a must (RFC 3261, 18.3)."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._looked = 0
        """Bytes in which no empty line begins."""
        self._head: tuple[SipMessage, int] | None = None
        """A message whose body is still on its way, and the size of both."""
        self._lost = False
        """Whether what comes next may be the middle of something."""

    def receive(self, data: bytes) -> Sequence[SipMessage | Broken]:
        """Return what the bytes complete, in any cut."""
        out: list[SipMessage | Broken] = []
        for at in range(0, len(data), MAX_HEAD):  # so that what is held stays bounded however much comes at once
            self._held += data[at : at + MAX_HEAD]
            out += self._cut()
        return out

    @property
    def held(self) -> int:
        """Bytes that wait for more."""
        return len(self._held)

    def _cut(self) -> Iterator[SipMessage | Broken]:
        step: Callable[[], SipMessage | Broken | None]
        while True:
            step = self._find if self._lost else self._next
            was_lost = self._lost
            found = step()
            if found is not None:
                yield found
            elif was_lost == self._lost:
                return

    def _find(self) -> None:
        """Throw away what lies before the next start line."""
        match = _START_LINE.search(self._held)
        if match is None:
            del self._held[: max(0, len(self._held) - _LONGEST_START)]
            return
        del self._held[: match.start()]
        self._lost, self._looked = False, 0

    def _next(self) -> SipMessage | Broken | None:
        if self._head is None and (broken := self._read_head()):
            return broken
        if self._head is None or len(self._held) < self._head[1]:
            return None
        message, whole = self._head
        body = bytes(self._held[whole - (content_length(message) or 0) : whole])
        del self._held[:whole]
        self._head, self._looked = None, 0
        return replace(message, body=body)

    def _read_head(self) -> Broken | None:
        if self._held.startswith((b"\r", b"\n")):  # keep-alives between messages (RFC 5626, 3.5.1)
            self._held, self._looked = self._held.lstrip(b"\r\n"), 0
        if b"\r\n" in self._held[:_LONGEST_START] and not _START_LINE.match(self._held):
            return self._broken("not a SIP start line", 1)
        end = self._held.find(_BLANK, self._looked)
        if end < 0:
            self._looked = max(0, len(self._held) - len(_BLANK) + 1)
            too_long = len(self._held) > MAX_HEAD
            return self._broken(f"a head of more than {MAX_HEAD} bytes", 1) if too_long else None
        self._looked = end
        try:
            message, length = _framed(bytes(self._held[:end]))
        except FrameInvalid as error:
            return self._broken(error.detail, end)
        self._head = message, end + len(_BLANK) + length
        return None

    def _broken(self, detail: str, size: int) -> Broken:
        raw = bytes(self._held[:64])
        del self._held[:size]
        self._lost, self._looked = True, 0
        return Broken(detail, raw)


def _framed(head: bytes) -> tuple[SipMessage, int]:
    message = parse_head(head)
    length = content_length(message)
    if length is None:
        raise FrameInvalid("a message in a stream without Content-Length")
    return message, length


def _row(line: str) -> tuple[str, str]:
    if line[:1] in {" ", "\t"}:
        raise FrameInvalid("a folded header")
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if len(line) > MAX_LINE or not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise FrameInvalid(f"not a SIP header: {line[:60]!r}")
    return _CANONICAL.get(name.lower(), name), value.strip()


def _check(message: SipMessage) -> None:
    """Refuse a message that lacks what every message must have (RFC 3261, 8.1.1), or has it twice."""
    for name in _ONCE:
        if len(message.headers.all(name)) != 1:
            raise FrameInvalid(f"a SIP message with {len(message.headers.all(name))} {name}")
    if not message.headers.all("Via"):
        raise FrameInvalid("a SIP message without Via")
    _ = message.vias, message.sender, message.target, message.contacts
    if isinstance(message, SipRequest) and message.cseq.method != message.method:
        raise FrameInvalid(f"CSeq {message.cseq.method} in a {message.method}")
    _ = message.cseq
