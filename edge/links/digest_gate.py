"""Who may push: peers on a list, or who knows a password (RFC 7616 Digest and RFC 7617 Basic, the server's side).

Promises
1. A Digest header admits once: its nonce count is not taken again (RFC 7616, 5.12), and without a count (RFC 2069) its
   nonce serves once. Who was right but late or again gets a new nonce (`stale=true`) and no penalty.
2. A nonce is ours (HMAC over time and serial under a random key) and holds five minutes.
3. Who fails again and again waits, longer each time; meanwhile not even a right password is looked at.
4. Whatever peers send, at most 4096 nonces and 4096 peers are remembered; what was forgotten does not admit again.

The `uri` of a header is not held against the request's path: devices in the field send others, see `drivers.digest`.
Pure: time is an argument, in milliseconds of a clock that only goes forward.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal

from core.errors import FrameInvalid, Unsupported
from drivers.digest import Login, holds, parse_digest

Scheme = Literal["none", "basic", "digest"]
Algorithm = Literal["SHA-256", "MD5"]

REALM: Final = "gatefleet"
NONCE_MS: Final = 300_000
MAX_NONCES: Final = 4096
MAX_PEERS: Final = 4096
_WINDOW: Final = 64
"""So far behind the highest nonce count may one come late: a device may use several connections."""
_FREE_FAILURES: Final = 5
_LONGEST_MS: Final = 60_000
_FORGOTTEN_MS: Final = 600_000
_MAX_HEADER: Final = 2048
_MAC_BYTES: Final = 16
_NONCE = re.compile(r"[0-9a-f]{64}")
_COUNT = re.compile(r"[0-9a-fA-F]{1,8}")
_SPENT: Final = 1 << 32
"""Above any nonce count: nothing is in the window any more."""


@dataclass(frozen=True, slots=True)
class Door:
    """Who may enter, and how that is shown. `users` maps names to passwords."""

    scheme: Scheme
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    algorithms: tuple[Algorithm, ...] = ("SHA-256", "MD5")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request may go on; `user` is empty where no login is asked for."""

    user: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """401 with these `WWW-Authenticate` headers. `failed`: a login was tried, and wrong."""

    headers: tuple[str, ...]
    why: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Barred:
    """429: too many failures of this peer."""

    retry_after_s: int


Verdict = Admitted | Challenged | Barred


def peer_key(address: str) -> str:
    """Return what a peer is known by: its IPv4 address, or the /64 that its IPv6 address is chosen from."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))


@dataclass(slots=True)
class _Window:
    """The highest nonce count that was taken, and which of those below it were."""

    top: int = 0
    taken: int = 0

    def take(self, count: int) -> bool:
        """Take a count; False where it was taken before, or is too far behind."""
        if count > self.top:
            ahead = count - self.top
            self.taken = ((self.taken << ahead) | 1) & ((1 << _WINDOW) - 1) if ahead < _WINDOW else 1
            self.top = count
            return True
        behind = self.top - count
        if count < 1 or behind >= _WINDOW or self.taken >> behind & 1:
            return False
        self.taken |= 1 << behind
        return True


class Nonces:
    """Nonces that need no memory until they are used: `time 8 bytes | serial 8 bytes | HMAC 16 bytes`, in hex."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._serial = 0
        self._forgotten = 0
        """The highest serial whose window was let go of: none up to it is used for the first time."""
        self._used: OrderedDict[int, _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def issue(self, now_ms: int) -> str:
        """Return a new nonce."""
        self._serial += 1
        head = now_ms.to_bytes(8, "big") + self._serial.to_bytes(8, "big")
        return (head + self._mac(head)).hex()

    def take(self, nonce: str, count: str | None, now_ms: int) -> bool:
        """Use a nonce with its count, None where the client has no qop; False where it does not hold (any more)."""
        serial = self._serial_of(nonce, now_ms)
        if serial is None:
            return False
        window = self._used.get(serial)
        if window is None:
            if serial <= self._forgotten:
                return False
            window = self._remember(serial)
        if count is None:
            fresh = window.top == 0
            window.top = _SPENT + _WINDOW
            return fresh
        return _COUNT.fullmatch(count) is not None and window.take(int(count, 16))

    def _serial_of(self, nonce: str, now_ms: int) -> int | None:
        if _NONCE.fullmatch(nonce) is None:
            return None
        raw = bytes.fromhex(nonce)
        if not hmac.compare_digest(raw[16:], self._mac(raw[:16])):
            return None
        age_ms = now_ms - int.from_bytes(raw[:8], "big")
        return int.from_bytes(raw[8:16], "big") if 0 <= age_ms <= NONCE_MS else None

    def _remember(self, serial: int) -> _Window:
        if len(self._used) >= MAX_NONCES:
            oldest, _ = self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest)
        return self._used.setdefault(serial, _Window())

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:_MAC_BYTES]


