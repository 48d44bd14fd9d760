"""Points of a register device, wholly from its profile: where each value stands, how it is read, what it may be.

    [[map.point]]                       [[map.signal]]
    name = "draught_m"                  topic = "water_leak"
    space = "input"                     space = "discrete"
    address = 0                         address = 0
    type = "f32"
    order = "CDAB"

Points with one table and one interval that stand close together are read in one poll.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drivers.base import Poll, Space
from drivers.facts import Fact
from drivers.modbus_values import Kind, Order, value_of

UNITS: Final = frozenset(
    {"m", "mm", "c", "pct", "kgm3", "psu", "mscm", "v", "a", "w", "va", "kwh", "hz", "s", "min", "h", "hpa", "kpa"}
    | {"ms", "deg", "ppm", "lux", "dbm", "count"}
)
"""What a point's name may end with."""
MOST_REGISTERS: Final = 125
"""Modbus Application Protocol V1.1b3, 6.3: of one read."""
_WIDEST_BITS: Final = 2000


class Type(StrEnum):
    """How the registers of a point are read."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"
    BCD = "bcd"
    """Four decimal digits in one register."""
    BCD32 = "bcd32"
    """Eight in two."""


WORDS: Final = (
    dict.fromkeys((Type.U16, Type.I16, Type.BCD), 1)
    | dict.fromkeys((Type.U32, Type.I32, Type.F32, Type.BCD32), 2)
    | dict.fromkeys((Type.U64, Type.F64), 4)
)


@dataclass(frozen=True, slots=True)
class PointDoubtful(Fact):
    """A point's value cannot be trusted and is not told. Said once when it begins, and when `why` changes."""

    point: str
    why: str
    """sentinel, implausible, jump, not_a_number, not_bcd, not_text, unknown_value or contradiction."""
    raw: str
    """The registers, hexadecimal, as they came."""


@dataclass(frozen=True, slots=True)
class PointTrusted(Fact):
    """A point that was doubtful is good again."""

    point: str


class NotBcd(ValueError):
    """A digit above nine."""


class NotText(ValueError):
    """Bytes that are not printable ASCII."""


def _with_unit(name: str) -> str:
    if name.rpartition("_")[2] not in UNITS or "_" not in name:
        raise ValueError(f"the name must end with a unit, one of: {', '.join(sorted(UNITS))}")
    return name


