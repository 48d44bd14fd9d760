"""Messages that come in parts.

Promises: never more than `pending` messages, `parts` parts of one, and `bytes` bytes in all are held; the oldest makes
room for a new one; a part that came twice changes nothing; a message is given once, whole. There is no clock: a message
is late when `overdue` was asked twice with at least `ask_after_ms` between and no part came in the meantime.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid
from drivers.jt808.frame import Frame


class PartLimits(BaseModel):
    """What one connection may make the edge hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pending: int = Field(default=4, ge=1, le=64)
    parts: int = Field(default=1024, ge=1, le=65_535)
    bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    ask_after_ms: int = Field(default=10_000, ge=100, le=600_000)
    asks: int = Field(default=3, ge=0, le=20)
    """How often holes are asked for before a message is given up."""


class Holes(NamedTuple):
    """Parts that did not come; after the last ask `given_up` is true and the message is gone."""

    head: Frame
    """Any part of it; its `serial` is that of the first part."""
    first: bytes
    """The body of the first part, empty if that is missing."""
    missing: tuple[int, ...]
    total: int
    given_up: bool


@dataclass(slots=True)
class _Message:
    head: Frame
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    quiet_since_ms: int | None = None
    asks: int = 0


class Reassembler:
    """Parts of one connection -> whole messages."""

    def __init__(self, limits: PartLimits) -> None:
        self._limits = limits
        self._messages: dict[tuple[int, int], _Message] = {}
        self._size = 0
        self.pushed_out = 0
        """How many unfinished messages were given up for newer ones."""

    @property
    def held(self) -> int:
        """Return the bytes held."""
        return self._size

    def take(self, frame: Frame) -> Frame | None:
        """Return the whole message that a part completes, else None; raise FrameInvalid where a limit is passed."""
        if frame.total > self._limits.parts:
            raise FrameInvalid(f"a message of {frame.total} parts, the limit is {self._limits.parts}")
        first = frame.serial - frame.number + 1 & 0xFFFF
        key = (frame.msg_id, first)
        known = self._messages.get(key)
        if known is not None and known.head.total != frame.total:
            self._forget(key)
            raise FrameInvalid(f"a part of {frame.total} in a message of {known.head.total} parts")
        if known is None and len(self._messages) >= self._limits.pending:
            self._forget(next(iter(self._messages)))
            self.pushed_out += 1
        message = self._messages.setdefault(key, _Message(frame._replace(serial=first, body=b"")))
        if frame.number not in message.parts:
            message.parts[frame.number] = frame.body
            message.size += len(frame.body)
            self._size += len(frame.body)
        message.quiet_since_ms = None
        if self._size > self._limits.bytes:
            self._forget(key)
            raise FrameInvalid(f"messages in parts of more than {self._limits.bytes} bytes")
        if len(message.parts) < frame.total:
            return None
        self._forget(key)
        body = b"".join(message.parts[number] for number in range(1, frame.total + 1))
        return frame._replace(body=body, total=0, number=0)

    def overdue(self, now_ms: int) -> list[Holes]:
        """Return what must be asked for again, or was given up, at a time of a clock that only goes forward."""
        late = []
        for key, message in list(self._messages.items()):
            if message.quiet_since_ms is None:
                message.quiet_since_ms = now_ms
            elif now_ms - message.quiet_since_ms >= self._limits.ask_after_ms:
                given_up = message.asks >= self._limits.asks
                late.append(_holes(message, given_up=given_up))
                message.asks += 1
                message.quiet_since_ms = now_ms
                if given_up:
                    self._forget(key)
        return late

    def _forget(self, key: tuple[int, int]) -> None:
        message = self._messages.pop(key, None)
        self._size -= message.size if message is not None else 0


def _holes(message: _Message, *, given_up: bool) -> Holes:
    head = message.head
    missing = tuple(number for number in range(1, head.total + 1) if number not in message.parts)
    return Holes(head, message.parts.get(1, b""), missing, head.total, given_up)
