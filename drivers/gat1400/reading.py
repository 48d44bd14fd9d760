"""JSON as view libraries and cameras really write it: names in any case, numbers as texts, empty texts for nothing.

Every length from the wire is capped here: MAX_BODY bytes, MAX_TOKENS values (so that a body of empty lists does not
become a hundred times its size in memory), MAX_TEXT signs of any descriptive text.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NoReturn

from core.errors import FrameInvalid

MAX_BODY: Final = 8 << 20
MAX_TOKENS: Final = 250_000
MAX_TEXT: Final = 256
_MAX_WHOLE: Final = 1 << 53
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_STAMP = re.compile(r"[0-9]{14}(?:[0-9]{3})?")
_EPOCH = re.compile(r"[0-9]{10}(?:[0-9]{3})?")
_ENCODINGS: Final = ("utf-8-sig", "gb18030")
"""UTF-8 by the standard; older firmware sends GB 18030 without telling."""


class JsonIncomplete(FrameInvalid):
    """JSON that ends too early: more bytes may make it whole."""


class Record:
    """A JSON object; names are found whatever their case, and what has the wrong type is as if it were not there."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {name.casefold(): value for name, value in fields.items()}
        self.raw = fields

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._fields

    def value(self, name: str) -> Any:
        """Return what stands there, or None."""
        return self._fields.get(name.casefold())

    def text(self, *names: str, cap: int = MAX_TEXT) -> str:
        """Return the first that is not empty, printable signs only, cut at `cap`; empty where there is none."""
        return next((found for name in names if (found := _text(self.value(name), cap))), "")

    def number(self, *names: str) -> float | None:
        """Return the first finite number, written as one or as a text."""
        return next((found for name in names if (found := _number(self.value(name))) is not None), None)

    def whole(self, *names: str) -> int | None:
        """Return the first whole number, written as one or as a text."""
        found = self.number(*names)
        return int(found) if found is not None and found.is_integer() else None

    def moment(self, zone: tzinfo, *names: str) -> datetime | None:
        """Return the first time; without an offset of its own it is of `zone`."""
        return next((found for name in names if (found := read_moment(self.text(name), zone)) is not None), None)

    def record(self, name: str) -> "Record | None":
        """Return an object."""
        found = self.value(name)
        return Record(found) if isinstance(found, dict) else None

    def items(self, name: str, inner: str) -> list[Any]:
        """Return the list at `name`: `{inner: [...]}`, `{inner: {...}}`, `[...]` or one object by itself."""
        found = self.value(name)
        if isinstance(found, dict):
            record = Record(found)
            found = record.value(inner) if inner in record else [found] if found else []
        if isinstance(found, dict):
            return [found]
        return found if isinstance(found, list) else []


def read_moment(text: str, zone: tzinfo) -> datetime | None:
    """Return a time: yyyyMMddHHmmss[fff], epoch in s or ms, or ISO 8601; None for what is no time."""
    try:
        if _STAMP.fullmatch(text):
            whole = datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=zone)
            return whole.replace(microsecond=int(text[14:] or 0) * 1000)
        if _EPOCH.fullmatch(text):
            milliseconds = int(text) if len(text) == 13 else int(text) * 1000
            return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(zone)
        if len(text) < len("2024-02-28T16:19"):
            return None
        found = datetime.fromisoformat(text.replace("/", "-"))
        return found if found.tzinfo else found.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        return None


def stamp(moment: datetime, zone: tzinfo) -> str:
    """Return yyyyMMddHHmmss in `zone`."""
    return moment.astimezone(zone).strftime("%Y%m%d%H%M%S")


def parse_json(body: bytes) -> Any:
    """Return the value of a body; raise FrameInvalid, or JsonIncomplete where it only ends too early."""
    if len(body) > MAX_BODY:
        raise FrameInvalid(f"a body of more than {MAX_BODY} bytes")
    if sum(body.count(sign) for sign in (b"{", b"[", b",")) > MAX_TOKENS:
        raise FrameInvalid(f"a body with more than {MAX_TOKENS} values")
    text = _decoded(body).strip()
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            raise JsonIncomplete(f"JSON that ends too early: {error.msg}") from error
        raise FrameInvalid(f"not JSON: {error.msg} at {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise FrameInvalid("not JSON that can be: nested too deep, or a number too long") from error


def parse_record(body: bytes) -> Record:
    """Return the object of a body; raise FrameInvalid."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise FrameInvalid("JSON that is no object")
    return Record(value)


def to_json(value: object) -> bytes:
    """Return JSON in UTF-8, as the standard writes it: no signs escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _decoded(body: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FrameInvalid("a body that is neither UTF-8 nor GB 18030")


def _refuse_constant(name: str) -> NoReturn:
    raise FrameInvalid(f"not JSON: {name}")


def _text(value: object, cap: int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Cut before and after: a text of megabytes is not walked through, and lone surrogates are not printable.
    return "".join(sign for sign in str(value)[: cap + MAX_TEXT] if sign.isprintable()).strip()[:cap]


def _number(value: object) -> float | None:
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value := value[:64].strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MAX_WHOLE <= value <= _MAX_WHOLE and math.isfinite(value) else None
