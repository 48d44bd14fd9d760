"""What differs between makers: the `map` of a profile. The defaults are the standard's own tables.

Sources of the defaults: JT/T 808-2011, -2013 and -2019 as public implementations agree on them, JT/T 1078-2016 for the
items 14 to 18; each was held against captured frames.
"""

import struct
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.jt808.parts import PartLimits

Version = Literal[2011, 2013, 2019]
ParameterKind = Literal["dword", "word", "byte", "text", "hex"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Widths(_Table):
    """Bytes of the text fields of 0x0100."""

    maker: int = Field(ge=1, le=64)
    model: int = Field(ge=1, le=64)
    device_id: int = Field(ge=1, le=64)

    @property
    def plate_at(self) -> int:
        """Return where the plate begins: after province, city, these fields and the colour."""
        return 5 + self.maker + self.model + self.device_id


class Register(_Table):
    """The text fields of 0x0100 in each version; a 2011 body is told by being shorter than the other's plate begins."""

    v2011: Widths = Widths(maker=5, model=8, device_id=7)
    v2013: Widths = Widths(maker=5, model=20, device_id=7)
    v2019: Widths = Widths(maker=11, model=30, device_id=30)
    only: Version | None = None
    """Take this version's widths whatever the length says."""


class Item(_Table):
    """One additional item of a position, known by its id and its length."""

    id: int = Field(ge=0, le=0xFFFF)
    length: int | None = Field(default=None, ge=0, le=255)
    """None: any length, for text and the like."""
    names: tuple[str, ...] = Field(min_length=1, max_length=32)
    """One for each number of `layout`; unit in the name."""
    layout: str = Field(default="", pattern=r"^[bBhHiIx0-9]*$", max_length=32)
    """As Python's struct has it, big-endian; empty for one value of another kind."""
    kind: Literal["numbers", "text", "hex", "sign_magnitude", "nested"] = "numbers"
    scale: float = 1.0
    decimals: int = Field(default=0, ge=0, le=6)
    inner: tuple["Item", ...] = ()
    """Of kind nested: items with a 16-bit length, which counts their 16-bit id, and that id."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "numbers":
            layout = struct.Struct(">" + self.layout)
            if layout.size != self.length or len(layout.unpack(bytes(layout.size))) != len(self.names):
                raise ValueError(f"item {self.id:02X}: layout {self.layout!r} does not fit its length or its names")
        return self


def _numbers(item: int, names: str, layout: str, scale: float = 1.0, decimals: int = 0) -> Item:
    size = struct.calcsize(">" + layout)
    return Item(id=item, length=size, names=tuple(names.split()), layout=layout, scale=scale, decimals=decimals)


STANDARD_ITEMS: Final = (
    _numbers(0x01, "mileage_km", "I", 0.1, 1),
    _numbers(0x02, "fuel_l", "H", 0.1, 1),
    _numbers(0x03, "recorder_speed_kmh", "H", 0.1, 1),
    _numbers(0x04, "manual_alarm_event", "H"),
    Item(id=0x05, length=30, names=("tyre_pressures",), kind="hex"),
    Item(id=0x06, length=2, names=("cabin_c",), kind="sign_magnitude"),
    _numbers(0x11, "speeding_area_type", "B"),
    _numbers(0x11, "speeding_area_type speeding_area", "BI"),
    _numbers(0x12, "crossing_area_type crossing_area crossing_direction", "BIB"),
    _numbers(0x13, "section section_time_s section_result", "IHB"),
    _numbers(0x14, "video_alarm_bits", "I"),
    _numbers(0x15, "video_lost_channels", "I"),
    _numbers(0x16, "video_covered_channels", "I"),
    _numbers(0x17, "storage_fault_bits", "H"),
    _numbers(0x18, "driving_alarm_bits fatigue_degree", "HB"),
    _numbers(0x25, "vehicle_signal_bits", "I"),
    _numbers(0x2A, "io_bits", "H"),
    _numbers(0x2B, "analog_1 analog_0", "HH"),
    _numbers(0x30, "csq", "B"),
    _numbers(0x31, "satellites", "B"),
)

_PARAMETERS: Final[tuple[tuple[int, int, ParameterKind], ...]] = (
    (0x0001, 0x0007, "dword"),
    (0x0010, 0x0017, "text"),
    (0x0018, 0x0019, "dword"),
    (0x001A, 0x001A, "text"),
    (0x001B, 0x001C, "dword"),
    (0x001D, 0x001D, "text"),
    (0x0020, 0x0022, "dword"),
    (0x0023, 0x0026, "text"),
    (0x0027, 0x0030, "dword"),
    (0x0031, 0x0031, "word"),
    (0x0032, 0x0032, "hex"),
    (0x0040, 0x0044, "text"),
    (0x0045, 0x0047, "dword"),
    (0x0048, 0x0049, "text"),
    (0x0050, 0x005A, "dword"),
    (0x005B, 0x005E, "word"),
    (0x0064, 0x0065, "dword"),
    (0x0070, 0x0074, "dword"),
    (0x0080, 0x0080, "dword"),
    (0x0081, 0x0082, "word"),
    (0x0083, 0x0083, "text"),
    (0x0084, 0x0084, "byte"),
    (0x0090, 0x0092, "byte"),
    (0x0093, 0x0093, "dword"),
    (0x0094, 0x0094, "byte"),
    (0x0095, 0x0095, "dword"),
    (0x0100, 0x0100, "dword"),
    (0x0101, 0x0101, "word"),
    (0x0102, 0x0102, "dword"),
    (0x0103, 0x0103, "word"),
    (0x0110, 0x0110, "hex"),
)


class ParameterType(_Table):
    """A parameter whose type is the maker's own."""

    id: int = Field(ge=0, le=0xFFFFFFFF)
    kind: ParameterKind


class Dialect(_Table):
    """The `map` of a profile of a JT/T 808 terminal."""

    register_fields: Register = Field(default=Register(), alias="register")
    padding: str = "\0 "
    """Characters that fill a field of text, at either end."""
    auth_code: Literal["by_version", "plain", "prefixed"] = "by_version"
    """`prefixed`: a length byte before it, IMEI and software version after it, as 2019 says."""
    tolerate_length: bool = False
    """Take frames whose header lies about the length, as long as the checksum holds."""
    media_position: bool = True
    """0x0801 carries 28 bytes of position before the data, from 2013 on."""
    confirm_parts: bool = True
    """Answer each part of a message at once, for terminals that wait for it; the message itself is acked once it is
    committed."""
    time_offset_h: int = Field(default=0, ge=-12, le=14)
    """Of the time in 0x8004, against UTC."""
    items: tuple[Item, ...] = Field(default=(), max_length=256)
    """Beside or instead of the standard's, by id and length."""
    parameters: tuple[ParameterType, ...] = Field(default=(), max_length=512)
    parts: PartLimits = PartLimits()

    def widths(self, version: Version) -> Widths:
        """Return the register's widths in a version."""
        table = self.register_fields
        return {2011: table.v2011, 2013: table.v2013, 2019: table.v2019}[version]

    def register_version(self, body_len: int, *, v2019: bool) -> Version:
        """Tell the version of a register body."""
        table = self.register_fields
        if table.only is not None:
            return table.only
        if v2019:
            return 2019
        return 2011 if body_len < table.v2013.plate_at else 2013

    def parameter_kind(self, parameter: int) -> ParameterKind | None:
        """Return a parameter's type; None where nobody says."""
        for own in self.parameters:
            if own.id == parameter:
                return own.kind
        return next((kind for first, last, kind in _PARAMETERS if first <= parameter <= last), None)

    def item(self, item: int, length: int) -> Item | None:
        """Return what an item of a position means; None where it is not known in this length."""
        for known in (*self.items, *STANDARD_ITEMS):
            if known.id == item and known.length in {None, length}:
                return known
        return None
