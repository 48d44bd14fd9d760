"""One pysnmp engine for all devices of a daemon: sockets, request ids, timeouts, and the keys of version 3.

Its promises: answers come as plain values; a refusal of ours or theirs is an error of core.errors; what a device was
given in the engine is taken back when its target is closed; questions leave at a pace, whichever devices they go to.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from pyasn1.type import univ  # type: ignore[import-untyped]  # ships no type information
from pysnmp.carrier.asyncio.dgram import udp, udp6  # type: ignore[import-untyped]  # as above
from pysnmp.entity import config  # type: ignore[import-untyped]  # as above
from pysnmp.entity.engine import SnmpEngine as PySnmpEngine  # type: ignore[import-untyped]  # as above
from pysnmp.entity.rfc3413 import cmdgen  # type: ignore[import-untyped]  # as above
from pysnmp.error import PySnmpError  # type: ignore[import-untyped]  # as above
from pysnmp.proto import errind, rfc1902  # type: ignore[import-untyped]  # as above
from pysnmp.proto.api import v2c  # type: ignore[import-untyped]  # as above
from pysnmp.proto.error import StatusInformation  # type: ignore[import-untyped]  # as above

from core.errors import DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from drivers.snmp.values import Value

Row = tuple[str, Value | None]
"""OID and value; None where the device has none there, or the MIB is at its end."""

_AUTH: Final = {
    "none": config.USM_AUTH_NONE,
    "md5": config.USM_AUTH_HMAC96_MD5,
    "sha": config.USM_AUTH_HMAC96_SHA,
    "sha224": config.USM_AUTH_HMAC128_SHA224,
    "sha256": config.USM_AUTH_HMAC192_SHA256,
    "sha384": config.USM_AUTH_HMAC256_SHA384,
    "sha512": config.USM_AUTH_HMAC384_SHA512,
}
_PRIV: Final = {
    "none": config.USM_PRIV_NONE,
    "des": config.USM_PRIV_CBC56_DES,
    "aes128": config.USM_PRIV_CFB128_AES,
    "aes192": config.USM_PRIV_CFB192_AES,
    "aes256": config.USM_PRIV_CFB256_AES,
    "aes192-blumenthal": config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "aes256-blumenthal": config.USM_PRIV_CFB256_AES_BLUMENTHAL,
}
_REFUSALS: Final = (
    errind.UnknownUserName,
    errind.UnknownSecurityName,
    errind.UnsupportedSecurityLevel,
    errind.AuthenticationError,
    errind.WrongDigest,
    errind.DecryptionError,
    errind.UnknownCommunityName,
    errind.NoSuchContext,
    errind.NoAccessEntry,
    errind.NotInView,
)
_NULL: Final = v2c.null
_IN_FLIGHT: Final = 8
"""Questions that wait for an answer at once: one value takes 0.1 ms to decode, and queued answers must not time out."""
_ASK_PACE_S: Final = 0.01
"""Between two questions, whichever devices they go to: answers that come all at once hold up every gate."""
_TICKS_A_SECOND: Final = 100
_ENTER_PACE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Community:
    """The password of version 2c; it travels in the clear."""

    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class User:
    """A user of version 3 at one engine."""

    name: str
    engine: bytes
    auth: str = "none"
    auth_secret: str = field(default="", repr=False)
    priv: str = "none"
    priv_secret: str = field(default="", repr=False)

    @property
    def level(self) -> str:
        """Return the security level in pysnmp's words."""
        if self.auth == "none":
            return "noAuthNoPriv"
        return "authNoPriv" if self.priv == "none" else "authPriv"


