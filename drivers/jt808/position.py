"""Positions: 0x0200, and what carries one.

    alarm u32 | status u32 | lat u32 | lon u32 | altitude u16 | speed u16 | course u16 | time BCD[6] | items
    item: id u8 | len u8 | value

Degrees come in millionths, without a sign: status bit 2 says south, bit 3 west; speed in 0.1 km/h; the time is GMT+8
(JT/T 808-2013, 8.18). An item that ends short never costs the position.
"""

import struct
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from core.errors import FrameInvalid
from drivers.facts import PositionTaken
from drivers.jt808.dialect import Dialect, Item

BASE: Final = struct.Struct(">IIIIHHH6s")
_CST: Final = timezone(timedelta(hours=8))
_NEVER: Final = -10_000
_BCD: Final = tuple((n >> 4) * 10 + (n & 15) if n >> 4 < 10 and n & 15 < 10 else _NEVER for n in range(256))
_HEX: Final = tuple(f"{n:02x}" for n in range(256))
_UNKNOWN_WORD: Final = 0xFFFF
_MICRO: Final = 1_000_000
_MAX_ITEMS: Final = 256
"""A frame holds fewer; a position that came in parts must not make the edge count duplicates for ever."""


class Position(NamedTuple):
    """The numbers of one position as they were sent, with signs."""

    alarm_bits: int
    status_bits: int
    lat_deg: float
    lon_deg: float
    altitude_m: int
    speed_kmh: float
    course_deg: int
    taken_at: datetime | None
    """None where the date or time cannot be."""
    items: dict[str, str]
    """Id to value, both hexadecimal; an id that comes again is `id.2` and so on."""
    trailing: bytes
    """What follows the last whole item."""


def parse_position(body: bytes, at: int = 0, end: int | None = None) -> Position:
    """Return the position in `body[at:end]`; raise FrameInvalid for less than 28 bytes."""
    stop = len(body) if end is None else end
    if stop - at < BASE.size:
        raise FrameInvalid(f"a position of {stop - at} bytes")
    alarm, status, lat, lon, altitude, speed, course, moment = BASE.unpack_from(body, at)
    items, trailing = parse_items(body, at + BASE.size, stop)
    return Position(
        alarm,
        status,
        (-lat if status & 4 else lat) / _MICRO,
        (-lon if status & 8 else lon) / _MICRO,
        altitude,
        speed / 10,
        course,
        parse_time(moment),
        items,
        trailing,
    )


def parse_time(bcd: bytes) -> datetime | None:
    """Return YYMMDDhhmmss of GMT+8; None where it is none."""
    year, month, day, hour, minute, second = (_BCD[byte] for byte in bcd)
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=_CST)
    except ValueError:
        return None


def parse_items(body: bytes, at: int, end: int) -> tuple[dict[str, str], bytes]:
    """Return the whole items and what is left after them."""
    items: dict[str, str] = {}
    while at + 2 <= end and len(items) < _MAX_ITEMS:
        after = at + 2 + body[at + 1]
        if after > end:
            break
        name = _HEX[body[at]]
        if name in items:
            name = _again(items, name)
        items[name] = body[at + 2 : after].hex()
        at = after
    return items, body[at:end]


def position_taken(position: Position, terminal: str, *, late: bool = False) -> PositionTaken:
    """Return the fact; a coordinate that is nowhere on earth is none, and then nothing is fixed."""
    mileage, satellites = position.items.get("01", ""), position.items.get("31", "")
    placed = abs(position.lat_deg) <= 90 and abs(position.lon_deg) <= 180
    return PositionTaken(
        terminal=terminal,
        latitude_deg=position.lat_deg if placed else None,
        longitude_deg=position.lon_deg if placed else None,
        fixed=placed and bool(position.status_bits & 2),
        taken_at=position.taken_at,
        altitude_m=float(position.altitude_m) if position.altitude_m != _UNKNOWN_WORD else None,
        speed_kmh=position.speed_kmh if position.speed_kmh != _UNKNOWN_WORD / 10 else None,
        course_deg=float(position.course_deg) if position.course_deg <= 360 else None,
        satellites=int(satellites, 16) if len(satellites) == 2 else None,
        mileage_km=int(mileage, 16) / 10 if len(mileage) == 8 else None,
        acc_on=bool(position.status_bits & 1),
        alarm_bits=position.alarm_bits,
        status_bits=position.status_bits,
        late=late,
        items=position.items,
    )


