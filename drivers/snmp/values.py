"""What single values mean: texts, dates, rates and the device's clock. Everything from the wire is bounded.

`Value` is what a link makes of SNMP's types (RFC 2578, 7.1): numbers and ticks are int, octets are bytes, an object
identifier or an IP address is a dotted str. What the device has not is not there at all.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

Value = int | bytes | str

TEXT_CAP: Final = 256
"""Characters that are kept of a text."""
TICKS: Final = 1 << 32
"""TimeTicks are hundredths of a second in 32 bits: they begin anew after 497.1 days."""
_SLACK_TICKS: Final = 500
_SLACK_SHARE: Final = 0.02
_DATE_AND_TIME: Final = frozenset({8, 11})


def text_of(value: Value) -> str:
    """Return a value as text, without control characters and blanks at its ends, at most TEXT_CAP characters."""
    if isinstance(value, bytes):
        raw = value[: TEXT_CAP * 4]
        try:
            found = raw.decode()
        except UnicodeDecodeError:
            found = raw.decode("gb18030", "replace")  # what Chinese makers put into names
    else:
        found = str(value)
    return "".join(char if char.isprintable() else " " for char in found[:TEXT_CAP]).strip()


def number_of(value: Value) -> float | None:
    """Return a value as a number: net-snmp gives fractions as text; None where it is none."""
    if isinstance(value, int):
        return float(value)
    try:
        number = float(text_of(value).removesuffix("%"))
    except ValueError:
        return None
    return number if abs(number) < 1e18 else None  # also not nan


def date_of(value: Value, formats: Sequence[str]) -> date | None:
    """Return the day of DateAndTime octets (RFC 2579), `epoch` seconds or a text in one of the formats, else None."""
    if isinstance(value, bytes) and len(value) in _DATE_AND_TIME and value[0] < 0x20:
        return _day(int.from_bytes(value[:2]), value[2], value[3])
    if "epoch" in formats:
        number = number_of(value)
        if number is not None and 0 < number < 1e11:
            return date.fromordinal(date(1970, 1, 1).toordinal() + int(number // 86_400))
    text = text_of(value)
    for wanted in formats:
        try:
            return datetime.strptime(text, wanted).date()  # noqa: DTZ007 a licence ends by the calendar
        except ValueError:
            continue
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def rate(before: int, now: int, elapsed_s: float, *, bits: int, ceiling: float | None = None) -> float | None:
    """Return a counter's growth a second over a wrap; None where it was reset, or wrapped more than once could be.

    `ceiling` is the most that can be a second. Without one, more than half the counter's span is taken for a reset.
    """
    span = 1 << bits
    if elapsed_s <= 0 or not (0 <= before < span and 0 <= now < span):
        return None
    grown = (now - before) % span
    if ceiling is None:
        return grown / elapsed_s if grown < span // 2 else None
    if ceiling * elapsed_s >= span:
        return None
    return grown / elapsed_s if grown <= ceiling * elapsed_s else None


def restarted(before_ticks: int, now_ticks: int, elapsed_s: float) -> bool:
    """Tell whether sysUpTime lags behind what the edge's clock says: the device began anew in between.

    A wrap after 497 days does not lag, a device that was away for long does, though its clock reads more than before.
    """
    elapsed_ticks = elapsed_s * 100
    if elapsed_ticks >= TICKS // 2:
        return False
    ahead = (now_ticks - before_ticks - round(elapsed_ticks) + TICKS // 2) % TICKS - TICKS // 2
    return ahead < -(_SLACK_TICKS + _SLACK_SHARE * elapsed_ticks)
