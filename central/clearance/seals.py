"""Whether the sealed summary of a boarding is what it says to be."""

from base64 import urlsafe_b64decode
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Row

from core.crypto import suite
from core.crypto.keys import PublicKey

_PURPOSE: Final = b"gatefleet/v1/boarding\n"
"""What a seal covers before the summary, so that no other signed text can pass for one."""

KeyOf = Callable[[str, str], PublicKey | None]
"""(edge, key id) -> the key that the edge seals with; None where it is not known here."""


class SealState(StrEnum):
    """What became of the check. `mismatched`: sealed well, but it tells something else than the event it came with."""

    VERIFIED = "verified"
    BROKEN = "broken"
    MISMATCHED = "mismatched"
    UNCHECKED = "unchecked"


def check(row: Row[Any], key_of: KeyOf) -> SealState:
    """Check the seal of a closed boarding."""
    key = key_of(row.edge, row.key_id)
    if key is None:
        return SealState.UNCHECKED
    try:
        signature = urlsafe_b64decode(row.signature + "=" * (-len(row.signature) % 4))
    except ValueError:
        return SealState.BROKEN
    if not suite(key.suite).verify(key, _PURPOSE + row.summary.encode(), signature):
        return SealState.BROKEN
    return SealState.VERIFIED if _tells(row) else SealState.MISMATCHED


def _tells(row: Row[Any]) -> bool:
    try:
        told = from_json(row.summary)
    except ValueError:
        return False
    same = ("boarding", row.boarding), ("cabin", row.lane), ("counts", from_json(row.counts))
    return isinstance(told, dict) and all(told.get(name) == value for name, value in same)
