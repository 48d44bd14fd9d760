"""Values on their way into columns.

What an edge says is cut to fit, for the stored event keeps the whole; what a caller of the API says is refused.
"""

from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

LARGEST: Final = {31: (1 << 31) - 1, 63: (1 << 63) - 1}
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text has no NUL")
    return text


def _in_our_time(moment: datetime) -> datetime:
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError("a moment between 1900 and 2200")
    return moment


Word = Annotated[str, AfterValidator(_without_nul)]
"""A text of a request that goes to the database: PostgreSQL keeps no NUL."""

Moment = Annotated[AwareDatetime, AfterValidator(_in_our_time)]
"""A moment of a request: with a time zone, and such that it can be told in every other."""


def kept(text: str, size: int) -> str:
    """Return what of a text a column of `size` characters takes; PostgreSQL keeps no NUL."""
    return text[:size] if "\0" not in text else text.replace("\0", "\ufffd")[:size]


def finite(value: float, otherwise: float | None = None) -> float | None:
    """Return a number that both databases keep as one; SQLite takes NaN for NULL."""
    return value if isfinite(value) else otherwise


def kept_int(number: int, bits: int = 63) -> int:
    """Return the number, or the nearest that an INTEGER (31) or BIGINT (63) takes."""
    largest = LARGEST[bits]
    return number if -largest <= number <= largest else largest if number > 0 else -largest
