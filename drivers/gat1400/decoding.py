"""`gatefleet decode gat1400`: a JSON body, or HTTP requests and answers as captured -> what they tell."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from core.errors import FrameInvalid
from drivers.base import Decode, Pushed, Request
from drivers.gat1400.answers import parse_response
from drivers.gat1400.codes import RESOURCES
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.reading import MAX_BODY, JsonIncomplete, Record, parse_json
from drivers.profile import Profile, checked_map

_MAX_HEAD: Final = 16 * 1024
_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A capture does not tell when; nothing that is shown comes from it."""
_PATHS: Final = {
    "registerobject": "/VIID/System/Register",
    "unregisterobject": "/VIID/System/UnRegister",
    "keepaliveobject": "/VIID/System/Keepalive",
    "subscribenotificationlistobject": "/VIID/SubscribeNotifications",
    "subscribelistobject": "/VIID/Subscribes",
    **{wrapper.casefold(): one.path for one in RESOURCES for wrapper in (one.pushed_as, one.notified_as, one.item)},
}
"""The wrapper of a body tells what it is."""


def decoder(profile: Profile | None) -> Decode:
    """Return the decoder of one capture."""
    layout = checked_map(profile, LibraryMap) if profile else LibraryMap()
    return _Capture(layout)


class _Capture:
    """Bytes in any cut -> reports. Holds at most one request."""

    def __init__(self, layout: LibraryMap) -> None:
        self._layout = layout
        self._library = ViewLibrary(layout, LibrarySettings(subscriptions=True))
        self._held = bytearray()

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return what is whole; no bytes say that nothing more comes. Raises FrameInvalid."""
        self._held += data
        reports = []
        try:
            while self._held.strip():
                found = self._body(ended=not data) if self._bare() else self._http(ended=not data)
                if found is None:
                    break
                reports += found
        except FrameInvalid:
            self._held.clear()
            raise
        return reports

    def _bare(self) -> bool:
        return bytes(self._held).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}

    def _body(self, *, ended: bool) -> list[dict[str, Any]] | None:
        if not ended and len(self._held) <= MAX_BODY and not self._held.rstrip().endswith((b"}", b"]")):
            return None
        try:
            reports = self._reports(bytes(self._held))
        except JsonIncomplete:
            if ended:
                raise
            return None
        self._held.clear()
        return reports

    def _http(self, *, ended: bool) -> list[dict[str, Any]] | None:
        head, blank, rest = bytes(self._held).lstrip(b"\r\n").partition(b"\r\n\r\n")
        if len(head) > _MAX_HEAD:
            raise FrameInvalid(f"a head of more than {_MAX_HEAD} bytes")
        if blank:
            start, headers = _head(head)
            length = _length(headers)
            if len(rest) >= length:
                self._held[:] = rest[length:]
                return self._message(start, headers, rest[:length])
        if ended:
            raise FrameInvalid("an HTTP message that ends too early")
        return None

    def _message(self, start: str, headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
        first, target, *_ = start.split(" ")
        if first.upper().startswith("HTTP/"):
            if not body:
                return [{"http_status": target}]
            return [{"http_status": target, **one} for one in self._reports(body)]
        parts = urlsplit(target)
        path = parts.path[parts.path.upper().find("/VIID") :] if "/VIID" in parts.path.upper() else parts.path
        query = dict(parse_qsl(parts.query, max_num_fields=100))
        return _told(self._library.receive(Request(first, path, _UNKNOWN_TIME, headers, query, body)))

    def _reports(self, body: bytes) -> list[dict[str, Any]]:
        value = parse_json(body)
        names = [name.casefold() for name in value] if isinstance(value, dict) else []
        if path := next((_PATHS[name] for name in names if name in _PATHS), ""):
            return _told(self._library.receive(Request("POST", path, _UNKNOWN_TIME, body=body)))
        if "systemtimeobject" in names:
            told = Record(value).record("SystemTimeObject") or Record({})
            at = told.moment(self._layout.zone, "LocalTime")
            return [{"server_id": told.text("VIIDServerID"), "local_time": at.isoformat() if at else None}]
        return [
            {
                "status_code": one.code,
                "ok": one.ok,
                "text": one.text,
                "id": one.id,
                "url": one.url,
                "local_time": one.local_time.isoformat() if one.local_time else None,
            }
            for one in parse_response(body, self._layout.zone)
        ]


def _told(pushed: Pushed) -> list[dict[str, Any]]:
    if not pushed.facts and pushed.rejected:
        raise FrameInvalid(pushed.rejected[0])
    facts = [{"fact": type(one).__name__, **one.as_dict()} for one in pushed.facts]
    return [*facts, *({"rejected": reason} for reason in pushed.rejected)] or [{"answer": pushed.answer.body.decode()}]


def _head(head: bytes) -> tuple[str, dict[str, str]]:
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise FrameInvalid("an HTTP header without a colon")
        headers[name.strip().lower()] = value.strip()
    if len(start.split(" ")) < 2:
        raise FrameInvalid("neither JSON nor an HTTP message")
    return start, headers


def _length(headers: Mapping[str, str]) -> int:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raise FrameInvalid("a chunked HTTP body: give the body alone")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MAX_BODY:
        raise FrameInvalid(f"Content-Length {text[:20]!r}")
    return int(text)
