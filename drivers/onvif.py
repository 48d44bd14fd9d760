"""ONVIF's questions: SOAP 1.2 envelopes, their WS-Security header, the WS-Discovery probe. Pure: bytes are returned.

    POST <service address>   Content-Type: application/soap+xml; charset=utf-8; action="..."
    <s:Envelope>
      <s:Header>[wsse:Security] [wsa:To wsa:Action wsa:MessageID]</s:Header>
      <s:Body>question</s:Body>
    </s:Envelope>

ONVIF Core, Media 1, Media 2 and PTZ service specifications. `drivers.onvif_answers` reads what comes back.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from html import escape
from typing import Final

from drivers.digest import Login

DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
PTZ: Final = "http://www.onvif.org/ver20/ptz/wsdl"
SCHEMA: Final = "http://www.onvif.org/ver10/schema"
SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
NOTIFICATION: Final = "http://docs.oasis-open.org/wsn/b-2"
_MANAGER: Final = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager"
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST_TYPE: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
)
_BASE64: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"

DISCOVERY_PORT: Final = 3702
DISCOVERY_GROUP: Final = "239.255.255.250"


@dataclass(frozen=True, slots=True)
class Call:
    """One question: `body` is XML of its own, with its namespaces."""

    service: str
    op: str
    action: str
    body: str

    @property
    def media_type(self) -> str:
        """The Content-Type of SOAP 1.2, which names the action."""
        return f'application/soap+xml; charset=utf-8; action="{self.action}"'


@dataclass(frozen=True, slots=True)
class UsernameToken:
    """A WS-Security UsernameToken. `created` is an instant by the camera's clock, as in 2010-09-16T07:50:45Z."""

    login: Login
    nonce: bytes = field(repr=False)
    created: str

    @property
    def password_digest(self) -> str:
        """Base64(SHA-1(nonce + created + password)): WSS UsernameToken Profile 1.0, 3.1."""
        digest = hashlib.sha1(self.nonce + self.created.encode() + self.login.password.encode())  # noqa: S324 its word
        return base64.b64encode(digest.digest()).decode()

    def as_xml(self) -> str:
        """Return the wsse:Security header block."""
        nonce = base64.b64encode(self.nonce).decode()
        return (
            f'<wsse:Security s:mustUnderstand="1" xmlns:wsse="{_WSSE}" xmlns:wsu="{_WSU}"><wsse:UsernameToken>'
            f"<wsse:Username>{escape(self.login.username)}</wsse:Username>"
            f'<wsse:Password Type="{_DIGEST_TYPE}">{self.password_digest}</wsse:Password>'
            f'<wsse:Nonce EncodingType="{_BASE64}">{nonce}</wsse:Nonce>'
            f"<wsu:Created>{escape(self.created)}</wsu:Created></wsse:UsernameToken></wsse:Security>"
        )


@dataclass(frozen=True, slots=True)
class Addressed:
    """The WS-Addressing head of a question to a subscription."""

    to: str
    message_id: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Reference parameters as the camera gave them: `{namespace}name` and text."""

    def as_xml(self, call: Call) -> str:
        """Return the header blocks."""
        blocks = f'<wsa:To s:mustUnderstand="1">{escape(self.to)}</wsa:To>'
        blocks += f'<wsa:Action s:mustUnderstand="1">{escape(call.action)}</wsa:Action>'
        blocks += f"<wsa:MessageID>{escape(self.message_id)}</wsa:MessageID>"
        for tag, text in self.parameters:
            space, _, name = tag.removeprefix("{").rpartition("}")
            blocks += f'<r:{name} xmlns:r="{escape(space)}" wsa:IsReferenceParameter="true">{escape(text)}</r:{name}>'
        return blocks


def envelope(call: Call, *, token: UsernameToken | None = None, addressed: Addressed | None = None) -> bytes:
    """Return a request's body."""
    header = (token.as_xml() if token else "") + (addressed.as_xml(call) if addressed else "")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:wsa="{ADDRESSING}">'
        f"<s:Header>{header}</s:Header><s:Body>{call.body}</s:Body></s:Envelope>"
    ).encode()


def get_system_date_and_time() -> Call:
    """Ask for the camera's clock; needs no login."""
    return _call(DEVICE, "GetSystemDateAndTime")


def get_services() -> Call:
    """Ask where its services are."""
    return _call(DEVICE, "GetServices", _leaf("IncludeCapability", "false"))


def get_capabilities() -> Call:
    """Ask where its services are, in the way of cameras before GetServices."""
    return _call(DEVICE, "GetCapabilities", _leaf("Category", "All"))