class Penalties:
    """How long each peer has to wait: five failures are free, then 1 s, doubling to 60 s; forgotten in ten minutes."""

    def __init__(self) -> None:
        self._peers: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._peers)

    def left_ms(self, peer: str, now_ms: int) -> int:
        """Return how long a peer still has to wait."""
        failures, last_ms = self._peers.get(peer, (0, 0))
        if failures < _FREE_FAILURES:
            return 0
        penalty = min(_LONGEST_MS, 1000 << min(failures - _FREE_FAILURES, 16))
        return max(0, last_ms + penalty - now_ms)

    def failed(self, peer: str, now_ms: int) -> None:
        """Note a failure."""
        failures, last_ms = self._peers.pop(peer, (0, now_ms))
        self._peers[peer] = (1 if now_ms - last_ms > _FORGOTTEN_MS else failures + 1, now_ms)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)

    def forgive(self, peer: str) -> None:
        """Forget a peer's failures: it knows the password."""
        self._peers.pop(peer, None)


class Gate:
    """Judges the requests of one server. `key` is random, of this run alone."""

    def __init__(self, key: bytes) -> None:
        self.nonces = Nonces(key)
        self.penalties = Penalties()
        self._decoy = hmac.digest(key, b"decoy", "sha256").hex()

    def judge(self, door: Door, method: str, authorization: str, peer: str, now_ms: int) -> Verdict:
        """Say whether a request may go on; `authorization` is its header, empty where it has none."""
        if door.scheme == "none":
            return Admitted("")
        wait_ms = self.penalties.left_ms(peer, now_ms)
        if wait_ms:
            return Barred(-(-wait_ms // 1000))
        if not authorization:
            return self._challenge(door, now_ms, "no login")
        if len(authorization) > _MAX_HEADER or not authorization.isprintable():
            verdict: Verdict = self._challenge(door, now_ms, "a login that is no text", failed=True)
        elif door.scheme == "basic":
            verdict = self._basic(door, authorization, now_ms)
        else:
            verdict = self._digest(door, method, authorization, now_ms)
        if isinstance(verdict, Admitted):
            self.penalties.forgive(peer)
        elif isinstance(verdict, Challenged) and verdict.failed:
            self.penalties.failed(peer, now_ms)
        return verdict

    def _basic(self, door: Door, authorization: str, now_ms: int) -> Verdict:
        scheme, _, rest = authorization.partition(" ")
        try:
            told = base64.b64decode(rest.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
        except ValueError:
            told = ""
        user, colon, password = told.partition(":")
        if colon and self._is_password(door, user, password):
            return Admitted(user)
        return self._challenge(door, now_ms, "wrong user name or password", failed=True)

    def _is_password(self, door: Door, user: str, password: str) -> bool:
        right = hashlib.sha256(door.users.get(user, self._decoy).encode()).digest()
        told = hashlib.sha256(password.encode()).digest()
        return hmac.compare_digest(right, told) and user in door.users

    def _digest(self, door: Door, method: str, authorization: str, now_ms: int) -> Verdict:
        try:
            params = parse_digest(authorization)
            user = params.get("username", "")
            right = holds(Login(user, door.users.get(user, self._decoy)), method, params) and user in door.users
        except (FrameInvalid, Unsupported) as error:
            return self._challenge(door, now_ms, error.detail, failed=True)
        if not right:
            return self._challenge(door, now_ms, "wrong user name or password", failed=True)
        if params.get("algorithm", "MD5").upper() not in door.algorithms or params["realm"] != REALM:
            return self._challenge(door, now_ms, "another algorithm or realm than was asked for", failed=True)
        qop = params.get("qop", "")
        if qop not in {"", "auth"}:
            return self._challenge(door, now_ms, f"qop {qop[:20]!r}", failed=True)
        if not self.nonces.take(params["nonce"], params["nc"] if qop else None, now_ms):
            return self._challenge(door, now_ms, "a login that was used before, or is too old", stale=True)
        return Admitted(user)

    def _challenge(self, door: Door, now_ms: int, why: str, *, failed: bool = False, stale: bool = False) -> Challenged:
        if door.scheme == "basic":
            return Challenged((f'Basic realm="{REALM}", charset="UTF-8"',), why, failed)
        nonce = self.nonces.issue(now_ms)
        tail = ", stale=true" if stale else ""
        return Challenged(
            tuple(
                f'Digest realm="{REALM}", qop="auth", algorithm={algorithm}, nonce="{nonce}"{tail}'
                for algorithm in door.algorithms
            ),
            why,
            failed,
        )
