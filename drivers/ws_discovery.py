"""WS-Discovery of cameras: what the datagrams of a probe say (WS-Discovery 2005/04, ONVIF Core 7.3). Pure.

    us  -> 239.255.255.250:3702   Probe         MessageID urn:uuid:A, Types dn:NetworkVideoTransmitter
    cam -> us                     ProbeMatches  RelatesTo urn:uuid:A, ProbeMatch{EndpointReference, Scopes, XAddrs}

Promises
1. What a datagram says is bounded: MAX_DATAGRAM bytes, MAX_MATCHES cameras; a directory holds MAX_CAMERAS, and of each
   camera at most MAX_ADDRESSES.
2. An address leads to the host that sent the datagram, whatever it says: nobody can send a login elsewhere.
3. A camera that answers again, or from another card, stands there once, with every address it really answered from.
"""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from core.errors import FrameInvalid
from drivers.markup import find, parse_xml, text
from drivers.onvif_answers import Neighbour, probe_matches

MAX_DATAGRAM: Final = 65_507
MAX_MATCHES: Final = 16
MAX_CAMERAS: Final = 1024
MAX_ADDRESSES: Final = 8
_LONGEST: Final = 256
_SCOPE: Final = "onvif://www.onvif.org/"
_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class CameraSighted:
    """A camera that answered."""

    uuid: str
    urls: tuple[str, ...]
    """Its device service, at the host that answered; the likeliest first, empty where it told no address."""
    name: str = ""
    hardware: str = ""
    location: str = ""
    told: tuple[str, ...] = ()
    """The addresses as it told them."""


def sighted(data: bytes, host: str, asked: str) -> tuple[CameraSighted, ...]:
    """Return the cameras of one datagram from `host` that answers the probe `asked`.

    Raises FrameInvalid, or SoapFault, for what is no answer to it.
    """
    if len(data) > MAX_DATAGRAM:
        raise FrameInvalid(f"a datagram of {len(data)} bytes")
    header = find(parse_xml(data), "Header")
    related = text(header, "RelatesTo").strip() if header is not None else ""
    if related.lower() != asked.lower():
        raise FrameInvalid(f"an answer to {related[:80]!r}, which was not asked here")
    found = probe_matches(data)
    if len(found) > MAX_MATCHES:
        raise FrameInvalid(f"{len(found)} cameras in one datagram")
    return tuple(_camera(one, host) for one in found)


def _camera(one: Neighbour, host: str) -> CameraSighted:
    scopes = [scope.removeprefix(_SCOPE) for scope in one.scopes if scope.startswith(_SCOPE)]
    words = {}
    for kind in ("name", "hardware", "location"):
        values = [_word(scope.partition("/")[2]) for scope in scopes if scope.partition("/")[0] == kind]
        words[kind] = ", ".join(value for value in values[:4] if value)[:_LONGEST]
    told = tuple(address[:_LONGEST] for address in one.addresses[:MAX_ADDRESSES])
    return CameraSighted(one.uuid, urls_at(told, host), **words, told=told)


def _word(written: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in unquote(written))


def urls_at(told: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Return addresses with the host that answered: first those that name it themselves."""
    own: list[str] = []
    others: list[str] = []
    for address in told:
        try:
            parts = urlsplit(address)
            scheme, name, port = parts.scheme.lower(), parts.hostname, parts.port
        except ValueError:
            continue
        if scheme not in _SCHEMES or not name or not all("!" <= sign <= "~" for sign in address):
            continue
        bare = f"[{host}]" if ":" in host else host
        made = urlunsplit((scheme, f"{bare}:{port}" if port else bare, parts.path or "/", parts.query, ""))
        (own if name == host else others).append(made)
    return tuple(dict.fromkeys(own + others))[:MAX_ADDRESSES]


class Directory:
    """The cameras that were sighted so far, in the order of their first answer."""

    def __init__(self) -> None:
        self._cameras: dict[str, CameraSighted] = {}
        self.unheeded = 0
        """Cameras beyond the bound."""

    @property
    def cameras(self) -> tuple[CameraSighted, ...]:
        """Return each camera once."""
        return tuple(self._cameras.values())

    def add(self, camera: CameraSighted) -> None:
        """Know a camera, or more of one that is known."""
        before = self._cameras.get(camera.uuid)
        if before is not None:
            urls = tuple(dict.fromkeys(before.urls + camera.urls))[:MAX_ADDRESSES]
            told = tuple(dict.fromkeys(before.told + camera.told))[:MAX_ADDRESSES]
            self._cameras[camera.uuid] = replace(before, urls=urls, told=told)
        elif len(self._cameras) < MAX_CAMERAS:
            self._cameras[camera.uuid] = camera
        else:
            self.unheeded += 1
