"""Multipart bodies (RFC 2046, 5.1; RFC 7578), as cameras really post them: bounded, and tolerant of a missing end.

    --boundary CR LF
    Content-Disposition: form-data; name="anpr.xml"; filename="anpr.xml" CR LF
    Content-Type: text/xml CR LF
    Content-Length: 2329 CR LF                                optional; believed only where a delimiter follows
    CR LF
    <bytes> CR LF
    --boundary-- CR LF                                        may be missing: the last part then needs its length

A picture may hold the delimiter by chance, and some firmware leaves the line end before a delimiter out: a part's
Content-Length settles both. Nothing is copied but the parts themselves; at most `MAX_PARTS` are read.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from core.errors import FrameInvalid

MAX_PARTS: Final = 32
MAX_HEAD: Final = 4096
MAX_BOUNDARY: Final = 70  # RFC 2046, 5.1.1
_MAX_NAME: Final = 255
_MAX_FALSE: Final = 1000
"""Marks that are no delimiter, passed over in search of one: a body of nothing else must not keep the edge busy."""
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;,"]+))', re.IGNORECASE)
_PARAM = re.compile(r';\s*(name|filename)\s*=\s*(?:"([^"]*)"|([^;\s"]*))', re.IGNORECASE)
_FIRST_LINE = re.compile(rb"\s{0,8}--([0-9A-Za-z'()+_,./:=? -]{1,70}?)[ \t]*\r?\n[ \t]*[Cc]ontent-")


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `name` and `filename` without any folder, `media_type` in lower case and without its parameters."""

    name: str
    filename: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Multipart:
    """The parts that came whole, and why others did not."""

    parts: tuple[Part, ...]
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Delimiter:
    """Where a delimiter's line begins and ends; `last` for the closing one."""

    begin: int
    end: int
    last: bool


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a Content-Type header; raise FrameInvalid where it has none that can be."""
    match = _BOUNDARY.search(content_type[:1024])
    boundary = (match[1] or match[2]) if match else ""
    if not 1 <= len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise FrameInvalid("multipart without a usable boundary")
    return boundary.encode()


def sniff_boundary(body: bytes) -> bytes | None:
    """Return the boundary of a body whose headers are lost, None where it does not look like multipart."""
    match = _FIRST_LINE.match(body[:256])
    return match[1] if match else None


def parse_multipart(body: bytes, boundary: bytes) -> Multipart:
    """Return the parts of a body; raise FrameInvalid where not even one begins."""
    mark = b"--" + boundary
    at = _delimiter(body, mark, 0)
    if at is None:
        raise FrameInvalid("multipart in which no part begins")
    parts: list[Part] = []
    rejected: list[str] = []
    for _ in range(MAX_PARTS):
        if at.last:
            return Multipart(tuple(parts), tuple(rejected))
        part, why, follows = _part(body, mark, at.end)
        if part is not None:
            parts.append(part)
        if why:
            rejected.append(why)
        if follows is None:
            return Multipart(tuple(parts), tuple(rejected))
        at = follows
    if not at.last:
        rejected.append(f"more than {MAX_PARTS} parts")
    return Multipart(tuple(parts), tuple(rejected))


def _part(body: bytes, mark: bytes, begin: int) -> tuple[Part | None, str, _Delimiter | None]:
    """Read the part that begins here: itself if it is whole, why not, and the delimiter after it if there is one."""
    head_end, data_begin = _head(body, begin)
    if data_begin < 0:
        return None, f"a part whose head has no end within {MAX_HEAD} bytes", _delimiter(body, mark, begin)
    head = _fields(body[begin:head_end])
    length = _length(head)
    follows = _delimiter_at(body, mark, data_begin + length) if length is not None else None
    if follows is not None and length is not None:
        return _named(head, body[data_begin : data_begin + length]), "", follows
    follows = _delimiter(body, mark, data_begin)
    if follows is not None:
        return _named(head, body[data_begin : _without_line_end(body, data_begin, follows.begin)]), "", follows
    rest = body[data_begin:]
    if length is not None and length <= len(rest) <= length + 2:
        return _named(head, rest[:length]), "", None
    return None, f"a part that is cut after {len(rest)} bytes", None


def _head(body: bytes, begin: int) -> tuple[int, int]:
    """Return where the head ends and its data begin; -1 where there is no empty line in time."""
    if body.startswith((b"\r\n", b"\n"), begin):
        return begin, begin + (2 if body[begin] == 0x0D else 1)
    limit = begin + MAX_HEAD
    found = [(end, end + len(gap)) for gap in (b"\r\n\r\n", b"\n\n") if (end := body.find(gap, begin, limit)) >= 0]
    return min(found, default=(-1, -1))


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _length(head: dict[str, str]) -> int | None:
    text = head.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _named(head: dict[str, str], data: bytes) -> Part:
    disposition = head.get("content-disposition", "")
    names = {match[1].lower(): match[2] if match[2] is not None else match[3] for match in _PARAM.finditer(disposition)}
    return Part(
        name=_bare(names.get("name", "")),
        filename=_bare(names.get("filename", "")),
        media_type=head.get("content-type", "").partition(";")[0].strip().lower()[:_MAX_NAME],
        data=data,
    )


def _bare(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2][:_MAX_NAME]


def _delimiter(body: bytes, mark: bytes, begin: int) -> _Delimiter | None:
    """Return the first delimiter that stands at the beginning of a line."""
    found = body.find(mark, begin)
    for _ in range(_MAX_FALSE):
        if found < 0:
            break
        if found == 0 or body[found - 1] == 0x0A:
            line = _delimiter_line(body, mark, found)
            if line is not None:
                return line
        found = body.find(mark, found + 1)
    return None


def _delimiter_at(body: bytes, mark: bytes, end: int) -> _Delimiter | None:
    """Return the delimiter just here, with or without a line end before it."""
    for gap in (b"\r\n", b"\n", b""):
        if body.startswith(gap + mark, end):
            return _delimiter_line(body, mark, end + len(gap))
    return None


def _delimiter_line(body: bytes, mark: bytes, begin: int) -> _Delimiter | None:
    """Return a delimiter that is whole: the mark, perhaps `--`, and nothing else but blanks."""
    after = begin + len(mark)
    if body.startswith(b"--", after):
        return _Delimiter(begin, after + 2, last=True)
    end = body.find(b"\n", after, after + 16)
    if end < 0 or body[after:end].strip(b" \t\r"):
        return None
    return _Delimiter(begin, end + 1, last=False)


def _without_line_end(body: bytes, begin: int, end: int) -> int:
    if end > begin and body[end - 1] == 0x0A:
        end -= 1
        if end > begin and body[end - 1] == 0x0D:
            end -= 1
    return end
