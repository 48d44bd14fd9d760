"""The lists at an edge: fetched, proved, kept as they were signed, and looked up by token.

Promises
1. Nothing unsigned, tampered with, older or with a gap before it ever comes into force; each refusal is an event.
2. A list stays in force until a newer one is whole on disk; after a restart the newest is there without any uplink.
3. No plain document number is held: entries are keyed tokens.
"""

import asyncio
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from core.clearance.lists import ListContent, apply_delta, read_snapshot
from core.clearance.model import ListInForce
from core.errors import BufferUnavailable, GatefleetError, LinkLost, ListRefused, MessageInvalid
from core.messages.event import Event
from core.messages.events import ListApplied, ListRejected
from core.messages.signed import Signed, Verifier
from core.messages.wire import Announced, ListAnnouncement

_TIMEOUT_S: Final = 30
_MAX_BYTES: Final = 512 * 1024 * 1024
_DELTA_SLACK: Final = 4096
"""A delta may be a little longer than the content of a small list."""
_MAX_DELTAS: Final = 64
"""So many deltas behind a snapshot are read again at a start; then the whole content is fetched."""
_LIST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A list's id names its files."""

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
        self._turn = asyncio.Lock()
        self._latest = b""
        self._heard = asyncio.Event()
        self.in_force: tuple[ListInForce, ...] = ()

    def entries(self, list_id: str) -> int:
        """Return how many entries a list in force has."""
        return self._held[list_id].content.head.entries

    async def load(self) -> None:
        """Take what is on disk; what is damaged there is refused with an event and fetched again later."""
        self._folder.mkdir(parents=True, exist_ok=True)
        announced = await self._stored_announcement()
        at = {one.list_id: announced.issued_at for one in announced.lists} if announced else {}
        self._serial = announced.serial if announced else 0
        for file in sorted(self._folder.glob("*.signed")):
            try:
                content = await asyncio.to_thread(lambda: self._open(file.read_text("utf-8")))  # noqa: B023 run at once
                if content.head.list_id != file.stem:
                    raise ListRefused(f"the file holds {content.head.list_id}", place=file.name)
            except (GatefleetError, OSError, UnicodeDecodeError) as error:
                await self._reject(file.stem, 0, _as_error(error))
                continue
            content = await self._with_deltas(content)
            # A list from a technician's stick was never announced: its age counts from when it was written here. An
            # announcement that is there and cannot be read may have withdrawn it: then it is as old as can be.
            written_at = 0.0 if (self._folder / "announcement").exists() else file.stat().st_mtime
            confirmed = at.get(content.head.list_id) or datetime.fromtimestamp(written_at, UTC)
            self._held[content.head.list_id] = _Held(content, confirmed)
        self._publish()

    async def _with_deltas(self, content: ListContent) -> ListContent:
        for version, file in self._deltas(content.head.list_id):
            if version <= content.head.version:
                continue  # left over from before the snapshot
            try:
                content = await asyncio.to_thread(self._after, content, file.read_bytes())
            except (GatefleetError, OSError) as error:
                await self._reject(content.head.list_id, content.head.version, _as_error(error))
                break
        return content

    def heard(self, raw: bytes) -> None:
        """Take an announcement from the wire, for `run`; only the newest matters."""
        self._latest = raw
        self._heard.set()

    async def run(self) -> None:
        """Do what is announced; raise LinkLost or BufferUnavailable where it is to be tried again."""
        while True:
            await self._heard.wait()
            raw = self._latest
            await self.announced(raw)
            if raw is self._latest:
                self._heard.clear()

    async def announced(self, raw: bytes) -> None:
        """Do one announcement: fetch what is new, drop what is withdrawn, renew the age of the rest.

        What cannot be fetched or written now keeps nothing else back: LinkLost or BufferUnavailable comes at the end.
        """
        try:
            announcement = self._proved(raw)
            if announcement.serial < self._serial:
                raise ListRefused(f"announcement {announcement.serial} is older than {self._serial}")
        except GatefleetError as error:
            await self._reject("announcement", 0, error)
            return
        later: GatefleetError | None = None
        whole = True
        for one in announcement.lists:
            try:
                await self._bring(one, announcement.issued_at)
            except (LinkLost, BufferUnavailable) as error:
                later = error
            except GatefleetError as error:
                whole = False
                await self._reject(one.list_id, one.version, error)
        for gone in set(self._held) - {one.list_id for one in announcement.lists}:
            await self._withdraw(gone)
        self._serial = announcement.serial
        self._publish()
        if later is not None:
            raise later
        if whole:
            # It says at the next start how old the lists are: so only once they are the ones it names.
            await asyncio.to_thread(self._write, self._folder / "announcement", raw.decode())

    async def _withdraw(self, list_id: str) -> None:
        async with self._turn:
            del self._held[list_id]
            for file in (self._folder / f"{list_id}.signed", *(file for _, file in self._deltas(list_id))):
                file.unlink(missing_ok=True)

    async def apply(self, text: str) -> ListContent:
        """Take a signed snapshot from a technician's stick; raise ListRefused or SignatureInvalid."""
        content = await asyncio.to_thread(self._open, text)
        held = self._held.get(content.head.list_id)
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
        follows = one.delta_path and one.delta_from == here and len(self._deltas(one.list_id)) < _MAX_DELTAS
        if held and follows and await self._follow(held, one, issued_at):
            return
        raw = await self._fetch(one.path, min(one.size, _MAX_BYTES))
        if self._digest(raw).hex() != one.digest:
            raise ListRefused("the content does not have the announced digest", place=one.list_id)
        content = await asyncio.to_thread(self._open, raw)
        if (content.head.list_id, content.head.version) != (one.list_id, one.version):
            raise ListRefused(f"the content is version {content.head.version}", place=one.list_id)
        await self._enforce(raw.decode(), content, issued_at)

    async def _follow(self, held: _Held, one: Announced, issued_at: datetime) -> bool:
        """Take a delta; False where the whole content must be fetched instead."""
        try:
            raw = await self._fetch(one.delta_path, min(one.size + _DELTA_SLACK, _MAX_BYTES))
            content = await asyncio.to_thread(self._after, held.content, raw)
        except LinkLost:
            return False  # such as a delta that central keeps no longer
        except GatefleetError as error:
            await self._reject(one.list_id, one.version, error)
            return False
        async with self._turn:
            if content.head.version != one.version or self._held.get(one.list_id) is not held:
                return False
            file = self._folder / f"{one.list_id}.v{one.version:012d}.delta"
            await asyncio.to_thread(self._write, file, raw.decode())
            self._held[one.list_id] = _Held(content, issued_at)
            self._publish()
        await self._tell(ListApplied(list_id=one.list_id, version=one.version, entries=content.head.entries))
        return True

    def _deltas(self, list_id: str) -> list[tuple[int, Path]]:
        """Return the deltas that are kept, with their versions, oldest first."""
        named = re.compile(rf"{re.escape(list_id)}\.v(\d{{12}})\.delta")
        found = ((named.fullmatch(file.name), file) for file in self._folder.glob("*.delta"))
        return sorted((int(match[1]), file) for match, file in found if match)

    async def _enforce(self, text: str, content: ListContent, confirmed_at: datetime) -> None:
        """Bring a list into force; raise ListRefused where it is not newer than what is in force by now."""
        head = content.head
        async with self._turn:
            held = self._held.get(head.list_id)
            if held and head.version <= held.content.head.version:
                here = held.content.head.version
                raise ListRefused(f"version {head.version} is not newer than {here}", place=head.list_id)
            await asyncio.to_thread(self._write, self._folder / f"{head.list_id}.signed", text)
            for _, old in self._deltas(head.list_id):
                old.unlink(missing_ok=True)
            self._held[head.list_id] = _Held(content, confirmed_at)
            self._publish()
        await self._tell(ListApplied(list_id=head.list_id, version=head.version, entries=head.entries))

    def _open(self, raw: bytes | str) -> ListContent:
        content = read_snapshot(Signed.read(raw, "snapshot").opened(self._verifier))
        _check_id(content.head.list_id)
        return content

    def _after(self, content: ListContent, raw: bytes) -> ListContent:
        return apply_delta(content, Signed.read(raw, "delta").opened(self._verifier))

    def _proved(self, raw: bytes) -> ListAnnouncement:
        """Return an announcement to this edge; raise MessageInvalid, SignatureInvalid or ListRefused."""
        body = Signed.read(raw, "list").opened(self._verifier)
        try:
            announcement = ListAnnouncement.model_validate_json(body)
        except ValidationError as error:
            raise MessageInvalid(f"not an announcement: {error.error_count()} mistakes") from error
        if announcement.edge != self._edge:
            raise ListRefused(f"announced to {announcement.edge}")
        if announcement.issued_at.tzinfo is None:
            raise ListRefused("issued_at has no time zone")
        for one in announcement.lists:
            _check_id(one.list_id)
        return announcement

    async def _stored_announcement(self) -> ListAnnouncement | None:
        try:
            return self._proved((self._folder / "announcement").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, GatefleetError) as error:
            await self._reject("announcement", 0, _as_error(error))
            return None

    def _publish(self) -> None:
        self.in_force = tuple(held.content.in_force(held.confirmed_at) for held in self._held.values())

    async def _reject(self, list_id: str, version: int, error: GatefleetError) -> None:
        await self._tell(ListRejected(list_id=list_id, version=version, code=error.code, detail=str(error)[:500]))

    def _write(self, path: Path, text: str) -> None:
        """Replace a file whole, on the disk: also after a power cut it is old or new; raise BufferUnavailable."""
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise BufferUnavailable(f"cannot write: {error.strerror}", place=str(path)) from error


