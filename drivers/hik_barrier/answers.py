"""What a camera answers, by ISAPI. Namespaces differ by firmware and are not looked at.

- `GET /ISAPI/System/IO/status`: `IOPortStatusList`, of each port its number, `input` or `output`, `active` or not
- `GET /ISAPI/Parking/channels/<n>/barrierGate/barrierGateStatus`: 0 no signal, 1 closed, 2 open
- each PUT: `ResponseStatus` with a `statusCode`; 1 says that it was taken, not that the arm has moved
"""

from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

from core.errors import DeviceRefused, FrameInvalid
from drivers.facts import DeviceDescribed
from drivers.markup import local, parse_xml, text

_STATES: Final = {"active": True, "inactive": False}
_ARMS: Final = {"0": "", "1": "closed", "2": "open"}
_OK: Final = "1"
_MAX_PORT: Final = 64
_LONGEST: Final = 64


def ports_of(body: bytes) -> Mapping[int, bool]:
    """Return which alarm inputs are active, by number; raise FrameInvalid."""
    root = _expected(body, "IOPortStatusList")
    found: dict[int, bool] = {}
    for port in root:
        if text(port, "ioPortType") != "input":
            continue
        number, state = text(port, "ioPortID"), text(port, "ioState")
        if not number.isascii() or not number.isdigit() or not 1 <= int(number[:4]) <= _MAX_PORT:
            raise FrameInvalid(f"an input numbered {number[:10]!r}")
        if state not in _STATES:
            raise FrameInvalid(f"input {number} is {state[:20]!r}")
        found[int(number)] = _STATES[state]
    return found


def arm_of(body: bytes) -> str:
    """Return where the arm is: open, closed, or empty where the camera has no signal of it; raise FrameInvalid."""
    told = text(_expected(body, "BarrierGateStatus"), "barrierGateStatus")
    if told not in _ARMS:
        raise FrameInvalid(f"a barrierGateStatus of {told[:10]!r}")
    return _ARMS[told]


def check_taken(body: bytes) -> None:
    """Raise DeviceRefused where an order was not taken, FrameInvalid where that is not told."""
    root = _expected(body, "ResponseStatus")
    code = text(root, "statusCode")
    if code != _OK:
        said = text(root, "subStatusCode") or text(root, "statusString")
        raise DeviceRefused(f"the camera refused: {code[:5]} {said[:_LONGEST]}".rstrip())


def described(body: bytes) -> DeviceDescribed:
    """Return what a camera says of itself (`GET /ISAPI/System/deviceInfo`); raise FrameInvalid."""
    root = _expected(body, "DeviceInfo")
    model, firmware, serial = (text(root, name)[:_LONGEST] for name in ("model", "firmwareVersion", "serialNumber"))
    return DeviceDescribed(vendor="Hikvision", model=model, firmware=firmware, serial=serial)


def _expected(body: bytes, name: str) -> Element:
    root = parse_xml(body)
    if local(root.tag) != name:
        raise FrameInvalid(f"<{local(root.tag)[:40]}> instead of <{name}>")
    return root
