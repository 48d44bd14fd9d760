"""The edge's clock and how far it can be trusted.

The kernel says whether NTP disciplines the clock (adjtimex(2)). Where it does not, the offset is measured against
central: an ack carries central's time, and half the round trip is the error. It is kept against the monotonic clock, so
that setting the wall clock changes nothing. A clock that is neither is `unsynced`, and its error is so large that no
command is in time.
"""

import ctypes
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.messages.envelope import ClockSource, Stamp

_TIME_ERROR: Final = 5
_UNKNOWN_ERROR_MS: Final = 86_400_000
_KERNEL_CHECK_MS: Final = 16_000
_MEASURED_FOR_MS: Final = 600_000
_PLAUSIBLE_YEARS: Final = range(2020, 2200)
_DRIFT_PPM: Final = 100
"""A free-running quartz is better than this; it widens the error of an old measurement."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Where the time comes from, what to add to it, and how wrong that may be."""

    source: ClockSource
    offset_ms: int
    error_ms: int


UNSYNCED: Final = Quality(ClockSource.UNSYNCED, 0, _UNKNOWN_ERROR_MS)


class _Timex(ctypes.Structure):
    """`struct timex` of <sys/timex.h>; only the first fields are read, the tail is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 256),
    )


def kernel_quality() -> Quality | None:
    """Return what the kernel says, None where no NTP disciplines the clock."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state in (-1, _TIME_ERROR):
        return None
    return Quality(ClockSource.NTP, 0, max(1, timex.maxerror // 1000))


def boot_id() -> str:
    """Return the kernel's id of this boot: monotonic readings compare only within it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Clock:
    """Wall time, monotonic time and their quality. Tests make one of their own."""

    def __init__(self) -> None:
        self.boot_id = boot_id()
        self._kernel: Quality | None = None
        self._kernel_at: int | None = None
        self._error_ms: int | None = None
        self._ahead_ms = 0
        """Central's time less monotonic time, in ms."""
        self._measured_at = 0

    def wall(self) -> datetime:
        """Return UTC now."""
        return datetime.now(UTC)

    def monotonic_ms(self) -> int:
        """Return milliseconds since boot."""
        return time.monotonic_ns() // 1_000_000

    def quality(self) -> Quality:
        """Return the best that is known now."""
        now = self.monotonic_ms()
        if self._kernel_at is None or now - self._kernel_at > _KERNEL_CHECK_MS:
            self._kernel, self._kernel_at = kernel_quality(), now
        if self._kernel is not None:
            return self._kernel
        age = now - self._measured_at
        if self._error_ms is not None and age <= _MEASURED_FOR_MS:
            offset = self._ahead_ms + now - _ms(self.wall())
            return Quality(ClockSource.CENTRAL, offset, self._error_ms + age * _DRIFT_PPM // 1_000_000)
        return UNSYNCED

    def stamp(self) -> Stamp:
        """Return when it is."""
        quality = self.quality()
        return Stamp(
            self.wall(), self.monotonic_ms(), self.boot_id, quality.source, quality.offset_ms, quality.error_ms
        )

    def measured(self, central: datetime, round_trip_ms: int) -> None:
        """Take one measurement: central's time in an answer that took `round_trip_ms`. The tightest of late wins."""
        if central.year not in _PLAUSIBLE_YEARS:
            return
        half = max(1, round_trip_ms // 2 + 1)
        now = self.monotonic_ms()
        age = now - self._measured_at
        drifted = _UNKNOWN_ERROR_MS if self._error_ms is None else self._error_ms + age * _DRIFT_PPM // 1_000_000
        if half <= drifted or age > _MEASURED_FOR_MS // 10:
            self._ahead_ms, self._error_ms, self._measured_at = _ms(central) + half - now, half, now


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
