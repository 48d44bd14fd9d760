"""REGISTER, its Digest, its refusals (GB/T 28181-2016, 9.1; RFC 3261, 10.2)."""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from core.errors import DeviceRefused, DeviceSilent, FrameInvalid, LinkLost
from drivers.digest import Login, parse_digest
from drivers.gb28181.headers import parse_seconds
from drivers.gb28181.sip import SipRequest, SipResponse
from drivers.gb28181.words import BRANCH, Turn, Words, credentials_for, granted_s, moved_to, platform_time
from edge.upward.sip import Peer, SipAgent

_MOST_TURNS: Final = 4
"""Bare, with credentials, a stale nonce, an Expires too short: each at most once."""
LONGEST_S: Final = 7 * 86400
_PASSING: Final = frozenset({408, 480})


class Moved(LinkLost):
    """The platform named another address (302); `upper_id` is empty where it named no id."""

    def __init__(self, peer: Peer, upper_id: str) -> None:
        super().__init__("moved", place=str(peer))
        self.peer = peer
        self.upper_id = upper_id


class Registration:
    """One registration: its Call-ID and CSeq. `drift_s` is the platform's clock minus ours."""

    def __init__(self, agent: SipAgent, words: Words, login: Login, wall: Callable[[], datetime]) -> None:
        self.held = False
        self.drift_s: float | None = None
        self._agent = agent
        self._words = words
        self._login = login
        self._wall = wall
        self._call_id = ""
        self._tag = ""
        self._cseq = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew: a platform that was started again knows neither our Call-ID nor our CSeq."""
        self.held = False
        self._call_id = f"{secrets.token_hex(12)}@{self._words.host}"
        self._tag = secrets.token_hex(6)
        self._cseq = 0

    async def register(self, expires_s: int) -> int:
        """Register for so long, 0 to leave; return the seconds that were granted.

        Raises LinkLost where nobody answers or what comes makes no sense, Moved, DeviceRefused, Unsupported.
        """
        credentials = ""
        for _ in range(_MOST_TURNS):
            request = self._words.register(self._turn(), expires_s, credentials)
            response = await self._ask(request)
            if response.status < 300:
                return self._accepted(response, expires_s)
            if response.status == 401 and (not credentials or _stale(response)):
                credentials = self._credentials(response, request)
            elif response.status == 423:
                expires_s = self._longer(response, expires_s)
            else:
                raise self._no(response)
        raise LinkLost("the platform asks for ever more", place=self._place)

    async def _ask(self, request: SipRequest) -> SipResponse:
        try:
            return await self._agent.ask(request)
        except DeviceSilent as error:
            raise LinkLost(error.detail, place=self._place) from error

    def _accepted(self, response: SipResponse, expires_s: int) -> int:
        words = self._words
        granted = granted_s(response, expires_s, f"{words.host}:{words.port}")
        if expires_s and not granted:
            raise LinkLost("the platform granted 0 s", place=self._place)
        self.held = expires_s > 0
        told = platform_time(response, words.dialect.utc_offset_min)
        self.drift_s = None if told is None else (told - self._wall()).total_seconds()
        return granted

    def _credentials(self, response: SipResponse, request: SipRequest) -> str:
        try:
            return credentials_for(response, request, self._login, secrets.token_hex(8))
        except FrameInvalid as error:
            raise LinkLost(error.detail, place=self._place) from error

    def _longer(self, response: SipResponse, expires_s: int) -> int:
        """Return the least time that the platform takes (RFC 3261, 10.2.8)."""
        least = parse_seconds(response.headers.get("Min-Expires"))
        if least is None or not expires_s < least <= LONGEST_S:
            raise LinkLost("the platform finds the time too short, but not what it takes", place=self._place)
        return least

    def _no(self, response: SipResponse) -> Exception:
        status = response.status
        if status in {301, 302} and (target := moved_to(response)) is not None:
            kind = next((value or "" for name, value in target.params if name.lower() == "transport"), "").lower()
            host = target.host.strip("[]")
            peer = replace(self._agent.peer, host=host, port=target.port or 5060)
            peer = replace(peer, transport="tcp" if kind == "tcp" else "udp") if kind in {"tcp", "udp"} else peer
            return Moved(peer, target.user if re.fullmatch(r"[0-9]{20}", target.user) else "")
        if status == 401:
            return DeviceRefused("the platform does not take our password", place=self._place)
        if 400 <= status < 500 and status not in _PASSING:
            return DeviceRefused(f"the platform refuses the registration: {status}", place=self._place)
        return LinkLost(f"the platform answers {status}", place=self._place)

    def _turn(self) -> Turn:
        self._cseq += 1
        return Turn(self._call_id, self._tag, self._cseq, BRANCH + secrets.token_hex(10))

    @property
    def _place(self) -> str:
        return str(self._agent.peer)


def _stale(response: SipResponse) -> bool:
    """Tell whether only the nonce was too old (RFC 7616, 3.3)."""
    try:
        found = map(parse_digest, response.headers.all("WWW-Authenticate"))
        return any(one.get("stale", "").lower() == "true" for one in found)
    except FrameInvalid:
        return False
