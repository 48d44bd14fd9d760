"""The user-based security model of an agent (RFC 3414, RFC 3826, RFC 7860): HMAC and AES-128 only."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from drivers.snmp import ber
from drivers.snmp.message import Security, read_security, write_security

_STATS: Final = "1.3.6.1.6.3.15.1.1"
_AUTH: Final = {"md5": ("md5", 12), "sha": ("sha1", 12), "sha224": ("sha224", 16), "sha256": ("sha256", 24)}
_AUTH_BITS: Final = {"sha384": ("sha384", 32), "sha512": ("sha512", 48)}
_HASHES: Final = {**_AUTH, **_AUTH_BITS}
_WINDOW_S: Final = 150
_MEBIBYTE: Final = 1 << 20
AUTH_FLAG: Final = 1
PRIV_FLAG: Final = 2


@dataclass(frozen=True, slots=True)
class AgentUser:
    """A user; without `priv_secret` nothing is encrypted."""

    name: str
    auth_secret: str
    priv_secret: str = ""
    auth: str = "sha256"


class Report(Exception):
    """The agent answers with a counter of its own instead (RFC 3414, 3.2)."""

    def __init__(self, counter: int, security: Security | None = None) -> None:
        super().__init__(counter)
        self.oid = f"{_STATS}.{counter}.0"
        self.security = security


@cache
def localised(secret: str, engine: bytes, hash_name: str) -> bytes:
    """Return the key of a password at an engine (RFC 3414, A.2)."""
    raw = secret.encode()
    stretched = (raw * (_MEBIBYTE // len(raw) + 1))[:_MEBIBYTE]
    key = hashlib.new(hash_name, stretched).digest()
    return hashlib.new(hash_name, key + engine + key).digest()


@dataclass(slots=True)
class Usm:
    """What an agent knows of users and of its own time."""

    engine: bytes
    users: dict[str, AgentUser] = field(default_factory=dict)
    boots: int = 1

    def opened(self, data: bytes, time_s: int) -> tuple[int, int, Security, bytes]:
        """Return message id, flags, security and the scoped PDU of a request; raise Report or FrameInvalid."""
        _, content, _ = ber.read(data, ber.SEQUENCE)
        _, _, content = ber.read(content, ber.INTEGER)
        _, head, content = ber.read(content, ber.SEQUENCE)
        number, _, flags_raw, _ = (inner for _, inner in ber.elements(head))
        flags = flags_raw[0]
        _, parameters, rest = ber.read(content, ber.OCTETS)
        security = read_security(parameters)
        message_id = ber.read_integer(number)
        try:
            return (
                message_id,
                flags,
                security,
                self._checked(data, len(data) - len(rest), flags, security, time_s, rest),
            )
        except Report as report:
            report.security = security
            report.args = (message_id, flags)
            raise

    def _checked(self, data: bytes, end: int, flags: int, security: Security, time_s: int, rest: bytes) -> bytes:
        if security.engine != self.engine:
            raise Report(4)
        user = self.users.get(security.user.decode("latin-1"))
        if user is None:
            raise Report(3)
        if not flags & AUTH_FLAG or bool(flags & PRIV_FLAG) is not bool(user.priv_secret):
            raise Report(1)
        at = end - len(ber.write(ber.OCTETS, security.priv)) - len(security.auth)
        blank = data[:at] + bytes(len(security.auth)) + data[at + len(security.auth) :]
        if not hmac.compare_digest(self._mac(user, blank), security.auth):
            raise Report(5)
        if security.boots != self.boots or abs(security.time_s - time_s) > _WINDOW_S:
            raise Report(2)
        if not flags & PRIV_FLAG:
            return rest
        cipher = self._cipher(user, security.boots, security.time_s, security.priv)
        _, secret, _ = ber.read(rest, ber.OCTETS)
        plain = cipher.decryptor().update(secret)
        if not plain.startswith(bytes((ber.SEQUENCE,))):
            raise Report(6)
        return plain

    def sealed(self, message_id: int, user: AgentUser | None, time_s: int, scoped: bytes) -> bytes:
        """Return a response or, without a user, a report."""
        flags = (AUTH_FLAG if user else 0) | (PRIV_FLAG if user and user.priv_secret else 0)
        salt, body = b"", scoped
        if user and user.priv_secret:
            salt = secrets.token_bytes(8)
            body = ber.write(ber.OCTETS, self._cipher(user, self.boots, time_s, salt).encryptor().update(scoped))
        size = _HASHES[user.auth][1] if user else 0
        name = user.name.encode() if user else b""

        def message(mac: bytes) -> bytes:
            head = ber.write_integer(message_id) + ber.write_integer(ber.LONGEST)
            head += ber.write(ber.OCTETS, bytes((flags,))) + ber.write_integer(3)
            parameters = write_security(Security(self.engine, self.boots, time_s, name, mac, salt))
            content = ber.write_integer(3) + ber.write(ber.SEQUENCE, head) + ber.write(ber.OCTETS, parameters) + body
            return ber.write(ber.SEQUENCE, content)

        return message(self._mac(user, message(bytes(size)))) if user else message(b"")

    def _mac(self, user: AgentUser, data: bytes) -> bytes:
        name, size = _HASHES[user.auth]
        return hmac.new(localised(user.auth_secret, self.engine, name), data, name).digest()[:size]

    def _cipher(self, user: AgentUser, boots: int, time_s: int, salt: bytes) -> Cipher[CFB]:
        key = localised(user.priv_secret, self.engine, _HASHES[user.auth][0])[:16]
        vector = boots.to_bytes(4) + time_s.to_bytes(4) + salt
        return Cipher(algorithms.AES(key), CFB(vector.ljust(16, b"\0")))