@dataclass(frozen=True, slots=True)
class Target:
    """A device in the engine."""

    name: str
    place: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: `status` 0, or what the device did not like (RFC 3416, 3) about the variable `index`, from 1."""

    rows: tuple[Row, ...]
    status: int = 0
    index: int = 0
    status_name: str = ""


class SnmpEngine:
    """The engine; `async with` opens its socket."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._names = itertools.count(1)
        self._communities: dict[str, str] = {}
        self._users: dict[tuple[bytes, str], tuple[User, int]] = {}
        self._domains: set[tuple[int, ...]] = set()
        self._places = asyncio.Semaphore(_IN_FLIGHT)
        self._entering = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._next_s = 0.0

    async def __aenter__(self) -> Self:
        self._engine = PySnmpEngine()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._domains:
            self._engine.close_dispatcher()
        self._engine = None
        self._communities.clear()
        self._users.clear()
        self._domains.clear()

    async def turn(self) -> None:
        """Wait for one's turn to make a target: stretching a user's passwords takes 15 ms, and others want to run."""
        async with self._entering:
            await asyncio.sleep(_ENTER_PACE_S)

    @contextmanager
    def target(
        self, address: tuple[str, int], who: Community | User, *, context: str, timeout_s: float, retries: int
    ) -> Iterator[Target]:
        """Give a device a place in the engine: `address` is numeric; raise DeviceRefused where its keys cannot be."""
        domain = self._open(address[0])
        if isinstance(who, User):
            self._meet(address, who.engine)
        place = f"{address[0]}:{address[1]}"
        name = f"t{next(self._names)}"
        security = self._security(who, place)
        model, level = (1, "noAuthNoPriv") if isinstance(who, Community) else (3, who.level)
        config.add_target_parameters(self._engine, name, security, level, model)
        config.add_target_address(
            self._engine, name, domain, address, name, timeout_s * _TICKS_A_SECOND, retries, tagList=b""
        )
        try:
            yield Target(name, place, context)
        finally:
            if self._engine is not None:
                config.delete_target_address(self._engine, name)
                config.delete_target_parameters(self._engine, name)
                self._leave(who)

    async def get(self, target: Target, oids: Sequence[str]) -> Response:
        """Read instances; raises as `_ask`."""
        binds = [(rfc1902.ObjectName(oid), _NULL) for oid in oids]
        return await self._ask(target, cmdgen.GetCommandGenerator(), binds)

    async def bulk(self, target: Target, oids: Sequence[str], rows: int) -> Response:
        """Read the `rows` instances that follow each of the OIDs; raises as `_ask`."""
        binds = [(rfc1902.ObjectName(oid), _NULL) for oid in oids]
        return await self._ask(target, cmdgen.BulkCommandGeneratorSingleRun(), binds, 0, rows)

    async def set(self, target: Target, oid: str, value: int) -> Response:
        """Write a number; raises as `_ask`."""
        binds = [(rfc1902.ObjectName(oid), rfc1902.Integer32(value))]
        return await self._ask(target, cmdgen.SetCommandGenerator(), binds)

    async def _ask(self, target: Target, generator: Any, binds: list[Any], *limits: int) -> Response:
        """Send and wait; raise DeviceSilent, DeviceRefused for wrong credentials, FrameInvalid or LinkLost."""
        async with self._places:
            await self._paced()
            return await self._asked(target, generator, binds, limits)

    async def _paced(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._sending:
            await asyncio.sleep(self._next_s - loop.time())
            self._next_s = loop.time() + _ASK_PACE_S

    async def _asked(self, target: Target, generator: Any, binds: list[Any], limits: tuple[int, ...]) -> Response:
        if self._engine is None:
            raise LinkLost("the engine is closed", place=target.place)
        heard: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def answered(_e: Any, _h: Any, indication: Any, status: Any, index: Any, found: Any, _c: Any) -> None:
            if heard.done():
                return
            if indication:
                heard.set_exception(_refusal(indication, target.place))
                return
            rows = tuple((".".join(map(str, tuple(oid))), plain(value)) for oid, value in found)
            name = status.prettyPrint() if status else ""
            heard.set_result(Response(rows, int(status), int(index), name))

        try:
            generator.send_varbinds(self._engine, target.name, None, target.context, *limits, binds, answered)
        except StatusInformation as error:
            raise _refusal(error["errorIndication"], target.place) from None
        except PySnmpError as error:
            raise LinkLost(f"cannot send: {str(error).splitlines()[-1][:120]}", place=target.place) from None
        return await heard

    def _open(self, host: str) -> Any:
        wide = ":" in host
        domain = config.SNMP_UDP6_DOMAIN if wide else config.SNMP_UDP_DOMAIN
        if domain not in self._domains:
            transport = (udp6.Udp6AsyncioTransport if wide else udp.UdpAsyncioTransport)().open_client_mode()
            config.add_transport(self._engine, domain, transport)
            self._domains.add(domain)
        return domain

    def _meet(self, address: tuple[str, int], engine: bytes) -> None:
        """Tell pysnmp who is at an address now: for 300 s it would go on asking for a device that was exchanged.

        Its memory has no public way in, and an entry that is taken out breaks its expiry: it is written over.
        """
        model = self._engine.message_processing_subsystems[3]
        known = getattr(model, "_SnmpV3MessageProcessingModel__engineIdCache", {})
        for (_, there), entry in known.items():
            if tuple(there)[:2] == address and bytes(entry["securityEngineId"]) != engine:
                entry["securityEngineId"] = entry["securityEngineId"].clone(engine)
                entry["contextEngineId"] = entry["contextEngineId"].clone(engine)

    def _security(self, who: Community | User, place: str) -> str:
        """Return the engine's own name for who asks. One community is one name, one user of one engine too."""
        if isinstance(who, Community):
            if who.name not in self._communities:
                name = self._communities[who.name] = f"c{next(self._names)}"
                config.add_v1_system(self._engine, name, who.name, securityName=name)
            return self._communities[who.name]
        key = (who.engine, who.name)
        known, uses = self._users.get(key, (who, 0))
        if known != who:
            cure = "two devices have the same engine id: give one of them its own, or both the same password"
            raise DeviceRefused("its engine id and user are another device's too", place=place, cure=cure)
        if not uses:
            config.add_v3_user(
                self._engine,
                who.name,
                _AUTH[who.auth],
                who.auth_secret or None,
                _PRIV[who.priv],
                who.priv_secret or None,
                securityEngineId=rfc1902.OctetString(who.engine),
            )
        self._users[key] = (who, uses + 1)
        return who.name

    def _leave(self, who: Community | User) -> None:
        if isinstance(who, Community):
            return
        known, uses = self._users.pop((who.engine, who.name))
        if uses > 1:
            self._users[who.engine, who.name] = (known, uses - 1)
            return
        config.delete_v3_user(self._engine, who.name, rfc1902.OctetString(who.engine))


def _refusal(indication: Any, place: str) -> GatefleetError:
    if isinstance(indication, errind.RequestTimedOut):
        return DeviceSilent("no answer", place=place)
    if isinstance(indication, _REFUSALS):
        return DeviceRefused(f"not with these credentials: {indication}", place=place, cure="check user and secrets")
    return FrameInvalid(f"not a sound answer: {indication}", place=place)


def plain(value: Any) -> Value | None:
    """Return a value of pysnmp's as a plain one; None for none."""
    match value:
        case rfc1902.IpAddress():
            return ".".join(str(byte) for byte in value.asOctets())
        case univ.Null():  # an OctetString in pyasn1's eyes, and so first; also the exceptions of RFC 3416, 3
            return None
        case univ.Integer():
            return int(value)
        case univ.OctetString():
            return bytes(value.asOctets())
        case univ.ObjectIdentifier():
            return ".".join(map(str, tuple(value)))
    return None