def _check_id(list_id: str) -> None:
    if not _LIST_ID.fullmatch(list_id):
        raise ListRefused(f"{list_id!r} cannot name a file")


def _as_error(error: Exception) -> GatefleetError:
    return error if isinstance(error, GatefleetError) else MessageInvalid(str(error)[:200])


def https_fetch(central_url: str, api_key: Callable[[], str], ca_file: Path | None = None) -> Fetch:
    """Return a fetch from central's API, in a thread, capped, with the edge's key; `ca_file` is whom to trust."""

    def get(path: str, largest: int) -> bytes:
        if not path.startswith("/"):
            raise ListRefused("not a path at central", place=path)
        request = urllib.request.Request(central_url.rstrip("/") + path)  # noqa: S310 the config allows http(s) only
        if key := api_key():
            request.add_header("Authorization", f"Bearer {key}")
        try:
            trust = ssl.create_default_context(cafile=ca_file)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=trust) as answer:  # noqa: S310 as above
                raw: bytes = answer.read(largest + 1)
        except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
            raise LinkLost(f"cannot fetch {path}: {error}", place=central_url) from error
        if len(raw) > largest:
            raise ListRefused(f"the content is longer than the {largest} bytes announced", place=path)
        return raw

    async def fetch(path: str, largest: int) -> bytes:
        return await asyncio.to_thread(get, path, largest)

    return fetch
