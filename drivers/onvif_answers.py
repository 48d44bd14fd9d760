"""ONVIF's answers: bodies, faults, clocks, leases and addresses; what a camera says of itself and of its neighbours.

Nothing here trusts a camera: texts and counts are capped, an address keeps only its path (`reachable_at`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from core.errors import DeviceRefused, FrameInvalid
from drivers.digest import Login
from drivers.markup import find, local, parse_xml, text
from drivers.onvif import DEVICE, EVENTS, MEDIA, PTZ

MAX_TEXT: Final = 1024
MAX_ROWS: Final = 512
"""Profiles, presets, services or neighbours in one answer; what is more is not read."""
MAX_PARAMETERS: Final = 8
MAX_LEAVES: Final = 4096


class SoapFault(DeviceRefused):
    """A camera answered with a SOAP fault."""

    words: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, detail: str, *, subcodes: tuple[str, ...] = (), place: str = "", cure: str = "") -> None:
        super().__init__(detail, place=place, cure=cure)
        self.subcodes = subcodes


class NotAuthorized(SoapFault):
    """The camera refuses the login, or a clock that is too far off."""

    words = frozenset(
        {"NotAuthorized", "FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "FailedCheck"}
    )


class ActionNotSupported(SoapFault):
    """The camera does not have what was asked."""

    words = frozenset({"ActionNotSupported", "OptionalActionNotImplemented", "NotSupported", "UnknownAction"})


class SubscriptionGone(SoapFault):
    """The camera no longer knows the subscription."""

    words = frozenset({"ResourceUnknownFault", "ResourceUnknown", "InvalidSubscription", "DestinationUnreachable"})


class LeaseRefused(SoapFault):
    """The camera does not give the lease that was asked for."""

    words = frozenset({"UnacceptableTerminationTimeFault", "UnacceptableInitialTerminationTimeFault"})


_FAULTS: Final = (NotAuthorized, ActionNotSupported, SubscriptionGone, LeaseRefused)


def answer_of(data: bytes) -> Element:
    """Return the first element of an envelope's body; raise SoapFault or FrameInvalid."""
    root = parse_xml(data)
    body = find(root, "Body") if local(root.tag) == "Envelope" else None
    if body is None or not len(body):
        raise FrameInvalid("no SOAP body")
    if local(body[0].tag) == "Fault":
        raise _fault(body[0])
    return body[0]


def expected(data: bytes, op: str) -> Element:
    """Return the answer to `op`; raise SoapFault, or FrameInvalid for another answer."""
    answer = answer_of(data)
    if local(answer.tag) != f"{op}Response":
        raise FrameInvalid(f"wanted {op}Response, not {local(answer.tag)[:60]}")
    return answer


def _fault(fault: Element) -> SoapFault:
    """Return the error of a SOAP 1.2 or 1.1 fault, by its innermost known subcode."""
    codes = [element.text or "" for element in fault.iter() if local(element.tag) in {"Value", "faultcode"}]
    names = tuple(code.strip().rpartition(":")[2][:80] for code in codes[:8])
    names += tuple(local(one.tag)[:80] for one in _children(find(fault, "Detail")))
    reason = (text(fault, "Reason", "Text") or text(fault, "faultstring"))[:200]
    detail = f"{reason or 'a SOAP fault'} ({', '.join(names)})"
    for kind in _FAULTS:
        if kind.words.intersection(names):
            return kind(detail, subcodes=names)
    # Small servers say it in the text only: "Sender not authorized".
    if "not authorized" in reason.lower() or "authority failure" in reason.lower():
        return NotAuthorized(detail, subcodes=names)
    return SoapFault(detail, subcodes=names)


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """What a camera's clock says."""

    utc: datetime
    kind: str
    """Manual or NTP."""


def device_clock(answer: Element) -> DeviceClock:
    """Read GetSystemDateAndTimeResponse; raise FrameInvalid where it has no time that can be."""
    told = find(answer, "SystemDateAndTime")
    stamp = None if told is None else find(told, "UTCDateTime")
    if told is None or stamp is None:
        raise FrameInvalid("no UTCDateTime")
    try:
        year, month, day = (int(text(stamp, "Date", name)) for name in ("Year", "Month", "Day"))
        hour, minute, second = (int(text(stamp, "Time", name)) for name in ("Hour", "Minute", "Second"))
        # A leap second, which a camera may tell, is not one of Python's.
        utc = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return DeviceClock(utc, text(told, "DateTimeType")[:MAX_TEXT])
    except (ValueError, OverflowError) as error:
        raise FrameInvalid("a UTCDateTime that cannot be") from error


