"""A time server: asked again and again how far the edge's clock is from it.

Its promises: `run` ends by an error and retries nothing; a server that says RATE is asked half as often from then on,
one that says DENY or RSTR not at all until the supervisor tries again.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from core.errors import ConfigInvalid, DeviceRefused
from drivers.facts import Fact
from drivers.ntp import NtpWords, Verdict
from drivers.ntp.packet import NONCE_BYTES, Exchange, read_answer, request
from edge.links.datagram import asked

Deliver = Callable[[Fact], Awaitable[None]]
PORT: Final = 123
_LONGEST_S: Final = 1024.0
_AWAY: Final = frozenset({"kiss:DENY", "kiss:RSTR"})
_SLOWER: Final = "kiss:RATE"


class NtpServer:
    """One server at `ntp://host[:port]`; `wall` is the clock that is judged, in Unix seconds."""

    def __init__(
        self,
        url: str,
        words: NtpWords,
        *,
        rejected: Callable[[str], None] = lambda _: None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.interval_s = words.settings.interval_s
        """How often it is asked; it may grow on the server's wish."""
        self._words = words
        self._rejected = rejected
        self._wall = wall
        self._monotonic = monotonic

    async def run(self, deliver: Deliver) -> None:
        """Ask until something ends it: raises LinkLost, DeviceSilent, DeviceRefused or ConfigInvalid."""
        verdict = Verdict()
        while True:
            exchange = await self.ask()
            if exchange.problem in _AWAY:
                raise DeviceRefused(f"the server says {exchange.packet.kiss}", place=self.url)
            if exchange.problem == _SLOWER:
                self.interval_s = min(2 * self.interval_s, max(_LONGEST_S, self.interval_s))
            else:
                verdict, facts = self._words.judged(verdict, exchange)
                for fact in facts:
                    await deliver(fact)
            await asyncio.sleep(self.interval_s)

    async def ask(self) -> Exchange:
        """Ask once; raise LinkLost, DeviceSilent or ConfigInvalid."""
        host, port = host_port(self.url, "ntp", PORT)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sent_s, began = self._wall(), self._monotonic()

        def accept(data: bytes) -> Exchange:
            return read_answer(data, nonce, sent_s, sent_s + self._monotonic() - began)

        return await asked(
            host,
            port,
            request(nonce),
            accept,
            timeout_s=self._words.settings.timeout_ms / 1000,
            rejected=self._rejected,
        )


def host_port(url: str, scheme: str, default: int) -> tuple[str, int]:
    """Return host and port of `scheme://host[:port]`; raise ConfigInvalid."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    extra = bool(host) and (parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment)
    if not host or parts.scheme != scheme or extra or port == 0:
        raise ConfigInvalid(f"{url!r} is no address such as {scheme}://192.0.2.7:{default}")
    return host, default if port is None else port
