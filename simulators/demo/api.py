"""Central's API as the demo uses it: the same calls that any business system makes."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from core.errors import GatefleetError


class ApiRefused(GatefleetError):
    """Central answered no."""

    code = "api_refused"


@dataclass(frozen=True, slots=True)
class Api:
    """A base URL and a key."""

    base: str
    key: str

    async def call(self, method: str, path: str, body: Any = None, *, etag: str = "") -> Any:
        """Make one call; return the JSON; raise ApiRefused with the problem's text."""
        return await asyncio.to_thread(self._call, method, path, body, etag)

    async def every(self, path: str, **filters: str) -> AsyncIterator[dict[str, Any]]:
        """Yield all items of a list, page by page."""
        cursor = ""
        while True:
            query = urllib.parse.urlencode({"limit": "500", **filters, **({"cursor": cursor} if cursor else {})})
            page = await self.call("GET", f"{path}?{query}")
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return

    def _call(self, method: str, path: str, body: Any, etag: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)  # noqa: S310 loopback, built here
        request.add_header("Content-Type", "application/json")
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        if etag:
            request.add_header("If-Match", etag)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 as above
                raw = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:600]
            raise ApiRefused(f"{error.code}: {text}", place=f"{method} {path}") from error
        except OSError as error:
            raise ApiRefused(str(error), place=f"{method} {path}") from error
        return json.loads(raw) if raw else None
