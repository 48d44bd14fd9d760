"""Times as devices write them: with their zone where told, else in the zone that the profile names."""

from datetime import datetime, timedelta, timezone
from typing import Annotated

from pydantic import Field

from core.errors import FrameInvalid

Zone = Annotated[str, Field(pattern=r"^[+-](0\d|1[0-4]):[0-5]\d$")]
"""An offset from UTC, `+08:00`."""


def zone_of(offset: str) -> timezone:
    """Return the zone of a checked offset."""
    hours, _, minutes = offset[1:].partition(":")
    behind = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-behind if offset.startswith("-") else behind)


def parse_stamp(text: str, zone: timezone) -> datetime:
    """Return a time of ISO 8601, or of 14 or 17 digits (yyyyMMddHHmmss, then milliseconds); raise FrameInvalid."""
    try:
        found = _digits(text) if text.isascii() and text.isdigit() else datetime.fromisoformat(text[:40])
    except ValueError as error:
        raise FrameInvalid(f"a time that cannot be: {text[:40]!r}") from error
    if not 1970 <= found.year <= 2099:
        raise FrameInvalid(f"a time that cannot be: {text[:40]!r}")
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _digits(text: str) -> datetime:
    if len(text) not in {14, 17}:
        raise ValueError(text[:40])
    whole = datetime.strptime(text[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 the caller knows the zone
    return whole + timedelta(milliseconds=int(text[14:] or "0"))