class Batch(NamedTuple):
    """The body of 0x0704."""

    kind: int
    """0: several at once; 1: kept while there was no network."""
    announced: int
    positions: tuple[Position, ...]
    mistakes: tuple[str, ...]
    """Why some of them are missing."""


def parse_batch(body: bytes) -> Batch:
    """Return what can be read of a batch; raise FrameInvalid for one without its head."""
    if len(body) < 3:
        raise FrameInvalid("a batch without its count")
    count, kind = body[0] << 8 | body[1], body[2]
    positions: list[Position] = []
    mistakes: list[str] = []
    at = 3
    while at + 2 <= len(body) and len(positions) + len(mistakes) < count:
        end = at + 2 + (body[at] << 8 | body[at + 1])
        if end > len(body):
            break
        try:
            positions.append(parse_position(body, at + 2, end))
        except FrameInvalid as error:
            mistakes.append(error.detail)
        at = end
    if at != len(body) or len(positions) + len(mistakes) != count:
        mistakes.append(f"{len(positions)} positions and {len(body) - at} bytes more, the batch says {count}")
    return Batch(kind, count, tuple(positions), tuple(mistakes))


def item_values(items: dict[str, str], dialect: Dialect) -> dict[str, Any]:
    """Return what the items mean, by names with their units; those that are not known are left out."""
    told: dict[str, Any] = {}
    for key, text in items.items():
        value = bytes.fromhex(text)
        known = dialect.item(int(key[:2], 16), len(value))
        if known is not None:
            told.update(_meaning(known, value, dialect.padding))
    return told


def position_dict(position: Position, dialect: Dialect) -> dict[str, Any]:
    """Return a position for `gatefleet decode`, with the values as they were sent."""
    mileage, satellites = position.items.get("01", ""), position.items.get("31", "")
    told: dict[str, Any] = {
        "lat_deg": position.lat_deg,
        "lon_deg": position.lon_deg,
        "altitude_m": position.altitude_m,
        "speed_kmh": position.speed_kmh,
        "course_deg": position.course_deg,
        "fix_time": position.taken_at.isoformat() if position.taken_at is not None else None,
        "fixed": bool(position.status_bits & 2),
        "acc_on": bool(position.status_bits & 1),
        "alarm_bits": position.alarm_bits,
        "status_bits": position.status_bits,
        "mileage_km": int(mileage, 16) / 10 if len(mileage) == 8 else None,
        "satellites": int(satellites, 16) if len(satellites) == 2 else None,
        "items": position.items,
        "values": item_values(position.items, dialect),
    }
    return told | ({"items_trailing": position.trailing.hex()} if position.trailing else {})


def _again(items: dict[str, str], name: str) -> str:
    count = 2
    while f"{name}.{count}" in items:
        count += 1
    return f"{name}.{count}"


def _meaning(item: Item, value: bytes, padding: str) -> dict[str, Any]:
    match item.kind:
        case "numbers":
            numbers = struct.unpack(">" + item.layout, value)
            if item.scale == 1:
                return dict(zip(item.names, numbers, strict=True))
            scaled = (round(number * item.scale, item.decimals) for number in numbers)
            return dict(zip(item.names, scaled, strict=True))
        case "sign_magnitude":
            size = int.from_bytes(value, "big")
            top = 1 << (8 * len(value) - 1) if value else 0
            return {item.names[0]: -(size & ~top) if size & top else size}
        case "text":
            return {item.names[0]: value.decode("gbk", "replace").strip(padding)}
        case "nested":
            return _inner(item, value, padding)
        case _:
            return {item.names[0]: value.hex()}


def _inner(outer: Item, value: bytes, padding: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    at = 0
    while at + 4 <= len(value):
        length, inner = struct.unpack_from(">HH", value, at)
        if length < 2 or at + 2 + length > len(value):
            break
        data = value[at + 4 : at + 2 + length]
        for known in outer.inner:
            if known.id == inner and known.length in {None, len(data)}:
                told |= _meaning(known, data, padding)
                break
        at += 2 + length
    return told
