"""SNMP messages as they are on the wire, for looking at them and for finding out whether an agent is there.

v1, v2c (RFC 1901)   SEQUENCE { version, community, PDU }
v3 (RFC 3412, 6)     SEQUENCE { 3, { msgID, maxSize, flags, model }, OCTETS { USM (RFC 3414, 2.4) }, scopedPDU }
PDU (RFC 3416, 3)    tag { request-id, error-status | non-repeaters, error-index | max-repetitions, varbinds }
"""

from dataclasses import dataclass
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.snmp import ber
from drivers.snmp.values import text_of

PDUS: Final = {
    0xA0: "get",
    0xA1: "get-next",
    0xA2: "response",
    0xA3: "set",
    0xA4: "trap-v1",
    0xA5: "get-bulk",
    0xA6: "inform",
    0xA7: "trap",
    0xA8: "report",
}
_NUMBERS: Final = {ber.INTEGER: "integer", 0x41: "counter32", 0x42: "gauge32", 0x43: "timeticks", 0x46: "counter64"}
_NOTHING: Final = {ber.NULL: "null", 0x80: "no-such-object", 0x81: "no-such-instance", 0x82: "end-of-mib"}
_OCTETS: Final = {ber.OCTETS: "octets", 0x44: "opaque"}
_USM: Final = 3
_MAX_ROWS: Final = 4096
REPORTABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Security:
    """The security parameters of a v3 message (RFC 3414, 2.4)."""

    engine: bytes
    boots: int
    time_s: int
    user: bytes
    auth: bytes
    priv: bytes


def read_security(data: bytes) -> Security:
    """Return the parameters of the user-based model; raise FrameInvalid."""
    found = list(ber.elements(ber.read(data, ber.SEQUENCE)[1]))
    kinds = [tag for tag, _ in found]
    if kinds != [ber.OCTETS, ber.INTEGER, ber.INTEGER, ber.OCTETS, ber.OCTETS, ber.OCTETS]:
        raise FrameInvalid("not the parameters of the user-based security model")
    engine, boots, time_s, user, auth, priv = (content for _, content in found)
    return Security(engine, ber.read_integer(boots), ber.read_integer(time_s), user, auth, priv)


def write_security(security: Security) -> bytes:
    """Return the parameters on the wire."""
    parts = (
        ber.write(ber.OCTETS, security.engine),
        ber.write_integer(security.boots),
        ber.write_integer(security.time_s),
        *(ber.write(ber.OCTETS, part) for part in (security.user, security.auth, security.priv)),
    )
    return ber.write(ber.SEQUENCE, b"".join(parts))


def discovery(message_id: int) -> bytes:
    """Return the question for an engine's id (RFC 3414, 4): every v3 agent answers it, without any secret."""
    head = ber.write(
        ber.SEQUENCE,
        ber.write_integer(message_id)
        + ber.write_integer(ber.LONGEST)
        + ber.write(ber.OCTETS, bytes((REPORTABLE,)))
        + ber.write_integer(_USM),
    )
    nobody = ber.write(ber.OCTETS, write_security(Security(b"", 0, 0, b"", b"", b"")))
    pdu = ber.write(0xA0, ber.write_integer(message_id) + ber.write_integer(0) * 2 + ber.write(ber.SEQUENCE, b""))
    scoped = ber.write(ber.SEQUENCE, ber.write(ber.OCTETS, b"") * 2 + pdu)
    return ber.write(ber.SEQUENCE, ber.write_integer(3) + head + nobody + scoped)


def engine_of(data: bytes, message_id: int) -> bytes:
    """Return the engine's id of the answer to `discovery`; raise FrameInvalid where it is none."""
    found = described(data)
    if found.get("message_id") != message_id or not found.get("engine"):
        raise FrameInvalid("not the answer to a discovery")
    return bytes.fromhex(found["engine"])


