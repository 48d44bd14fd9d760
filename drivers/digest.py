"""HTTP and SIP Digest authentication (RFC 2617, RFC 7616; RFC 3261, 22), as devices really send it.

Unquoted `qop` and `nc`, `algorithm=md5` in lower case and a `uri` that differs from the request's occur in the field: a
response is checked over the header's own words. Pure: who makes nonces, and for how long they hold, is the caller's.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid, Unsupported

_MAX_HEADER: Final = 2048
_PARAM = re.compile(r'\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')
_HASHES: Final = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


def parse_digest(header: str) -> dict[str, str]:
    """Return the parameters of a `Digest ...` header, names in lower case; raise FrameInvalid."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "digest" or len(header) > _MAX_HEADER:
        raise FrameInvalid("not a Digest header")
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _PARAM.match(rest, at)
        if match is None or match.end() == at:
            raise FrameInvalid("a Digest header with a malformed parameter")
        name = match[1].lower()
        if name in found:
            raise FrameInvalid(f"a Digest header with {name} twice")
        found[name] = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        at = match.end()
    return found


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and its password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


def response(login: Login, method: str, params: Mapping[str, str]) -> str:
    """Return the `response` over realm, nonce, uri and, where there is a qop, nc and cnonce.

    Raises FrameInvalid for a parameter that is missing, Unsupported for another algorithm than MD5 and SHA-256.
    """
    try:
        algorithm = params.get("algorithm", "MD5")
        if algorithm.lower() not in _HASHES:
            raise Unsupported(f"Digest algorithm {algorithm[:20]!r}")
        digest = _HASHES[algorithm.lower()]

        def of(*parts: str) -> str:
            return digest(":".join(parts).encode()).hexdigest()

        first = of(login.username, params["realm"], login.password)
        second = of(method, params["uri"])
        if params.get("qop"):
            return of(first, params["nonce"], params["nc"], params["cnonce"], params["qop"], second)
        return of(first, params["nonce"], second)
    except KeyError as error:
        raise FrameInvalid(f"a Digest header without {error.args[0]}") from error


def holds(login: Login, method: str, params: Mapping[str, str]) -> bool:
    """Tell whether an Authorization header is of who knows the password; raise as `response` does."""
    right = response(login, method, params)
    named = hmac.compare_digest(params.get("username", "").encode(), login.username.encode())
    return hmac.compare_digest(params.get("response", "").lower().encode(), right.encode()) and named


def authorization(
    login: Login, method: str, uri: str, challenge: Mapping[str, str], *, cnonce: str, nc: int = 1
) -> str:
    """Return the Authorization header that answers a challenge; raise FrameInvalid or Unsupported."""
    params = {key: challenge[key] for key in ("realm", "nonce", "opaque", "algorithm") if key in challenge}
    params |= {"username": login.username, "uri": uri}
    offered = [word.strip() for word in challenge.get("qop", "").split(",") if word.strip()]
    if offered:
        if "auth" not in offered:
            raise Unsupported(f"Digest qop {challenge['qop'][:20]!r}")
        params |= {"qop": "auth", "nc": f"{nc:08x}", "cnonce": cnonce}
    params["response"] = response(login, method, params)
    plain = {"qop", "nc", "algorithm"}
    return "Digest " + ", ".join(
        f"{key}={value}" if key in plain else f'{key}="{value}"' for key, value in params.items()
    )
