"""The lists at an edge: fetched, proved, kept as they were signed, and looked up by token.

Promises
1. Nothing unsigned, tampered with, older or with a gap before it ever comes into force; each refusal is an event.
2. A list stays in force until a newer one is whole on disk; after a restart the newest is there without any uplink.
3. No plain document number is held: entries are keyed tokens.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from core.clearance.lists import ListContent, apply_delta, read_snapshot
from core.clearance.model import ListInForce
from core.errors import GatefleetError, LinkLost, ListRefused, MessageInvalid
from core.messages.event import Event
from core.messages.events import ListApplied, ListRejected
from core.messages.signed import Signed, Verifier
from core.messages.wire import Announced, ListAnnouncement

_TIMEOUT_S: Final = 30
_MAX_BYTES: Final = 512 * 1024 * 1024
_DELTA_SLACK: Final = 4096
"""A delta may be a little longer than the content of a small list."""

Fetch = Callable[[str, int], Awaitable[bytes]]
"""(path at central, largest size) -> content; raises LinkLost."""


@dataclass(frozen=True, slots=True)
class _Held:
    content: ListContent
    confirmed_at: datetime


class ListKeeper:
    """The lists in force. `folder` holds `<list id>.signed`, `<list id>.v<version>.delta` and the announcement."""

    def __init__(
        self,
        *,
        edge: str,
        folder: Path,
        verifier: Verifier,
        fetch: Fetch,
        tell: Callable[[Event], Awaitable[object]],
        digest: Callable[[bytes], bytes],
    ) -> None:
        self._edge = edge
        self._folder = folder
        self._verifier = verifier
        self._fetch = fetch
        self._tell = tell
        self._digest = digest
        self._held: dict[str, _Held] = {}
        self._serial = 0
        self.in_force: tuple[ListInForce, ...] = ()

    def entries(self, list_id: str) -> int:
        """Return how many entries a list in force has."""
        return self._held[list_id].content.head.entries

    async def load(self) -> None:
        """Take what is on disk; what is damaged there is refused with an event and fetched again later."""
        self._folder.mkdir(parents=True, exist_ok=True)
        announced = self._stored_announcement()
        at = {one.list_id: announced.issued_at for one in announced.lists} if announced else {}
        self._serial = announced.serial if announced else 0
        for file in sorted(self._folder.glob("*.signed")):
            try:
                content = self._open(await asyncio.to_thread(file.read_text, "utf-8"))
            except (GatefleetError, OSError, UnicodeDecodeError) as error:
                await self._reject(file.stem, 0, _as_error(error))
                continue
            content = await self._with_deltas(content)
            confirmed = at.get(content.head.list_id) or datetime.fromtimestamp(0).astimezone()
            self._held[content.head.list_id] = _Held(content, confirmed)
        self._publish()

    async def _with_deltas(self, content: ListContent) -> ListContent:
        for file in self._deltas(content.head.list_id):
            try:
                body = Signed.read(await asyncio.to_thread(file.read_text, "utf-8"), "delta").opened(self._verifier)
                content = apply_delta(content, body)
            except (GatefleetError, OSError, UnicodeDecodeError) as error:
                await self._reject(content.head.list_id, content.head.version, _as_error(error))
                break
        return content

    async def announced(self, raw: bytes) -> None:
        """Take an announcement from the wire: fetch what is new, drop what is withdrawn, renew the age of the rest."""
        try:
            signed = Signed.read(raw, "list")
            announcement = ListAnnouncement.model_validate_json(signed.opened(self._verifier))
            if announcement.edge != self._edge:
                raise ListRefused(f"announced to {announcement.edge}")
            if announcement.serial < self._serial:
                raise ListRefused(f"announcement {announcement.serial} is older than {self._serial}")
        except (GatefleetError, ValueError) as error:
            await self._reject("announcement", 0, _as_error(error))
            return
        for one in announcement.lists:
            try:
                await self._bring(one, announcement.issued_at)
            except LinkLost:
                raise
            except GatefleetError as error:
                await self._reject(one.list_id, one.version, error)
        for gone in set(self._held) - {one.list_id for one in announcement.lists}:
            del self._held[gone]
            for file in (self._folder / f"{gone}.signed", *self._deltas(gone)):
                file.unlink(missing_ok=True)
        self._serial = announcement.serial
        self._write(self._folder / "announcement", raw.decode())
        self._publish()

    async def apply(self, text: str) -> ListContent:
        """Take a signed snapshot from a technician's stick; raise ListRefused or SignatureInvalid."""
        content = self._open(text)
        held = self._held.get(content.head.list_id)
        if held and content.head.version <= held.content.head.version:
            raise ListRefused(
                f"version {content.head.version} is not newer than {held.content.head.version}",
                place=content.head.list_id,
            )
        await self._enforce(text, content, held.confirmed_at if held else datetime.now().astimezone())
        return content

    async def _bring(self, one: Announced, issued_at: datetime) -> None:
        held = self._held.get(one.list_id)
        here = held.content.head.version if held else 0
        if held and one.version < here:
            raise ListRefused(f"announced version {one.version}, in force is {here}", place=one.list_id)
        if held and one.version == here:
            self._held[one.list_id] = replace(held, confirmed_at=issued_at)
            return
        if held and one.delta_path and one.delta_from == here and await self._follow(held, one, issued_at):
            return
        raw = await self._fetch(one.path, min(one.size, _MAX_BYTES))
        if self._digest(raw).hex() != one.digest:
            raise ListRefused("the content does not have the announced digest", place=one.list_id)
        text = raw.decode()
        content = self._open(text)
        if (content.head.list_id, content.head.version) != (one.list_id, one.version):
            raise ListRefused(f"the content is version {content.head.version}", place=one.list_id)
        await self._enforce(text, content, issued_at)

    async def _follow(self, held: _Held, one: Announced, issued_at: datetime) -> bool:
        """Take a delta; False where the whole content must be fetched instead."""
        raw = await self._fetch(one.delta_path, min(one.size + _DELTA_SLACK, _MAX_BYTES))
        try:
            content = apply_delta(held.content, Signed.read(raw, "delta").opened(self._verifier))
        except GatefleetError as error:
            await self._reject(one.list_id, one.version, error)
            return False
        if content.head.version != one.version:
            return False
        await asyncio.to_thread(self._write, self._delta_file(one.list_id, one.version), raw.decode())
        self._held[one.list_id] = _Held(content, issued_at)
        self._publish()
        await self._tell(ListApplied(list_id=one.list_id, version=one.version, entries=content.head.entries))
        return True

    def _delta_file(self, list_id: str, version: int) -> Path:
        return self._folder / f"{list_id}.v{version:012d}.delta"

    def _deltas(self, list_id: str) -> list[Path]:
        return sorted(self._folder.glob(f"{list_id}.v*.delta"))

    async def _enforce(self, text: str, content: ListContent, confirmed_at: datetime) -> None:
        head = content.head
        await asyncio.to_thread(self._write, self._folder / f"{head.list_id}.signed", text)
        for old in self._deltas(head.list_id):
            old.unlink(missing_ok=True)
        self._held[head.list_id] = _Held(content, confirmed_at)
        self._publish()
        await self._tell(ListApplied(list_id=head.list_id, version=head.version, entries=head.entries))

    def _open(self, text: str) -> ListContent:
        return read_snapshot(Signed.read(text, "snapshot").opened(self._verifier))

    def _stored_announcement(self) -> ListAnnouncement | None:
        try:
            raw = (self._folder / "announcement").read_bytes()
            return ListAnnouncement.model_validate_json(Signed.read(raw, "list").opened(self._verifier))
        except (OSError, GatefleetError, ValueError):
            return None

    def _publish(self) -> None:
        self.in_force = tuple(held.content.in_force(held.confirmed_at) for held in self._held.values())

    async def _reject(self, list_id: str, version: int, error: GatefleetError) -> None:
        await self._tell(ListRejected(list_id=list_id, version=version, code=error.code, detail=str(error)[:500]))

    def _write(self, path: Path, text: str) -> None:
        """Replace a file whole: readers see the old or the new one."""
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def _as_error(error: Exception) -> GatefleetError:
    return error if isinstance(error, GatefleetError) else MessageInvalid(str(error)[:200])


def https_fetch(central_url: str, api_key: Callable[[], str]) -> Fetch:
    """Return a fetch from central's API, in a thread, capped, with the edge's key."""

    def get(path: str, largest: int) -> bytes:
        request = urllib.request.Request(central_url.rstrip("/") + path)  # noqa: S310 the config allows http(s) only
        if key := api_key():
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 as above
                raw: bytes = answer.read(largest + 1)
        except (urllib.error.URLError, OSError) as error:
            raise LinkLost(f"cannot fetch {path}: {error}", place=central_url) from error
        if len(raw) > largest:
            raise ListRefused(f"the content is longer than the {largest} bytes announced", place=path)
        return raw

    async def fetch(path: str, largest: int) -> bytes:
        return await asyncio.to_thread(get, path, largest)

    return fetch
