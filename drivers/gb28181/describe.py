"""SIP messages and their bodies as JSON values, for people. Credentials are named, never shown."""

from dataclasses import asdict
from typing import Any

from core.errors import FrameInvalid
from drivers.digest import parse_digest
from drivers.gb28181 import manscdp
from drivers.gb28181.headers import parse_seconds
from drivers.gb28181.ptz import parse_ptz
from drivers.gb28181.sdp import parse_sdp
from drivers.gb28181.sip import SipMessage, SipRequest


def describe_message(message: SipMessage) -> dict[str, Any]:
    """Return a message; a body that breaks its own rules is told as `body_error`."""
    via = message.via
    told: dict[str, Any] = (
        {"method": message.method, "request_uri": message.uri}
        if isinstance(message, SipRequest)
        else {"status": message.status, "reason": message.reason}
    )
    told |= {
        "from_id": message.sender.uri.user,
        "from_tag": message.sender.param("tag") or "",
        "to_id": message.target.uri.user,
        "to_tag": message.target.param("tag") or "",
        "call_id": message.call_id,
        "cseq": message.cseq.number,
        "cseq_method": message.cseq.method,
        "branch": via.branch,
        "rport_requested": via.wants_rport,
    }
    told |= _optional(message)
    if message.body:
        try:
            told["body"] = describe_body(message.body)
        except FrameInvalid as error:
            told["body_error"] = error.detail
    cleaned: dict[str, Any] = _clean(told)
    return cleaned


def describe_body(body: bytes) -> dict[str, Any]:
    """Return MANSCDP, SDP, a PTZCmd or a Digest header; raise FrameInvalid."""
    begin = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begin.startswith(b"v=0"):
        return _described_sdp(body)
    if begin.startswith(b"\xa5"):
        return describe_ptz(body.hex())
    if begin[:4].upper() == b"A50F":
        return describe_ptz(body.decode("ascii", "replace"))
    if begin.startswith(b"Digest "):
        return dict(parse_digest(begin.decode("ascii", "replace")))
    return manscdp.describe(manscdp.parse_body(begin))


def describe_ptz(text: str) -> dict[str, Any]:
    """Return a PTZCmd in words; raise FrameInvalid where a check does not fit."""
    command = parse_ptz(text)
    checked = {"checksum_ok": True, "byte2_check": True}
    return {"meaning": command.meaning, "address": command.address, "version": command.version} | checked


def _described_sdp(body: bytes) -> dict[str, Any]:
    found = parse_sdp(body)
    told = asdict(found) | {"history": found.history}
    return told | {"payloads": list(found.payloads), "rtpmap": {str(key): name for key, name in found.rtpmap}}


def _optional(message: SipMessage) -> dict[str, Any]:
    told: dict[str, Any] = {}
    expires = parse_seconds(message.headers.get("Expires"))
    if expires is not None:
        told["expires"] = expires
    if message.contacts:
        told["contact"] = message.contacts[0].uri.address
    for key in ("Date", "User-Agent", "X-GB-Ver", "Subject", "Event"):
        value = message.headers.get(key)
        if value is not None:
            told[key.lower().replace("-", "_")] = value
    if message.headers.get("Authorization"):
        told["credentials"] = True
    return told


def _clean(value: Any) -> Any:
    """Return text that any terminal and JSON writer takes: what is not UTF-8 becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value
