"""Central's REST API for the technician's tool: JSON over HTTP, problems as errors. Standard library only."""

import http.client
import json
import os
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import MessageInvalid
from edge.cli.errors import CentralUnreachable, InputInvalid, OutcomeUnknown, Told, UsageWrong
from edge.cli.language import _

TIMEOUT_S: Final = 10.0
MAX_ANSWER: Final = 8 << 20
_URL_VARIABLE: Final = "GATEFLEET_CENTRAL"
_KEY_VARIABLE: Final = "GATEFLEET_API_KEY"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of central."""

    data: Any
    etag: str


@dataclass(frozen=True, slots=True)
class Central:
    """Where central is and what key opens it."""

    url: str
    key: str

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """Read; raise Told for a problem, CentralUnreachable or MessageInvalid."""
        words = {name: value for name, value in (query or {}).items() if value}
        return self._call("GET", path + ("?" + urllib.parse.urlencode(words) if words else ""), None, {})

    def post(self, path: str, body: Mapping[str, Any], *, if_match: str = "") -> Reply:
        """Change, once; raise as get(), or OutcomeUnknown if the answer is lost on its way."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)}
        if if_match:
            headers["If-Match"] = if_match
        return self._call("POST", path, json.dumps(body, ensure_ascii=False).encode(), headers)

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        headers["Accept"] = "application/json"
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, body, headers, method=method)  # noqa: S310 (the scheme is checked)
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                return Reply(_json(_bounded(answer), self.url), answer.headers.get("ETag", ""))
        except urllib.error.HTTPError as error:
            with error:
                raise _problem(error, self.url) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            refused = isinstance(reason, ConnectionRefusedError) or isinstance(error, urllib.error.URLError)
            if method != "GET" and not refused:
                cure = _("look at the ticket before you try again")
                raise OutcomeUnknown(str(reason), place=self.url, cure=cure) from error
            cure = _("check the address and the network; the edge works on without central")
            raise CentralUnreachable(str(reason), place=self.url, cure=cure) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the key belongs to one address."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """Return no new request, so that the redirect is told as an error."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


def central(url: str | None, key_file: Path | None) -> Central:
    """Return where central is; raise UsageWrong if nothing says so, InputInvalid if the key cannot be read."""
    place = (url or os.environ.get(_URL_VARIABLE, "")).rstrip("/")
    parts = urllib.parse.urlsplit(place)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        cure = f"--central https://central.example {_('or')} {_URL_VARIABLE}"
        raise UsageWrong(_("where is central?"), place=place or "--central", cure=cure)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise UsageWrong(_("the API key would travel in the clear"), place=place, cure="https://")
    return Central(place, _key(key_file))


def _key(key_file: Path | None) -> str:
    if key_file is None:
        key = os.environ.get(_KEY_VARIABLE, "")
    else:
        try:
            key = key_file.read_text(encoding="ascii")
        except OSError as error:
            raise InputInvalid(error.strerror or str(error), place=str(key_file)) from error
        except UnicodeDecodeError as error:
            raise InputInvalid(_("not an API key"), place=str(key_file)) from error
    if not key.strip().isprintable():
        raise InputInvalid(_("not an API key"), place=str(key_file or _KEY_VARIABLE))
    return key.strip()


def _bounded(answer: Any) -> bytes:
    raw = answer.read(MAX_ANSWER + 1)
    if len(raw) > MAX_ANSWER:
        raise MessageInvalid(_("a line of more than {limit} bytes").format(limit=MAX_ANSWER))
    return bytes(raw)


def _json(raw: bytes, place: str) -> Any:
    try:
        return json.loads(raw) if raw else {}
    except (ValueError, RecursionError) as error:
        raise MessageInvalid(_("not JSON"), place=place) from error


def _problem(error: urllib.error.HTTPError, url: str) -> Told:
    """Return a problem (RFC 9457) under the last part of its type, such as `not_found`."""
    try:
        words = _json(_bounded(error), url)
    except (MessageInvalid, OSError, http.client.HTTPException):
        words = {}
    problem = words if isinstance(words, dict) else {}
    code = str(problem.get("type") or "").rpartition("/")[2] or f"http_{error.code}"
    detail = str(problem.get("detail") or problem.get("title") or error.reason)
    pointers = [one for one in problem.get("errors") or () if isinstance(one, dict)]
    lines = [f"{one.get('pointer')}: {one.get('detail')}" for one in pointers]
    return Told(code, "\n".join([detail, *lines]), place=url, cure=str(problem.get("cure") or ""))