def described(data: bytes) -> dict[str, Any]:
    """Return what a message says as JSON values, never a community or a key; raise FrameInvalid."""
    _, content, rest = ber.read(data, ber.SEQUENCE)
    if rest:
        raise FrameInvalid(f"{len(rest)} bytes after the message")
    _, version, content = ber.read(content, ber.INTEGER)
    number = ber.read_integer(version)
    if number in {0, 1}:
        _, _, content = ber.read(content, ber.OCTETS)
        return {"version": ("1", "2c")[number], **_pdu(content)}
    if number != 3:
        raise FrameInvalid(f"version {number}")
    return {"version": "3", **_v3(content)}


def _v3(content: bytes) -> dict[str, Any]:
    _, head, content = ber.read(content, ber.SEQUENCE)
    fields = list(ber.elements(head))
    if [tag for tag, _ in fields] != [ber.INTEGER, ber.INTEGER, ber.OCTETS, ber.INTEGER] or len(fields[2][1]) != 1:
        raise FrameInvalid("not the head of a version 3 message")
    flags = fields[2][1][0]
    _, parameters, content = ber.read(content, ber.OCTETS)
    security = read_security(parameters)
    found: dict[str, Any] = {
        "message_id": ber.read_integer(fields[0][1]),
        "authenticated": bool(flags & 1),
        "encrypted": bool(flags & 2),
        "engine": security.engine.hex(),
        "boots": security.boots,
        "time_s": security.time_s,
        "user": text_of(security.user),
    }
    if flags & 2:
        _, secret, rest = ber.read(content, ber.OCTETS)
        if rest:
            raise FrameInvalid(f"{len(rest)} bytes after the encrypted part")
        return found | {"secret_bytes": len(secret)}
    _, scoped, _ = ber.read(content, ber.SEQUENCE)
    _, context_engine, scoped = ber.read(scoped, ber.OCTETS)
    _, context, scoped = ber.read(scoped, ber.OCTETS)
    return found | {"context_engine": context_engine.hex(), "context": text_of(context), **_pdu(scoped)}


def _pdu(data: bytes) -> dict[str, Any]:
    tag, content, rest = ber.read(data)
    if tag not in PDUS or rest:
        raise FrameInvalid(f"no PDU, but tag {tag:#04x}")
    if PDUS[tag] == "trap-v1":
        return {"pdu": "trap-v1"}
    numbers = []
    for _ in range(3):
        _, number, content = ber.read(content, ber.INTEGER)
        numbers.append(ber.read_integer(number))
    names = ("request_id", "non_repeaters", "max_repetitions")
    names = names if PDUS[tag] == "get-bulk" else ("request_id", "error_status", "error_index")
    _, binds, rest = ber.read(content, ber.SEQUENCE)
    if rest:
        raise FrameInvalid(f"{len(rest)} bytes after the variables")
    found = [_bind(kind, inner) for kind, inner in ber.elements(binds)]
    if len(found) > _MAX_ROWS:
        raise FrameInvalid(f"{len(found)} variables, at most {_MAX_ROWS}")
    return {"pdu": PDUS[tag], **dict(zip(names, numbers, strict=True)), "variables": found}


def _bind(kind: int, content: bytes) -> dict[str, Any]:
    if kind != ber.SEQUENCE:
        raise FrameInvalid(f"a variable with tag {kind:#04x}")
    _, oid, content = ber.read(content, ber.OID)
    tag, value, rest = ber.read(content)
    if rest:
        raise FrameInvalid("a variable with two values")
    return {"oid": ber.read_oid(oid), **_value(tag, value)}


def _value(tag: int, content: bytes) -> dict[str, Any]:
    if tag in _NUMBERS:
        return {"type": _NUMBERS[tag], "value": ber.read_integer(content)}
    if tag in _NOTHING:
        return {"type": _NOTHING[tag]}
    if tag in _OCTETS:
        printable = all(0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in content)
        return {"type": _OCTETS[tag], "value": text_of(content) if printable else content[:512].hex()}
    if tag == ber.OID:
        return {"type": "oid", "value": ber.read_oid(content)}
    if tag == 0x40 and len(content) == 4:
        return {"type": "ip", "value": ".".join(str(byte) for byte in content)}
    raise FrameInvalid(f"a value with tag {tag:#04x}")
