"""What an ONVIF camera answers, as XML: the simulator's side of the protocol, complete enough for strict clients."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from drivers.onvif import ADDRESSING, DEVICE, EVENTS, MEDIA, MEDIA2, NOTIFICATION, PTZ, SCHEMA, SOAP

NAMESPACES: Final = {
    "tds": DEVICE,
    "trt": MEDIA,
    "tr2": MEDIA2,
    "tev": EVENTS,
    "tptz": PTZ,
    "tt": SCHEMA,
    "wsnt": NOTIFICATION,
    "wsa": ADDRESSING,
    "tns1": "http://www.onvif.org/ver10/topics",
    "ter": "http://www.onvif.org/ver10/error",
}
_DIALECT: Final = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event."""

    topic: str
    source: Mapping[str, str]
    data: Mapping[str, str]
    op: str = "Changed"


def envelope(body: str) -> bytes:
    """Return a whole answer."""
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NAMESPACES.items())
    head = f'<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="{SOAP}" {spaces}>'
    return f"{head}<SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>".encode()


def fault(subcode: str, reason: str) -> str:
    """Return a SOAP 1.2 fault."""
    inner = f"<SOAP-ENV:Subcode><SOAP-ENV:Value>{subcode}</SOAP-ENV:Value></SOAP-ENV:Subcode>"
    return (
        f"<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value>{inner}</SOAP-ENV:Code>"
        f'<SOAP-ENV:Reason><SOAP-ENV:Text xml:lang="en">{escape(reason)}</SOAP-ENV:Text></SOAP-ENV:Reason>'
        "</SOAP-ENV:Fault>"
    )


def system_date(now: datetime) -> str:
    """Return the clock."""
    time = f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
    date = f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
        "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>"
        f"<tt:UTCDateTime><tt:Time>{time}</tt:Time><tt:Date>{date}</tt:Date></tt:UTCDateTime>"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def services(addresses: Mapping[str, str]) -> str:
    """Return GetServicesResponse."""
    rows = "".join(
        f"<tds:Service><tds:Namespace>{space}</tds:Namespace><tds:XAddr>{escape(address)}</tds:XAddr>"
        "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        for space, address in addresses.items()
    )
    return f"<tds:GetServicesResponse>{rows}</tds:GetServicesResponse>"


def capabilities(addresses: Mapping[str, str]) -> str:
    """Return GetCapabilitiesResponse."""
    device, media = (f"<tt:XAddr>{escape(addresses[space])}</tt:XAddr>" for space in (DEVICE, MEDIA))
    flags = ("WSSubscriptionPolicySupport", "WSPullPointSupport", "WSPausableSubscriptionManagerInterfaceSupport")
    events = f"<tt:XAddr>{escape(addresses[EVENTS])}</tt:XAddr>"
    events += "".join(f"<tt:{flag}>true</tt:{flag}>" for flag in flags)
    ptz = f"<tt:PTZ><tt:XAddr>{escape(addresses[PTZ])}</tt:XAddr></tt:PTZ>"
    return (
        f"<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Device>{device}</tt:Device><tt:Events>{events}</tt:Events>"
        f"<tt:Media>{media}<tt:StreamingCapabilities/></tt:Media>{ptz}"
        "</tds:Capabilities></tds:GetCapabilitiesResponse>"
    )


def device_information(maker: str, model: str, firmware: str, serial: str) -> str:
    """Return GetDeviceInformationResponse."""
    names = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
    words = (maker, model, firmware, serial, "1")
    rows = "".join(f"<tds:{name}>{escape(word)}</tds:{name}>" for name, word in zip(names, words, strict=True))
    return f"<tds:GetDeviceInformationResponse>{rows}</tds:GetDeviceInformationResponse>"


def profiles(prefix: str, tokens: Iterable[str]) -> str:
    """Return GetProfilesResponse of media 1 (`trt`) or 2 (`tr2`)."""
    name = "tt" if prefix == "trt" else "tr2"
    rows = "".join(
        f'<{prefix}:Profiles token="{escape(token)}" fixed="true"><{name}:Name>{escape(token)}</{name}:Name>'
        f"</{prefix}:Profiles>"
        for token in tokens
    )
    return f"<{prefix}:GetProfilesResponse>{rows}</{prefix}:GetProfilesResponse>"


