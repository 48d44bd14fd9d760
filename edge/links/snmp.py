"""A device that is read by SNMP: what is due is asked, one question at a time, and told.

Its promises:
1. `run` ends by an error and retries nothing but a lost datagram: the supervisor does. Wrong credentials are
   DeviceRefused, with which of them it is as far as the device lets that be known.
2. A table is read no further than its cap, and never in a ring: OIDs that do not grow end it.
3. A port that was told to go off is told to come on, however the command ends; where that fails it is said.
4. What the words remember outlives a lost link, so that a restart in between is told.
"""

import asyncio
import random
import secrets as tokens
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Final

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, GatefleetError, LinkLost
from drivers.facts import Fact
from drivers.snmp import SnmpObserver, oids
from drivers.snmp.commands import PortSwitch, ResetPoePort
from drivers.snmp.facts import DeviceRestarted
from drivers.snmp.message import discovery, engine_of
from edge.links.datagram import asked
from edge.links.ntp import host_port
from edge.links.snmp_engine import Community, SnmpEngine, Target, User
from edge.links.snmp_walk import Reader

Deliver = Callable[[Fact], Awaitable[None]]
PORT: Final = 161
_SHORTEST_SECRET: Final = 8
"""RFC 3414, 11.2."""
_TRIES_ON: Final = 3


class SnmpDevice:
    """One device at `snmp://host[:port]`. `secrets` resolves a reference; `rejected` hears of what was no answer."""

    def __init__(
        self,
        engine: SnmpEngine,
        url: str,
        words: SnmpObserver,
        secrets: Callable[[str], str],
        *,
        rejected: Callable[[str], None] = lambda _: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.url = url
        self._engine = engine
        self._words = words
        self._secrets = secrets
        self._rejected = rejected
        self._jitter = jitter
        self._asking = asyncio.Lock()
        self._switching = asyncio.Lock()
        self._writing: Target | None = None

    async def run(self, deliver: Deliver) -> None:
        """Ask what is due until something ends it.

        Raises LinkLost, DeviceSilent, DeviceRefused, FrameInvalid or ConfigInvalid.
        """
        address = await self._resolved()
        reader, writer = await self._credentials(address)
        settings = self._words.settings
        await self._engine.turn()
        with ExitStack() as places:
            reading, self._writing = (
                places.enter_context(
                    self._engine.target(
                        address,
                        who,
                        context=settings.context,
                        timeout_s=settings.timeout_ms / 1000,
                        retries=settings.retries,
                    )
                )
                for who in (reader, writer)
            )
            try:
                await self._greet(address, reading)
                await self._poll(reading, deliver)
            finally:
                self._writing = None

    async def command(self, command: ResetPoePort) -> None:
        """Take a port's power away and give it back, verified; raise Unsupported, or as `run` does."""
        switch = self._words.switch(command)
        async with self._switching:
            if self._writing is None:
                raise LinkLost("not connected", place=self.url)
            target = self._writing
            try:
                await self._write(target, switch, switch.off)
                await asyncio.sleep(command.off_ms / 1000)
            finally:
                await self._back_on(target, switch)

    async def _poll(self, target: Target, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        reader = Reader(self._engine, target, self._asking, self._rejected)
        due = dict.fromkeys(self._words.queries, loop.time())
        fresh = set(due)
        while True:
            query = min(due, key=lambda one: due[one])
            await asyncio.sleep(due[query] - loop.time())
            answer = await reader.answer(query)
            facts = self._words.observe(query, answer, round(loop.time() * 1000))
            for fact in facts:
                await deliver(fact)
            # Devices that were all connected at once are not to be asked all at once for ever.
            share = 0.5 + self._jitter() / 2 if query in fresh else 1.0
            fresh.discard(query)
            if any(isinstance(fact, DeviceRestarted) for fact in facts):
                due = dict.fromkeys(due, loop.time())  # names first: an index may be another interface now
            due[query] = max(due[query] + query.interval_ms / 1000 * share, loop.time())

    async def _greet(self, address: tuple[str, int], target: Target) -> None:
        """Ask for the device's clock; where it is silent, find out whether it is there: raise DeviceRefused if so."""
        clock = (oids.SYS_UP_TIME,)
        try:
            await self._engine.get(target, clock)
        except DeviceSilent:
            if not await self._is_there(address):
                raise
        else:
            return
        try:
            await self._engine.get(target, clock)  # it may have come back only now
        except DeviceSilent:
            if self._words.settings.version == "3":
                cure = "check the secrets, above all that of privacy, and the user's rights"
                raise DeviceRefused("it is there, but does not answer this user", place=self.url, cure=cure) from None
            cure = "check the community and from where it may be used"
            raise DeviceRefused("it is there, but does not answer this community", place=self.url, cure=cure) from None

    async def _is_there(self, address: tuple[str, int]) -> bool:
        try:
            await self._engine_id(address)
        except GatefleetError:
            return False
        return True

    async def _engine_id(self, address: tuple[str, int]) -> bytes:
        """Return who answers there, which every agent of version 3 tells; raise LinkLost or DeviceSilent."""
        settings = self._words.settings
        number = 1 + tokens.randbelow(0x7FFFFFFE)
        return await asked(
            *address,
            discovery(number),
            lambda data: engine_of(data, number),
            timeout_s=settings.timeout_ms / 1000,
            retries=settings.retries,
            rejected=self._rejected,
        )

    async def _credentials(self, address: tuple[str, int]) -> tuple[Community | User, Community | User]:
        """Return who reads and who writes; raise ConfigInvalid, or as `_engine_id`."""
        settings = self._words.settings
        if settings.version == "2c":
            reading = Community(self._secrets(settings.community))
            writing = Community(self._secrets(settings.write_community)) if settings.write_community else reading
            return reading, writing
        auth, priv = (
            self._secrets(reference) if reference else "" for reference in (settings.auth_secret, settings.priv_secret)
        )
        for secret, reference in ((auth, settings.auth_secret), (priv, settings.priv_secret)):
            if reference and len(secret.encode()) < _SHORTEST_SECRET:
                raise ConfigInvalid(f"a secret shorter than {_SHORTEST_SECRET} bytes", place=reference)
        user = User(settings.user, await self._engine_id(address), settings.auth, auth, settings.priv, priv)
        return user, user

    async def _resolved(self) -> tuple[str, int]:
        host, port = host_port(self.url, "snmp", PORT)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise LinkLost(f"cannot be found: {error.strerror or error}", place=self.url) from error
        return str(found[0][4][0]), port

    async def _write(self, target: Target, switch: PortSwitch, value: int) -> None:
        """Write and read back; raise DeviceRefused where it did not become so."""
        async with self._asking:
            done = await self._engine.set(target, switch.oid, value)
            if done.status:
                raise DeviceRefused(f"the write was refused: {done.status_name}", place=self.url)
            found = await self._engine.get(target, (switch.oid,))
        if [value for _, value in found.rows] != [value]:
            raise DeviceRefused(f"{switch.oid} was written, but is still {found.rows[:1]}", place=self.url)

    async def _back_on(self, target: Target, switch: PortSwitch) -> None:
        for attempt in range(1, _TRIES_ON + 1):
            try:
                await self._write(target, switch, switch.on)
            except GatefleetError as error:
                if attempt == _TRIES_ON:
                    detail = f"the port may be without power: {error.detail}"
                    raise DeviceRefused(detail, place=self.url, cure="switch it on in the device") from error
            else:
                return
