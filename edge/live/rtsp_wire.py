"""RTSP 1.0 (RFC 2326) as a client reads it from a TCP connection: answers, and frames interleaved with them (10.12).

    $ | channel u8 | length u16 | data                            an RTP or RTCP packet
    RTSP/1.0 200 OK CRLF name: value CRLF ... CRLF body           an answer
    METHOD uri RTSP/1.0 CRLF ...                                  some cameras ask too; that is skipped

Pure. A head is at most MAX_HEAD long and a body MAX_BODY; a frame cannot be longer than its length says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid

MAX_HEAD: Final = 16 << 10
MAX_BODY: Final = 128 << 10
"""An SDP has some hundred bytes; one with many pictures of itself a few thousand."""
_FRAME: Final = 0x24
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Names of headers are in lower case; of those that may stand more than once all are kept."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the first of a name, empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def every(self, name: str) -> tuple[str, ...]:
        """Return all of a name."""
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A packet of a channel."""

    channel: int
    data: bytes


class RtspReader:
    """Takes bytes in any cut and gives what is whole; raises FrameInvalid for what cannot be RTSP, and is then done."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def held_bytes(self) -> int:
        """Return how much waits for its rest."""
        return len(self._held)

    def receive(self, data: bytes) -> list[Response | Interleaved]:
        """Return what these bytes complete."""
        self._held += data
        found: list[Response | Interleaved] = []
        at = 0
        while at < len(self._held):
            size, one = self._frame(at) if self._held[at] == _FRAME else self._message(at)
            if not size:
                break
            at += size
            if one is not None:
                found.append(one)
        del self._held[:at]
        return found

    def _frame(self, at: int) -> tuple[int, Interleaved | None]:
        held = self._held
        if len(held) < at + 4:
            return 0, None
        end = at + 4 + int.from_bytes(held[at + 2 : at + 4])
        if len(held) < end:
            return 0, None
        return end - at, Interleaved(held[at + 1], bytes(held[at + 4 : end]))

    def _message(self, at: int) -> tuple[int, Response | None]:
        held = self._held
        if held[at] in b"\r\n":  # some send an empty line after a body
            return 1, None
        end = held.find(_END, at, at + MAX_HEAD)
        if end < 0:
            if len(held) - at >= MAX_HEAD:
                raise FrameInvalid(f"a head of more than {MAX_HEAD} bytes")
            if not bytes(held[at : at + 16]).isascii():
                raise FrameInvalid("neither an answer nor a frame")
            return 0, None
        lines = bytes(held[at:end]).decode("utf-8", "replace").split("\r\n")
        headers = tuple(_header(line) for line in lines[1:])
        size = _length(headers)
        whole = end + len(_END) + size
        if len(held) < whole:
            return 0, None
        return whole - at, _response(lines[0], headers, bytes(held[end + len(_END) : whole]))


def request(method: str, uri: str, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """Return a request without a body; raise FrameInvalid for what would break its lines."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"{method} {uri} RTSP/1.0", *(f"{name}: {value}" for name, value in pairs)]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise FrameInvalid("a line with a line end in it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _header(line: str) -> tuple[str, str]:
    name, mark, value = line.partition(":")
    if not mark or not name.strip():
        raise FrameInvalid(f"no header: {line[:40]!r}")
    return name.strip().lower(), value.strip()


def _length(headers: Iterable[tuple[str, str]]) -> int:
    text = next((value for name, value in headers if name == "content-length"), "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise FrameInvalid(f"Content-Length {text[:20]!r}")
    if int(text) > MAX_BODY:
        raise FrameInvalid(f"a body of more than {MAX_BODY} bytes")
    return int(text)


def _response(line: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Response | None:
    version, _, rest = line.partition(" ")
    if not version.startswith("RTSP/"):
        if line.endswith("RTSP/1.0"):
            return None
        raise FrameInvalid(f"no RTSP: {line[:40]!r}")
    status = rest[:3]
    if not (status.isascii() and status.isdigit()) or len(status) != 3:
        raise FrameInvalid(f"no status: {line[:40]!r}")
    return Response(int(status), headers, body)
