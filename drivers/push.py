"""What push devices share: bounded JSON, values that may be wrong one by one, refusals, and offline decoding."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timezone
from typing import Any, Final, NoReturn

from core.errors import FrameInvalid
from drivers.base import Answer, Decode, Pushed, PushParser, Request
from drivers.facts import Fact, PlateRead
from drivers.stamps import parse_stamp

MAX_WORD: Final = 128
MAX_REJECTED: Final = 16
"""Reasons kept of one request: a hostile body must not make as many as it has parts."""
MAX_VALUES: Final = 100_000
"""Values of one JSON body: megabytes of `{},` would take a second to read and a hundred times as much memory."""
_MAX_REQUESTS: Final = 1000
_MAX_HEAD: Final = 16_384
_START = re.compile(rb"([A-Z]{3,8}) (\S{1,2048}) HTTP/1\.[01]\r?\n")


def refused(status: int, why: str, *also: str) -> Pushed:
    """Return the refusal of a whole request."""
    body = json.dumps({"error": why[:200]}, ensure_ascii=False).encode()
    return Pushed((), Answer(status, body), (why, *also)[:MAX_REJECTED])


def parse_json(body: bytes) -> Any:
    """Return a JSON value in UTF-8 or GB18030; raise FrameInvalid, also for NaN, doubled names and deep nesting."""
    if sum(body.count(sign) for sign in (b",", b"{", b"[")) > MAX_VALUES:
        raise FrameInvalid(f"JSON of more than {MAX_VALUES} values")
    try:
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = body.decode("gb18030")
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FrameInvalid(f"not JSON: {str(error)[:80]}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object with a name twice")
    return found


def at_path(value: object, path: str) -> object:
    """Return what lies at a dotted path of names; None where there is nothing."""
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def scalar_text(value: object) -> str:
    """Return a JSON scalar as text; empty for null, objects and lists."""
    match value:
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    return ""


def first_text(value: object, paths: Sequence[str]) -> str:
    """Return the first scalar that is told at one of the paths."""
    return next((text for path in paths if (text := scalar_text(at_path(value, path)))), "")


@dataclass(slots=True)
class Reading:
    """Values of one message: what cannot be goes to `rejected`, and counts as not told."""

    rejected: list[str] = field(default_factory=list)

    def reject(self, why: str) -> None:
        """Keep a reason."""
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append(why)

    def word(self, name: str, text: str, limit: int = MAX_WORD) -> str:
        """Return a short printable text."""
        if len(text) <= limit and text.isprintable():
            return text
        self.reject(f"{name} of {len(text)} characters" if len(text) > limit else f"{name} with control characters")
        return ""

    def number(self, name: str, text: str, low: float, high: float) -> float | None:
        """Return a number within its bounds."""
        if not text:
            return None
        try:
            found = float(text[:40])
        except ValueError:
            found = float("nan")
        if low <= found <= high:
            return found
        self.reject(f"{name} {text[:20]!r} is not {low:g}..{high:g}")
        return None

    def whole(self, name: str, text: str, low: int, high: int) -> int | None:
        """Return a whole number within its bounds."""
        found = self.number(name, text, low, high)
        if found is not None and found != int(found):
            self.reject(f"{name} {text[:20]!r} is not whole")
            return None
        return None if found is None else int(found)

    def stamp(self, name: str, text: str, zone: timezone) -> datetime | None:
        """Return a time."""
        try:
            return parse_stamp(text, zone) if text else None
        except FrameInvalid as error:
            self.reject(f"{name}: {error.detail}")
            return None


def decode_pushes(parser: PushParser, default_path: str = "/") -> Decode:
    """Return the offline decoding of a parser: whole HTTP requests, one after another, or one bare body."""

    def decode(data: bytes) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for request in read_requests(data, default_path):
            pushed = parser.receive(request)
            if pushed.answer.status >= 400:
                raise FrameInvalid("; ".join(pushed.rejected) or f"refused with {pushed.answer.status}")
            found.extend(_plain(fact) for fact in pushed.facts)
            if pushed.rejected:
                found.append({"rejected": list(pushed.rejected)})
        return found

    return decode


def _plain(fact: Fact) -> dict[str, Any]:
    row = {"fact": type(fact).__name__, **fact.as_dict()}
    if isinstance(fact, PlateRead):
        sizes = [{"width": image.width, "height": image.height} for image in fact.images]
        kinds = [{"role": one.role, "media_type": one.media_type, "bytes": len(one.data)} for one in fact.images]
        row["images"] = [kind | size for kind, size in zip(kinds, sizes, strict=True)]
    return row


def read_requests(data: bytes, default_path: str = "/") -> list[Request]:
    """Return the requests of one recorded connection; a body without a head is one POST. Raises FrameInvalid."""
    if _START.match(data) is None:
        return [Request("POST", default_path, datetime.min.replace(tzinfo=UTC), body=data)]
    requests: list[Request] = []
    at = 0
    while at < len(data):
        if len(requests) == _MAX_REQUESTS:
            raise FrameInvalid(f"more than {_MAX_REQUESTS} requests in one recording")
        request, at = _request(data, at)
        requests.append(request)
    return requests


def _request(data: bytes, at: int) -> tuple[Request, int]:
    start = _START.match(data, at)
    gap = next((gap for gap in (b"\r\n\r\n", b"\n\n") if data.find(gap, at, at + _MAX_HEAD) >= 0), None)
    if start is None or gap is None:
        raise FrameInvalid(f"no HTTP request at byte {at}")
    head_end = data.find(gap, at, at + _MAX_HEAD)
    lines = data[start.end() : head_end].decode("latin-1").splitlines()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise FrameInvalid("a chunked body is not decoded offline")
    body_at = head_end + len(gap)
    length = headers.get("content-length", str(len(data) - body_at))
    if not length.isascii() or not length.isdigit() or len(length) > 10 or body_at + int(length) > len(data):
        raise FrameInvalid(f"a body that is cut: {len(data) - body_at} of {length[:20]} bytes")
    end = body_at + int(length)
    path = start[2].decode("latin-1").partition("?")[0]
    return Request(
        start[1].decode(), path, datetime.min.replace(tzinfo=UTC), headers=headers, body=data[body_at:end]
    ), end
