"""Offline decoding for `gatefleet decode jt808`: frames of either direction as they were sent."""

from collections.abc import Callable
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.base import Decode
from drivers.jt808 import uplink
from drivers.jt808.dialect import Dialect, Version
from drivers.jt808.frame import Frame, FrameSplitter, parse_frame
from drivers.jt808.parts import PartLimits, Reassembler
from drivers.jt808.position import parse_batch, parse_position, position_dict

_OFFLINE: Final = PartLimits(pending=64, parts=65_535, bytes=64 << 20)


def decoder(dialect: Dialect) -> Decode:
    """Return the decoding of one connection's bytes; it raises FrameInvalid for the first frame that is refused."""

    def decode(data: bytes) -> list[dict[str, Any]]:
        splitter, parts = FrameSplitter(), Reassembler(_OFFLINE)
        chunks = splitter.feed(data)
        return [_told(parse_frame(one, tolerate_length=dialect.tolerate_length), parts, dialect) for one in chunks]

    return decode


def _told(frame: Frame, parts: Reassembler, dialect: Dialect) -> dict[str, Any]:
    told: dict[str, Any] = {
        "terminal": frame.terminal,
        "msg_id": frame.msg_id,
        "serial": frame.serial,
        "version": _version(frame, dialect),
        "body_len": len(frame.body),
        "subpackage": frame.total > 0,
        "encryption": frame.encryption,
    }
    whole: Frame | None = frame
    if frame.total:
        whole = parts.take(frame)
        told |= {"pkg_total": frame.total, "pkg_no": frame.number}
        told["assembled_len"] = len(whole.body) if whole is not None else None
    read = _BODIES.get(frame.msg_id)
    if read is None or whole is None or frame.encryption:
        return told | {"raw": frame.body.hex()}
    try:
        return told | read(whole, dialect)
    except FrameInvalid as error:
        return told | {"raw": frame.body.hex(), "body_error": error.detail}


def _version(frame: Frame, dialect: Dialect) -> Version:
    if frame.v2019:
        return 2019
    if frame.msg_id == 0x0100 and not frame.total:
        return dialect.register_version(len(frame.body), v2019=False)
    return 2013


def _position(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return position_dict(parse_position(frame.body), dialect)


def _asked_position(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return {"reply_serial": uplink.word(frame.body)} | position_dict(parse_position(frame.body, 2), dialect)


def _batch(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    batch = parse_batch(frame.body)
    told = {"kind": batch.kind, "count": batch.announced, "mistakes": list(batch.mistakes)}
    return told | {"positions": [position_dict(one, dialect) for one in batch.positions]}


def _registration(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return uplink.registration(frame.body, dialect, v2019=frame.v2019)._asdict()


def _authentication(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return uplink.authentication(frame.body, dialect, v2019=frame.v2019)._asdict()


def _attributes(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return uplink.attributes(frame.body, dialect, v2019=frame.v2019)._asdict()


def _general_reply(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    return uplink.general_reply(frame.body)._asdict()


def _registered(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    if len(frame.body) < 3:
        raise FrameInvalid(f"a message of {len(frame.body)} bytes")
    code = uplink.text(frame.body[3:], dialect.padding)
    return {"reply_serial": uplink.word(frame.body), "result": frame.body[2], "auth_code": code}


def _parameters(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return _parameter_list(frame.body, dialect)


def _answered_parameters(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    return {"reply_serial": uplink.word(frame.body)} | _parameter_list(frame.body[2:], dialect)


def _parameter_list(body: bytes, dialect: Dialect) -> dict[str, Any]:
    told = uplink.parameters(body)
    items = [
        {"id": one, "hex": raw.hex(), "value": uplink.parameter_value(one, raw, dialect)} for one, raw in told.items
    ]
    return {"count": told.announced, "parameters": items, "well_formed": told.announced == len(items)}


def _text(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    head = 2 if frame.v2019 else 1
    if len(frame.body) < head:
        raise FrameInvalid("a text without its flag")
    told = {"flag": frame.body[0], "text": uplink.text(frame.body[head:], dialect.padding)}
    return told | ({"text_type": frame.body[1]} if frame.v2019 else {})


def _media_head(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    return uplink.media_head(frame.body)._asdict()


def _media(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    media = uplink.media(frame.body, dialect, _version(frame, dialect))
    where = position_dict(media.position, dialect) if media.position is not None else None
    return media.head._asdict() | {"position": where, "data_len": len(media.data)}


def _media_reply(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    body = frame.body
    if len(body) < 4 or len(body) < (5 + 2 * body[4] if len(body) > 4 else 0):
        raise FrameInvalid(f"a message of {len(body)} bytes")
    wanted = [uplink.word(body, 5 + 2 * n) for n in range(body[4])] if body[4:] else []
    return {"media_id": int.from_bytes(body[:4], "big"), "parts": wanted}


def _resend(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    told = uplink.resend(frame.body, v2019=frame.v2019)
    return {"reply_serial": told.reply_serial, "parts": list(told.numbers)}


def _tracking(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    if len(frame.body) < 6:
        raise FrameInvalid(f"a message of {len(frame.body)} bytes")
    return {"interval_s": uplink.word(frame.body), "valid_s": int.from_bytes(frame.body[2:6], "big")}


def _control(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    if not frame.body:
        raise FrameInvalid("a control without its word")
    return {"word": frame.body[0], "parameters": uplink.text(frame.body[1:], dialect.padding)}


def _upgrade_answer(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    told = uplink.word(frame.body)
    return {"upgrade_type": told >> 8, "result": told & 0xFF}


def _upgrade(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    body = frame.body
    data_at = 7 + body[6] + 4 if len(body) > 6 else len(body) + 1
    if len(body) < data_at:
        raise FrameInvalid(f"an upgrade of {len(body)} bytes")
    return {
        "upgrade_type": body[0],
        "maker": uplink.text(body[1:6], dialect.padding),
        "software": uplink.text(body[7 : data_at - 4], dialect.padding),
        "data_len": int.from_bytes(body[data_at - 4 : data_at], "big"),
        "data": body[data_at:].hex(),
    }


def _passthrough(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    if not frame.body:
        raise FrameInvalid("nothing to pass through")
    return {"kind": frame.body[0], "data": frame.body[1:].hex()}


def _empty(frame: Frame, dialect: Dialect) -> dict[str, Any]:
    del dialect
    return {"raw": frame.body.hex()} if frame.body else {}


_BODIES: Final[dict[int, Callable[[Frame, Dialect], dict[str, Any]]]] = {
    0x0001: _general_reply,
    0x0002: _empty,
    0x0003: _empty,
    0x0004: _empty,
    0x0005: _resend,
    0x0100: _registration,
    0x0102: _authentication,
    0x0104: _answered_parameters,
    0x0107: _attributes,
    0x0108: _upgrade_answer,
    0x0200: _position,
    0x0201: _asked_position,
    0x0704: _batch,
    0x0800: _media_head,
    0x0801: _media,
    0x0900: _passthrough,
    0x8001: _general_reply,
    0x8003: _resend,
    0x8100: _registered,
    0x8103: _parameters,
    0x8104: _empty,
    0x8105: _control,
    0x8107: _empty,
    0x8108: _upgrade,
    0x8201: _empty,
    0x8202: _tracking,
    0x8300: _text,
    0x8800: _media_reply,
    0x8900: _passthrough,
}
