"""What a simulated JT/T 808 terminal does when it is told something: its parameters, its software, what it is."""

import struct
from dataclasses import dataclass, field
from typing import Final, Literal

from drivers.jt808.frame import Frame

Reply = tuple[int, bytes]
"""Message id and body."""
_KINDS: Final = struct.pack(">H", 0x0003)


def done(frame: Frame, result: int = 0) -> Reply:
    """Return the general reply to a message."""
    return 0x0001, struct.pack(">HHB", frame.serial, frame.msg_id, result)


def set_parameters(parameters: dict[int, bytes], body: bytes) -> None:
    """Take 0x8103."""
    at = 1
    while at < len(body):
        after = at + 5 + body[at + 4]
        parameters[int.from_bytes(body[at : at + 4], "big")] = body[at + 5 : after]
        at = after


def told_parameters(parameters: dict[int, bytes], frame: Frame) -> Reply:
    """Return the answer to 0x8104 or 0x8106."""
    ids = [int.from_bytes(frame.body[at : at + 4], "big") for at in range(1, len(frame.body), 4)]
    told = {one: parameters[one] for one in ids or parameters if one in parameters}
    items = b"".join(struct.pack(">IB", one, len(value)) + value for one, value in told.items())
    return 0x0104, struct.pack(">HB", frame.serial, len(told)) + items


def attributes(number: str, *, v2019: bool) -> Reply:
    """Return the answer to 0x8107: a maker, a model, an ICCID, versions, and two bytes of what it can."""
    model, device = (30, 30) if v2019 else (20, 7)
    head = _KINDS + b"GFSIM" + b"SIM-1".ljust(model, b"\0")
    card = number[-7:].encode().ljust(device, b"\0") + bytes(10)
    return 0x0107, head + card + b"\x031.0\x032.0" + b"\1\1"


@dataclass(slots=True)
class Software:
    """An upgrade that comes in parts. `confirms` is how it answers them: each, only the first or only the last."""

    confirms: Literal["each", "first", "last"] = "each"
    result: int | None = 0
    """What it tells of the upgrade (0x0108); None: nothing."""
    installed: list[bytes] = field(default_factory=list)
    _parts: dict[int, bytes] = field(default_factory=dict)

    def take(self, frame: Frame) -> list[Reply]:
        """Take 0x8108, or a part of it; return what the terminal says."""
        total, number = frame.total or 1, frame.number or 1
        self._parts[number] = frame.body
        replies = [done(frame)] if self._confirms(number, total) else []
        if len(self._parts) == total:
            body = b"".join(self._parts[one] for one in range(1, total + 1))
            self._parts.clear()
            at = 7 + body[6]
            size = int.from_bytes(body[at : at + 4], "big")
            self.installed.append(body[at + 4 : at + 4 + size])
            if self.result is not None:
                replies.append((0x0108, bytes((body[0], self.result))))
        return replies

    def _confirms(self, number: int, total: int) -> bool:
        return self.confirms == "each" or number == (1 if self.confirms == "first" else total)