_Interval = Annotated[int, Field(ge=50, le=3_600_000)]
_Address = Annotated[int, Field(ge=0, le=0xFFFF)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    space: Space
    address: _Address
    interval_ms: _Interval = 1_000

    @property
    def words(self) -> int:
        """How many cells it takes."""
        return 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.address + self.words > 0x10000:
            raise ValueError("stands beyond address 65535")
        return self


class Point(_Row):
    """A number: `raw x scale + offset`, with its unit at the end of its name."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64), AfterValidator(_with_unit)]
    space: Literal[Space.HOLDING, Space.INPUT]
    type: Type = Type.U16
    order: Order = Order.ABCD
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[int, ...] = ()
    """Raw values, as unsigned numbers of the point's width, that say there is none: 0x7FFF, 0xFFFF, ..."""
    min: float | None = None
    max: float | None = None
    max_step: float | None = Field(default=None, gt=0)
    """More than this from one poll to the next is doubted until a second poll confirms it."""
    deadband: float = Field(default=0.0, ge=0)
    """A smaller change is not told, but for every sixtieth poll."""

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return WORDS[self.type]


class Signal(_Row):
    """A switch: a coil or input, a bit of a register, or a register with values for on and off."""

    topic: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    bit: int | None = Field(default=None, ge=0, le=15)
    on: tuple[int, ...] = (1,)
    off: tuple[int, ...] = (0,)
    """A value that is neither is doubted."""
    invert: bool = False

    @model_validator(mode="after")
    def _bit_fits(self) -> Self:
        if self.bit is not None and self.space in {Space.COIL, Space.DISCRETE}:
            raise ValueError("a coil or an input has no bits")
        return self


class Text(_Row):
    """What the device says of itself: two characters a register, high byte first."""

    tells: Literal["model", "firmware", "serial"]
    space: Literal[Space.HOLDING, Space.INPUT]
    length: int = Field(ge=1, le=32)
    """Registers."""
    interval_ms: _Interval = 600_000

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return self.length


Row = Point | Signal | Text


class PointMap(BaseModel):
    """The `map` of a register device's profile. One read covers at most `max_registers`, and skips `max_gap`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_registers: int = Field(default=MOST_REGISTERS, ge=4, le=MOST_REGISTERS)
    max_gap: int = Field(default=8, ge=0, le=8)
    """Cells between two points that are read with them; 0 where the device refuses what it does not have."""
    point: tuple[Point, ...] = Field(default=(), max_length=500)
    signal: tuple[Signal, ...] = Field(default=(), max_length=500)
    text: tuple[Text, ...] = Field(default=(), max_length=3)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Everything that is read."""
        return (*self.point, *self.signal, *self.text)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.rows:
            raise ValueError("no point, signal or text: nothing would be read")
        names = [row_name(row) for row in self.rows]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        if wide := [row_name(row) for row in self.rows if row.words > self.max_registers]:
            raise ValueError(f"wider than max_registers: {', '.join(wide)}")
        return self


def row_name(row: Row) -> str:
    """Return the name that a row's facts bear."""
    match row:
        case Point():
            return row.name
        case Signal():
            return row.topic
        case Text():
            return row.tells


@dataclass(frozen=True, slots=True)
class Group:
    """A poll and the rows it covers."""

    poll: Poll
    rows: tuple[Row, ...]

    def cells(self, row: Row, values: Sequence[int]) -> tuple[int, ...]:
        """Return the cells of a row from the values of the poll."""
        start = row.address - self.poll.address
        return tuple(values[start : start + row.words])


def grouped(layout: PointMap) -> tuple[Group, ...]:
    """Return the polls of a map: few, each within Modbus' limit for its table."""
    return tuple(
        Group(_poll(run), tuple(run))
        for _, rows in sorted(_by_table(layout.rows).items())
        for run in _runs(rows, layout)
    )


def _by_table(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    tables: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        tables.setdefault((row.space.value, row.interval_ms), []).append(row)
    return tables


def _runs(rows: list[Row], layout: PointMap) -> Iterator[list[Row]]:
    run: list[Row] = []
    end = 0
    for row in sorted(rows, key=lambda one: (one.address, one.words)):
        most = _WIDEST_BITS if row.space in {Space.COIL, Space.DISCRETE} else layout.max_registers
        reach = max(end, row.address + row.words)
        if run and (row.address - end > layout.max_gap or reach - run[0].address > most):
            yield run
            run, reach = [], row.address + row.words
        run.append(row)
        end = reach
    yield run


def _poll(run: list[Row]) -> Poll:
    start, end = run[0].address, max(row.address + row.words for row in run)
    name = f"{run[0].space.value}_{start}_{run[0].interval_ms}"
    return Poll(name, Space(run[0].space), start, end - start, run[0].interval_ms)


def raw_of(cells: Sequence[int], kind: Type, order: Order) -> float:
    """Return the number that the registers are, before scale and offset; raise NotBcd for a digit above nine."""
    match kind:
        case Type.U64:
            return unsigned_of(cells, order)
        case Type.F64:
            found: float = struct.unpack(">d", unsigned_of(cells, order).to_bytes(8))[0]
            return found
        case Type.BCD | Type.BCD32:
            digits = f"{unsigned_of(cells, order):x}"
            if not digits.isdecimal():
                raise NotBcd(digits)
            return int(digits)
        case _:
            return value_of(cells, Kind(kind.value), order)


def unsigned_of(cells: Sequence[int], order: Order) -> int:
    """Return the bits of one, two or four registers as one number, in which sentinels are written."""
    if len(cells) == 1:
        return int(value_of(cells, Kind.U16, order))
    halves = [int(value_of(cells[at : at + 2], Kind.U32, order)) for at in range(0, len(cells), 2)]
    if order in {Order.CDAB, Order.DCBA}:
        halves.reverse()
    whole = 0
    for half in halves:
        whole = whole << 32 | half
    return whole


def hexadecimal(cells: Iterable[int]) -> str:
    """Return cells as they are told in facts."""
    return " ".join(f"{cell:04x}" for cell in cells)


def text_of(cells: Sequence[int]) -> str:
    """Return the text of registers, without what pads it; raise NotText where it is not printable ASCII."""
    raw = struct.pack(f">{len(cells)}H", *cells).strip(b"\0 ")
    if any(not 0x20 <= byte < 0x7F for byte in raw):
        raise NotText(raw[:32])
    return raw.decode("ascii")