def instant(words: str) -> datetime | None:
    """Read an xs:dateTime, None where it is none; without a zone it is UTC, as ONVIF's times are."""
    try:
        read = datetime.fromisoformat(words.strip()[:64])
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def lease_s(answer: Element) -> float | None:
    """Return how long a subscription still lives, by the camera's own clock; None where it does not tell."""
    now, end = instant(text(answer, "CurrentTime")), instant(text(answer, "TerminationTime"))
    return None if now is None or end is None else (end - now).total_seconds()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A pull point: where to pull, and for how long it lives."""

    address: str
    lease_s: float | None
    parameters: tuple[tuple[str, str], ...] = ()
    """Reference parameters, `{namespace}name` and text: they go back in the head of every question to it."""


def subscription(answer: Element) -> Subscription:
    """Read CreatePullPointSubscriptionResponse; raise FrameInvalid where it names no address."""
    address = text(answer, "SubscriptionReference", "Address")
    if not address or len(address) > MAX_TEXT:
        raise FrameInvalid("a subscription without an address")
    reference = find(answer, "SubscriptionReference", "ReferenceParameters")
    parameters = tuple((row.tag, (row.text or "").strip()) for row in islice(_children(reference), MAX_PARAMETERS))
    if any(len(tag) + len(words) > MAX_TEXT for tag, words in parameters):
        raise FrameInvalid("a reference parameter that is too long")
    return Subscription(address, lease_s(answer), parameters)


def services(answer: Element) -> dict[str, str]:
    """Read GetServicesResponse or GetCapabilitiesResponse: namespace of a service -> its address."""
    if local(answer.tag) == "GetServicesResponse":
        rows = {text(row, "Namespace"): text(row, "XAddr") for row in _children(answer)}
        return {name: address for name, address in rows.items() if name and _short(address)}
    told = find(answer, "Capabilities")
    names = {"Device": DEVICE, "Media": MEDIA, "Events": EVENTS, "PTZ": PTZ}
    found = {names[local(row.tag)]: text(row, "XAddr") for row in _children(told) if local(row.tag) in names}
    return {name: address for name, address in found.items() if _short(address)}


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """Maker, model, firmware, serial number and hardware as the camera says."""

    manufacturer: str
    model: str
    firmware: str
    serial: str
    hardware: str


def device_information(answer: Element) -> DeviceInformation:
    """Read GetDeviceInformationResponse; what is not told is empty."""
    names = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
    return DeviceInformation(*(text(answer, name)[:MAX_TEXT] for name in names))


@dataclass(frozen=True, slots=True)
class Named:
    """A media profile or a preset."""

    token: str
    name: str


def named_rows(answer: Element) -> tuple[Named, ...]:
    """Read GetProfilesResponse or GetPresetsResponse: those that have a token, in their order."""
    rows = ((row.get("token", "")[:MAX_TEXT], text(row, "Name")[:MAX_TEXT]) for row in _children(answer))
    return tuple(Named(token, name) for token, name in rows if token)


def media_uri(answer: Element) -> str:
    """Read GetStreamUriResponse or GetSnapshotUriResponse of media 1 or 2; raise FrameInvalid without a URI."""
    uri = text(answer, "MediaUri", "Uri") or text(answer, "Uri")
    if not _short(uri):
        raise FrameInvalid("no URI")
    return uri


def reachable_at(address: str, dialled: str) -> str:
    """Return an address with the scheme, host and port that were dialled, unless it names that host itself.

    Cameras tell the address of another network card, of a factory, or of the far side of a NAT. What a camera says can
    so never send a login to another host.
    """
    try:
        told, known = urlsplit(address), urlsplit(dialled)
        same = (told.scheme, told.hostname) == (known.scheme, known.hostname)
        port = told.port if same else known.port
    except ValueError as error:
        raise FrameInvalid(f"an address that cannot be: {address[:80]!r}") from error
    host = _bracketed(known.hostname or "")
    return _plain(urlunsplit((known.scheme, f"{host}:{port}" if port else host, told.path or "/", told.query, "")))


def _plain(address: str) -> str:
    """Return an address that can stand in a request's first line; raise FrameInvalid."""
    if len(address) > MAX_TEXT or not all("!" <= sign <= "~" for sign in address):
        raise FrameInvalid(f"an address that cannot be: {address[:80]!r}")
    return address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def stream_at(uri: str, dialled: str, login: Login | None = None) -> str:
    """Return an RTSP address at the host that was dialled; with `login` it is a secret: escaped, never to be logged."""
    try:
        told, known = urlsplit(uri), urlsplit(dialled)
        port = f":{told.port}" if told.port else ""
    except ValueError as error:
        raise FrameInvalid(f"an address that cannot be: {uri[:80]!r}") from error
    if told.scheme not in {"rtsp", "rtsps"}:
        raise FrameInvalid(f"not an RTSP address: {told.scheme[:20]!r}")
    host = _bracketed(known.hostname or "")
    who = f"{quote(login.username, safe='')}:{quote(login.password, safe='')}@" if login else ""
    return _plain(urlunsplit((told.scheme, f"{who}{host}{port}", told.path, told.query, "")))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A camera that answered a probe."""

    uuid: str
    types: tuple[str, ...]
    scopes: tuple[str, ...]
    addresses: tuple[str, ...]


def probe_matches(data: bytes) -> tuple[Neighbour, ...]:
    """Read one ProbeMatches datagram; raise FrameInvalid or SoapFault."""
    answer = answer_of(data)
    if local(answer.tag) != "ProbeMatches":
        raise FrameInvalid(f"wanted ProbeMatches, not {local(answer.tag)[:60]}")
    return tuple(found for row in _children(answer) if (found := _neighbour(row)).uuid)


def _neighbour(row: Element) -> Neighbour:
    words = (tuple(text(row, name)[: 16 * MAX_TEXT].split()[:64]) for name in ("Types", "Scopes", "XAddrs"))
    uuid = text(row, "EndpointReference", "Address").lower().removeprefix("urn:").removeprefix("uuid:")
    return Neighbour(uuid[:80], *words)


def without_doubles(found: Iterable[Neighbour]) -> tuple[Neighbour, ...]:
    """Return each camera once, by its uuid, with all addresses it was heard to have."""
    known: dict[str, Neighbour] = {}
    for one in found:
        before = known.get(one.uuid, one)
        addresses = tuple(dict.fromkeys(before.addresses + one.addresses))
        known[one.uuid] = Neighbour(before.uuid, before.types, before.scopes, addresses)
    return tuple(known.values())


def leaf_values(answer: Element) -> list[list[Any]]:
    """Return what an answer says, in its order: `[name, text]`, and attributes as a third where there are any."""
    rows: list[list[Any]] = []
    for element in islice(answer.iter(), 1, MAX_LEAVES):
        attributes = {local(key): value[:MAX_TEXT] for key, value in element.attrib.items()}
        if not len(element) or attributes:
            words = [local(element.tag), (element.text or "").strip()[:MAX_TEXT]]
            rows.append([*words, attributes] if attributes else words)
    return rows


def described(data: bytes) -> dict[str, Any]:
    """Return any answer as JSON values, for `gatefleet decode`; raise SoapFault or FrameInvalid."""
    answer = answer_of(data)
    op = local(answer.tag).removesuffix("Response")
    return {"op": op, **(_DESCRIBERS[op](answer) if op in _DESCRIBERS else {"leaf_values": leaf_values(answer)})}


def _described_information(answer: Element) -> Mapping[str, Any]:
    told = device_information(answer)
    words = (told.manufacturer, told.model, told.firmware, told.serial, told.hardware)
    return dict(zip(("manufacturer", "model", "firmware", "serial", "hardware"), words, strict=True))


def _described_clock(answer: Element) -> Mapping[str, Any]:
    clock = device_clock(answer)
    return {"utc": f"{clock.utc:%Y-%m-%dT%H:%M:%SZ}", "type": clock.kind}


def _described_subscription(answer: Element) -> Mapping[str, Any]:
    told = subscription(answer)
    return {"address": told.address, "lease_s": told.lease_s}


_DESCRIBERS: Final = {
    "GetDeviceInformation": _described_information,
    "GetSystemDateAndTime": _described_clock,
    "CreatePullPointSubscription": _described_subscription,
}


def _children(element: Element | None) -> Iterator[Element]:
    return islice(iter(element if element is not None else ()), MAX_ROWS)


def _short(words: str) -> bool:
    return 0 < len(words) <= MAX_TEXT
