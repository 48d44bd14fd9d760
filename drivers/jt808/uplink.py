"""The bodies of what a terminal sends, but positions. Each function raises FrameInvalid for a body that cannot be."""

import struct
from typing import Final, NamedTuple

from core.errors import FrameInvalid
from drivers.jt808.dialect import Dialect, Version
from drivers.jt808.position import BASE, Position, parse_position

_IMEI: Final = 15
_SOFTWARE: Final = 20
_MEDIA_HEAD: Final = struct.Struct(">IBBBB")
_REPLY: Final = struct.Struct(">HHB")


def text(raw: bytes, padding: str) -> str:
    """Return GBK text without its padding; what is not GBK becomes U+FFFD."""
    return raw.decode("gbk", "replace").strip(padding)


class Registration(NamedTuple):
    """0x0100."""

    version: Version
    province: int
    city: int
    maker: str
    model: str
    device_id: str
    plate_colour: int
    plate: str


def registration(body: bytes, dialect: Dialect, *, v2019: bool) -> Registration:
    """Read 0x0100 with the widths of its version."""
    version = dialect.register_version(len(body), v2019=v2019)
    widths = dialect.widths(version)
    if len(body) < widths.plate_at:
        raise FrameInvalid(f"a registration of {len(body)} bytes, {version} has at least {widths.plate_at}")
    model_at = 4 + widths.maker
    id_at = model_at + widths.model
    return Registration(
        version=version,
        province=body[0] << 8 | body[1],
        city=body[2] << 8 | body[3],
        maker=text(body[4:model_at], dialect.padding),
        model=text(body[model_at:id_at], dialect.padding),
        device_id=text(body[id_at : widths.plate_at - 1], dialect.padding),
        plate_colour=body[widths.plate_at - 1],
        plate=text(body[widths.plate_at :], dialect.padding),
    )


class Authentication(NamedTuple):
    """0x0102; IMEI and software version from 2019 on."""

    auth_code: str
    imei: str = ""
    software: str = ""


def authentication(body: bytes, dialect: Dialect, *, v2019: bool) -> Authentication:
    """Read 0x0102."""
    prefixed = v2019 if dialect.auth_code == "by_version" else dialect.auth_code == "prefixed"
    if not prefixed:
        return Authentication(text(body, dialect.padding))
    if not body or 1 + body[0] > len(body):
        raise FrameInvalid("an authentication code longer than its message")
    imei_at = 1 + body[0]
    software_at = imei_at + _IMEI
    return Authentication(
        text(body[1:imei_at], dialect.padding),
        text(body[imei_at:software_at], dialect.padding),
        text(body[software_at : software_at + _SOFTWARE], dialect.padding),
    )


class GeneralReply(NamedTuple):
    """0x0001 and 0x8001."""

    reply_serial: int
    reply_id: int
    result: int


def general_reply(body: bytes) -> GeneralReply:
    """Read 0x0001 or 0x8001."""
    return GeneralReply._make(_unpack(_REPLY, body))


class Parameters(NamedTuple):
    """0x0104 and 0x8103. Read to the end of the body: the count is one byte and lies in the field."""

    announced: int
    items: tuple[tuple[int, bytes], ...]


def parameters(body: bytes) -> Parameters:
    """Read count and parameters: id u32, len u8, value."""
    if not body:
        raise FrameInvalid("parameters without their count")
    found: list[tuple[int, bytes]] = []
    at = 1
    while at < len(body):
        after = at + 5 + body[at + 4] if at + 5 <= len(body) else len(body) + 1
        if after > len(body):
            raise FrameInvalid(f"parameter {len(found) + 1} of {body[0]} ends after the message")
        found.append((int.from_bytes(body[at : at + 4], "big"), body[at + 5 : after]))
        at = after
    return Parameters(body[0], tuple(found))


def parameter_value(parameter: int, value: bytes, dialect: Dialect) -> int | str | None:
    """Return a parameter's value; None where its type is not known or does not fit its length."""
    kind = dialect.parameter_kind(parameter)
    if kind == "text":
        return text(value, dialect.padding)
    if (kind, len(value)) in {("dword", 4), ("word", 2), ("byte", 1)}:
        return int.from_bytes(value, "big")
    return None


class MediaHead(NamedTuple):
    """0x0800, and the beginning of 0x0801."""

    media_id: int
    media_type: int
    format: int
    event: int
    channel: int


def media_head(body: bytes) -> MediaHead:
    """Read the eight bytes."""
    return MediaHead._make(_unpack(_MEDIA_HEAD, body))


class Media(NamedTuple):
    """0x0801, whole."""

    head: MediaHead
    position: Position | None
    data: bytes


def media(body: bytes, dialect: Dialect, version: Version) -> Media:
    """Read 0x0801; 28 bytes of position stand before the data from 2013 on."""
    head = media_head(body)
    if version == 2011 or not dialect.media_position:
        return Media(head, None, body[_MEDIA_HEAD.size :])
    data_at = _MEDIA_HEAD.size + BASE.size
    return Media(head, parse_position(body, _MEDIA_HEAD.size, min(data_at, len(body))), body[data_at:])


class Attributes(NamedTuple):
    """0x0107: what the terminal is."""

    maker: str
    model: str
    device_id: str
    iccid: str
    """As hexadecimal: letters occur."""
    hardware: str
    firmware: str


def attributes(body: bytes, dialect: Dialect, *, v2019: bool) -> Attributes:
    """Read 0x0107: type u16, maker[5], model[20|30], id[7|30], ICCID[10], then two texts after their lengths."""
    model_w, id_w = (30, 30) if v2019 else (20, 7)
    id_at = 7 + model_w
    iccid_at = id_at + id_w
    hardware_at = iccid_at + 11
    if len(body) < hardware_at or len(body) < hardware_at + body[hardware_at - 1] + 1:
        raise FrameInvalid(f"attributes of {len(body)} bytes")
    firmware_at = hardware_at + body[hardware_at - 1] + 1
    firmware_end = firmware_at + body[firmware_at - 1]
    if firmware_end > len(body):
        raise FrameInvalid("a software version longer than its message")
    return Attributes(
        maker=text(body[2:7], dialect.padding),
        model=text(body[7:id_at], dialect.padding),
        device_id=text(body[id_at:iccid_at], dialect.padding),
        iccid=body[iccid_at : iccid_at + 10].hex(),
        hardware=text(body[hardware_at : firmware_at - 1], dialect.padding),
        firmware=text(body[firmware_at:firmware_end], dialect.padding),
    )


class Resend(NamedTuple):
    """0x0005 and 0x8003: parts that are wanted again."""

    reply_serial: int
    numbers: tuple[int, ...]


def resend(body: bytes, *, v2019: bool) -> Resend:
    """Read 0x0005 or 0x8003; the count is one byte, and two from 2019 on."""
    head = 4 if v2019 else 3
    if len(body) < head:
        raise FrameInvalid("a list of parts without its count")
    count = int.from_bytes(body[2:head], "big")
    if len(body) < head + 2 * count:
        raise FrameInvalid(f"a list of {count} parts in {len(body)} bytes")
    return Resend(body[0] << 8 | body[1], struct.unpack_from(f">{count}H", body, head))


def word(body: bytes, at: int = 0) -> int:
    """Return the u16 at a place."""
    if len(body) < at + 2:
        raise FrameInvalid(f"a message of {len(body)} bytes")
    return body[at] << 8 | body[at + 1]


def _unpack(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) < layout.size:
        raise FrameInvalid(f"a message of {len(body)} bytes, at least {layout.size} belong there")
    return layout.unpack_from(body)
