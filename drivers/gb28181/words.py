"""The SIP messages of a lower platform: who it is, what it asks, how it answers. Transactions are named by the caller.

REGISTER sip:<upper>@<domain>  From/To: <me@my-domain>  Contact: <me@host:port>  Expires  X-GB-Ver (2022: 3.0)
MESSAGE  sip:<upper>@<domain>  From: <me@my-domain>  To: <upper@domain>  Content-Type: Application/MANSCDP+xml
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid
from drivers.digest import Login, authorization, parse_digest
from drivers.gb28181.catalog import Encoding
from drivers.gb28181.headers import Address, Params, SipUri, Via, parse_seconds
from drivers.gb28181.ids import checked_id, domain_of
from drivers.gb28181.manscdp import CONTENT_TYPE
from drivers.gb28181.sip import Headers, SipRequest, SipResponse

ALLOW: Final = "MESSAGE, OPTIONS, INVITE, ACK, CANCEL, BYE"
BRANCH: Final = "z9hG4bK"
"""Begins every branch of RFC 3261."""
_ANSWERED: Final = frozenset({"md5", "sha-256"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)


class PlatformMap(BaseModel):
    """The `map` of a platform's profile: where platforms differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Encoding = "gb2312"
    edition: Literal["2016", "2022"] = "2016"
    tell_edition: bool = True
    """Send X-GB-Ver."""
    items_per_message: int = Field(default=4, ge=1, le=100)
    """Of a catalog; a datagram may hold fewer."""
    utc_offset_min: int = Field(default=480, ge=-720, le=840)
    """The zone of a `Date:` that names none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The names of one request. A dialog-less MESSAGE has its own Call-ID; a registration keeps it."""

    call_id: str
    tag: str
    cseq: int
    branch: str


@dataclass(frozen=True, slots=True)
class Words:
    """A lower platform and the one above it. Ids are checked: FrameInvalid."""

    me: str
    upper: str
    domain: str
    """Of the platform above: the realm's domain, mostly the first ten digits of its id."""
    host: str
    """Ours, as it is on the wire; IPv6 in brackets."""
    port: int
    transport: Literal["UDP", "TCP"]
    dialect: PlatformMap = field(default_factory=PlatformMap)

    def __post_init__(self) -> None:
        checked_id(self.me)
        checked_id(self.upper)

    @property
    def uri(self) -> str:
        """The platform above as Request-URI."""
        return f"sip:{self.upper}@{self.domain}"

    def register(self, turn: Turn, expires_s: int, credentials: str = "") -> SipRequest:
        """Return a REGISTER; 0 s unregisters."""
        me = SipUri(self.me, domain_of(self.me))
        rows = [("Contact", str(self._contact())), ("Expires", str(expires_s))]
        rows += [("Authorization", credentials)] if credentials else []
        return self._request("REGISTER", turn, Address(me), rows)

    def message(self, turn: Turn, body: bytes, credentials: str = "") -> SipRequest:
        """Return a MESSAGE with a MANSCDP body."""
        rows = [("Content-Type", CONTENT_TYPE)] + ([("Authorization", credentials)] if credentials else [])
        return replace(self._request("MESSAGE", turn, Address(SipUri(self.upper, self.domain)), rows), body=body)

    def reply(
        self,
        request: SipRequest,
        status: int,
        reason: str,
        *,
        source: tuple[str, int],
        tag: str,
        extra: tuple[tuple[str, str], ...] = (),
    ) -> SipResponse:
        """Return an answer (RFC 3261, 8.2.6): what must be copied is; a To without a tag gets ours."""
        top, *others = request.vias
        vias = (top.seen_from(*source), *others)
        to = request.headers.get("To") or ""
        to = to if request.target.param("tag") else f"{to};tag={tag}"
        copied = ("From", "Call-ID", "CSeq")
        rows = [("Via", str(via)) for via in vias] + [("To", to)]
        rows += [(name, request.headers.get(name) or "") for name in copied]
        return SipResponse(Headers((*rows, *extra, *self._edition())), status=status, reason=reason)

    def _contact(self) -> Address:
        # Without it a platform calls back over UDP (RFC 3263, 4.1): Kamailio does.
        params: Params = (("transport", "tcp"),) if self.transport == "TCP" else ()
        return Address(SipUri(self.me, self.host, self.port, params))

    def _edition(self) -> tuple[tuple[str, str], ...]:
        version = "3.0" if self.dialect.edition == "2022" else "2.0"
        return (("X-GB-Ver", version),) if self.dialect.tell_edition else ()

    def _request(self, method: str, turn: Turn, to: Address, rows: list[tuple[str, str]]) -> SipRequest:
        me = Address(SipUri(self.me, domain_of(self.me)), (("tag", turn.tag),))
        via = Via(self.transport, self.host, self.port, (("rport", None), ("branch", turn.branch)))
        return SipRequest(
            Headers((
                ("Via", str(via)),
                ("From", str(me)),
                ("To", str(to)),
                ("Call-ID", turn.call_id),
                ("CSeq", f"{turn.cseq} {method}"),
                ("Max-Forwards", "70"),
                ("User-Agent", "gatefleet"),
                *self._edition(),
                *rows,
            )),
            method=method,
            uri=self.uri,
        )  # fmt: skip


def credentials_for(response: SipResponse, request: SipRequest, login: Login, cnonce: str) -> str:
    """Return the Authorization that answers a 401; raise FrameInvalid or Unsupported where none can.

    Of several challenges the first that can be answered is taken (RFC 7616, 3.7).
    """
    challenges = response.headers.all("WWW-Authenticate")
    if not challenges:
        raise FrameInvalid("a 401 without WWW-Authenticate")
    known = [found for found in map(parse_digest, challenges) if found.get("algorithm", "MD5").lower() in _ANSWERED]
    challenge = known[0] if known else parse_digest(challenges[0])
    return authorization(login, request.method, request.uri, challenge, cnonce=cnonce)


def granted_s(response: SipResponse, asked_s: int, ours: str) -> int:
    """Return how long a 200 registers the Contact `ours` (host:port): its expires, else Expires, else what was asked.

    A registrar may list other contacts of ours from before (RFC 3261, 10.3); longer than asked is never believed.
    """
    contacts = response.contacts
    mine = [one for one in contacts if one.uri.address == ours] or list(contacts[:1] if len(contacts) == 1 else ())
    told = [parse_seconds(one.param("expires")) for one in mine[-1:]] + [parse_seconds(response.headers.get("Expires"))]
    return min(asked_s, next((value for value in told if value is not None), asked_s))


def platform_time(response: SipResponse, utc_offset_min: int = 480) -> datetime | None:
    """Return the `Date:` of a 200: ISO 8601, mostly without a zone, or RFC 1123; None where it is neither."""
    value = (response.headers.get("Date") or "").strip()
    try:
        if _DATE.fullmatch(value):
            found = datetime.fromisoformat(value)
        elif len(value) <= 40 and value:
            found = parsedate_to_datetime(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        else:
            return None
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone(timedelta(minutes=utc_offset_min)))


def moved_to(response: SipResponse) -> SipUri | None:
    """Return where a 302 sends us, None where it does not say."""
    return next((contact.uri for contact in response.contacts), None)
