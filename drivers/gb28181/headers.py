"""What stands in SIP's header values: URIs, addresses, Via, CSeq, lists (RFC 3261, 7.3, 19.1, 20)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from core.errors import FrameInvalid

MAX_URI: Final = 512
MAX_LIST: Final = 16
"""Values in one comma-separated header; a message that passed more proxies than this is not for us."""
_WORD: Final = r"[A-Za-z0-9.!%*_+`'~-]+"
_HOST: Final = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255}"
_URI = re.compile(
    rf"(sips?):(?:([^@<>\s\"]{{1,128}})@)?({_HOST})(?::([0-9]{{1,5}}))?((?:;[^?<>\s]*)?)(?:\?[^<>\s]*)?",
    re.IGNORECASE,
)
_VIA = re.compile(rf"SIP\s*/\s*2\.0\s*/\s*({_WORD})\s+({_HOST})(?:\s*:\s*([0-9]{{1,5}}))?\s*((?:;.*)?)", re.IGNORECASE)
_PARAM = re.compile(rf';\s*({_WORD})(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?\s*')
_NUMBER = re.compile(r"[0-9]{1,10}")

Params = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class SipUri:
    """`sip:user@host:port;params`; an address of IPv6 keeps its brackets."""

    user: str
    host: str
    port: int | None = None
    params: Params = ()
    scheme: str = "sip"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{user}{self.host}{port}{_join(self.params)}"

    @property
    def address(self) -> str:
        """`host:port` as it was written; without a port only the host."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A From, To or Contact: a URI and the header's own parameters."""

    uri: SipUri
    params: Params = ()

    def param(self, name: str) -> str | None:
        """Return a parameter's value, None where it is not there or has none."""
        return _lookup(self.params, name)

    def __str__(self) -> str:
        return f"<{self.uri}>{_join(self.params)}"


@dataclass(frozen=True, slots=True)
class Via:
    """One Via: where answers go (RFC 3261, 18.2.2; RFC 3581 for `rport` and `received`)."""

    transport: str
    host: str
    port: int | None = None
    params: Params = field(default=())

    @property
    def branch(self) -> str:
        """The transaction's name; empty where an RFC 2543 peer gave none."""
        return _lookup(self.params, "branch") or ""

    @property
    def wants_rport(self) -> bool:
        """Whether the sender asks for answers at the port that it sent from."""
        return any(name.lower() == "rport" for name, _ in self.params)

    @property
    def sent_by(self) -> str:
        """`host:port`, 5060 where no port is written."""
        return f"{self.host}:{self.port or 5060}"

    def seen_from(self, host: str, port: int) -> "Via":
        """Return the Via as a server must write it into its answer."""
        kept = tuple((name, value) for name, value in self.params if name.lower() not in {"received", "rport"})
        added: Params = (("rport", str(port)),) if self.wants_rport else ()
        if self.wants_rport or host != self.host.strip("[]"):
            added += (("received", host),)
        return replace(self, params=kept + added)

    def answer_to(self, host: str, port: int) -> tuple[str, int]:
        """Return where the answer to a datagram goes that came from there."""
        return host, (port if self.wants_rport else self.port or 5060)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{_join(self.params)}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """A number that grows, and the request's method."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_uri(text: str) -> SipUri:
    """Return a SIP URI; raise FrameInvalid."""
    match = _URI.fullmatch(text.strip()) if len(text) <= MAX_URI else None
    if match is None:
        raise FrameInvalid(f"not a SIP URI: {text[:60]!r}")
    return SipUri(match[2] or "", match[3], _port(match[4]), _params(match[5]), match[1].lower())


def parse_address(text: str) -> Address:
    """Return a From, To or Contact, with or without a display name; raise FrameInvalid."""
    quoted = re.match(r'\s*"(?:[^"\\]|\\.)*"', text)
    start = text.find("<", quoted.end() if quoted else 0)
    if start < 0:  # without brackets every parameter is the header's (RFC 3261, 20.10)
        uri, semicolon, rest = text.strip().partition(";")
        return Address(parse_uri(uri), _params(semicolon + rest))
    end = text.find(">", start)
    if end < 0:
        raise FrameInvalid(f"an address without its bracket: {text[:60]!r}")
    return Address(parse_uri(text[start + 1 : end]), _params(text[end + 1 :].strip()))


def parse_via(text: str) -> Via:
    """Return one Via; raise FrameInvalid."""
    match = _VIA.fullmatch(text.strip()) if len(text) <= 2 * MAX_URI else None
    if match is None:
        raise FrameInvalid(f"not a Via: {text[:60]!r}")
    return Via(match[1].upper(), match[2], _port(match[3]), _params(match[4]))


def parse_cseq(text: str) -> CSeq:
    """Return number and method; raise FrameInvalid. The number is below 2**31 (RFC 3261, 8.1.1.5)."""
    number, _, method = text.strip().partition(" ")
    if not _NUMBER.fullmatch(number) or int(number) >= 1 << 31 or not re.fullmatch(_WORD, method.strip()):
        raise FrameInvalid(f"not a CSeq: {text[:60]!r}")
    return CSeq(int(number), method.strip())


def parse_seconds(text: str | None) -> int | None:
    """Return the seconds of an Expires, None where there are none that can be (RFC 3261, 20.19: below 2**32)."""
    found = _NUMBER.fullmatch((text or "").strip())
    return int(found[0]) if found and int(found[0]) < 1 << 32 else None


def split_list(text: str) -> tuple[str, ...]:
    """Return the values of a comma-separated header; commas in quotes and brackets part nothing."""
    found = tuple(_split(text))
    if len(found) > MAX_LIST:
        raise FrameInvalid(f"more than {MAX_LIST} values in a header")
    return found


def _split(text: str) -> Iterator[str]:
    begin, quoted, bracket, escaped = 0, False, False, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            bracket = char == "<"
        elif char == "," and not bracket:
            yield text[begin:at].strip()
            begin = at + 1
    yield text[begin:].strip()


def _params(text: str) -> Params:
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(text):
        match = _PARAM.match(text, at)
        if match is None or len(found) >= MAX_LIST:
            raise FrameInvalid(f"malformed parameters: {text[:60]!r}")
        found.append((match[1], match[2]))
        at = match.end()
    return tuple(found)


def _join(params: Params) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def _lookup(params: Params, name: str) -> str | None:
    return next((value for key, value in params if key.lower() == name), None)


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not 0 < int(text) < 1 << 16:
        raise FrameInvalid(f"a port that cannot be: {text}")
    return int(text)