def get_device_information() -> Call:
    """Ask for maker, model, firmware and serial number."""
    return _call(DEVICE, "GetDeviceInformation")


def get_profiles(media: str) -> Call:
    """Ask for the media profiles; `media` is MEDIA or MEDIA2."""
    return _call(media, "GetProfiles")


def get_stream_uri(media: str, profile: str) -> Call:
    """Ask where a profile's RTSP stream is, unicast."""
    if media == MEDIA2:
        return _call(media, "GetStreamUri", _leaf("Protocol", "RTSP") + _leaf("ProfileToken", profile))
    transport = "<tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport>"
    setup = f'<q:StreamSetup xmlns:tt="{SCHEMA}"><tt:Stream>RTP-Unicast</tt:Stream>{transport}</q:StreamSetup>'
    return _call(media, "GetStreamUri", setup + _leaf("ProfileToken", profile))


def get_snapshot_uri(media: str, profile: str) -> Call:
    """Ask where a profile's still picture is."""
    return _call(media, "GetSnapshotUri", _leaf("ProfileToken", profile))


def create_pull_point_subscription(lease_s: int) -> Call:
    """Ask for a subscription that is pulled."""
    body = _leaf("InitialTerminationTime", f"PT{lease_s}S")
    return _call(EVENTS, "CreatePullPointSubscription", body, f"{EVENTS}/EventPortType/{{op}}Request")


def pull_messages(timeout_s: int, limit: int) -> Call:
    """Ask for events: the camera answers when it has some, or after `timeout_s`."""
    body = _leaf("Timeout", f"PT{timeout_s}S") + _leaf("MessageLimit", str(limit))
    return _call(EVENTS, "PullMessages", body, f"{EVENTS}/PullPointSubscription/{{op}}Request")


def renew(lease_s: int) -> Call:
    """Ask to keep a subscription; some cameras have no ear for it."""
    return _call(NOTIFICATION, "Renew", _leaf("TerminationTime", f"PT{lease_s}S"), f"{_MANAGER}/{{op}}Request")


def unsubscribe() -> Call:
    """Give a subscription back: cameras have few."""
    return _call(NOTIFICATION, "Unsubscribe", "", f"{_MANAGER}/{{op}}Request")


def get_presets(profile: str) -> Call:
    """Ask for the presets of a dome."""
    return _call(PTZ, "GetPresets", _leaf("ProfileToken", profile))


def goto_preset(profile: str, preset: str) -> Call:
    """Turn a dome to a preset."""
    return _call(PTZ, "GotoPreset", _leaf("ProfileToken", profile) + _leaf("PresetToken", preset))


def continuous_move(profile: str, *, pan: float, tilt: float, zoom: float, timeout_ms: int) -> Call:
    """Turn a dome; speeds are from -1 to 1. The camera should stop by itself after the time, yet not all do."""
    speeds = f'<tt:PanTilt x="{pan:.3f}" y="{tilt:.3f}"/><tt:Zoom x="{zoom:.3f}"/>'
    velocity = f'<q:Velocity xmlns:tt="{SCHEMA}">{speeds}</q:Velocity>'
    timeout = _leaf("Timeout", f"PT{timeout_ms / 1000:.3f}S")
    return _call(PTZ, "ContinuousMove", _leaf("ProfileToken", profile) + velocity + timeout)


def stop(profile: str) -> Call:
    """Stop a dome."""
    body = _leaf("ProfileToken", profile) + _leaf("PanTilt", "true") + _leaf("Zoom", "true")
    return _call(PTZ, "Stop", body)


def probe(message_id: str) -> bytes:
    """Return a WS-Discovery probe for cameras (ONVIF Core, device discovery); `message_id` is `urn:uuid:...`."""
    addressing, discovery = (
        "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{addressing}" '
        f'xmlns:d="{discovery}"><s:Header><a:Action>{discovery}/Probe</a:Action>'
        f"<a:MessageID>{escape(message_id)}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body><d:Probe>"
        '<d:Types xmlns:dn="http://www.onvif.org/ver10/network/wsdl">dn:NetworkVideoTransmitter</d:Types>'
        "</d:Probe></s:Body></s:Envelope>"
    ).encode()


def _call(service: str, op: str, body: str = "", action: str = "{service}/{op}") -> Call:
    named = action.format(service=service, op=op)
    return Call(service, op, named, f'<q:{op} xmlns:q="{service}">{body}</q:{op}>')


def _leaf(name: str, text: str) -> str:
    return f"<q:{name}>{escape(text)}</q:{name}>"