def media_uri(prefix: str, op: str, uri: str) -> str:
    """Return GetStreamUriResponse or GetSnapshotUriResponse."""
    if prefix == "tr2":
        return f"<tr2:{op}Response><tr2:Uri>{escape(uri)}</tr2:Uri></tr2:{op}Response>"
    rest = "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>"
    inner = f"<tt:Uri>{escape(uri)}</tt:Uri>{rest}<tt:Timeout>PT0S</tt:Timeout>"
    return f"<trt:{op}Response><trt:MediaUri>{inner}</trt:MediaUri></trt:{op}Response>"


def presets(names: Mapping[str, str]) -> str:
    """Return GetPresetsResponse: token -> name."""
    rows = "".join(
        f'<tptz:Preset token="{escape(token)}"><tt:Name>{escape(name)}</tt:Name></tptz:Preset>'
        for token, name in names.items()
    )
    return f"<tptz:GetPresetsResponse>{rows}</tptz:GetPresetsResponse>"


def _times(prefix: str, now: datetime, end: datetime) -> str:
    return (
        f"<{prefix}:CurrentTime>{now:%Y-%m-%dT%H:%M:%SZ}</{prefix}:CurrentTime>"
        f"<{prefix}:TerminationTime>{end:%Y-%m-%dT%H:%M:%SZ}</{prefix}:TerminationTime>"
    )


def subscribed(address: str, number: str, times: tuple[datetime, datetime]) -> str:
    """Return CreatePullPointSubscriptionResponse; a number goes as a reference parameter."""
    parameters = f"<wsa:ReferenceParameters><tns1:Subscription>{number}</tns1:Subscription></wsa:ReferenceParameters>"
    parameters = parameters if number else ""
    reference = f"<wsa:Address>{escape(address)}</wsa:Address>{parameters}"
    return (
        f"<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>{reference}</tev:SubscriptionReference>"
        f"{_times('wsnt', *times)}</tev:CreatePullPointSubscriptionResponse>"
    )


def renewed(times: tuple[datetime, datetime]) -> str:
    """Return RenewResponse, whose two times stand the other way round."""
    now, end = times
    return (
        f"<wsnt:RenewResponse><wsnt:TerminationTime>{end:%Y-%m-%dT%H:%M:%SZ}</wsnt:TerminationTime>"
        f"<wsnt:CurrentTime>{now:%Y-%m-%dT%H:%M:%SZ}</wsnt:CurrentTime></wsnt:RenewResponse>"
    )


def pulled(events: Iterable[Emitted], times: tuple[datetime, datetime]) -> str:
    """Return PullMessagesResponse."""
    rows = "".join(notification(event, times[0]) for event in events)
    return f"<tev:PullMessagesResponse>{_times('tev', *times)}{rows}</tev:PullMessagesResponse>"


def notification(event: Emitted, now: datetime) -> str:
    """Return one NotificationMessage."""
    parts = "".join(
        f"<tt:{part}>" + "".join(_item(name, value) for name, value in items.items()) + f"</tt:{part}>"
        for part, items in (("Source", event.source), ("Data", event.data))
    )
    stamp = f'UtcTime="{now:%Y-%m-%dT%H:%M:%SZ}" PropertyOperation="{event.op}"'
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{_DIALECT}">{escape(event.topic)}</wsnt:Topic>'
        f"<wsnt:Message><tt:Message {stamp}>{parts}</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def notify(events: Iterable[Emitted], now: datetime) -> bytes:
    """Return a whole Notify, as a camera pushes it."""
    return envelope("<wsnt:Notify>" + "".join(notification(event, now) for event in events) + "</wsnt:Notify>")


def _item(name: str, value: str) -> str:
    return f'<tt:SimpleItem Name="{escape(name)}" Value="{escape(value)}"/>'
