"""Who may look: grants of central, and of a technician at this machine.

Promises
1. A grant is good only for this edge, the camera it names, and in its time by central's clock as this edge knows it
   (the clock's error counts against it: doubt refuses).
2. It serves once, also over a restart: that it was redeemed is on the disk, with who looks, before anything is shown.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from core.errors import GatefleetError, MessageInvalid, SignatureInvalid
from core.messages.envelope import ClockSource
from core.messages.signed import Verifier
from core.messages.view_events import ViewEnded, ViewOpened
from core.messages.view_grant import ViewGrant
from edge.clock import Clock
from edge.ledger import Ledger
from edge.live.words import Granted, ViewRefused, Why

_PREFIX: Final = "view/"
_LOCAL: Final = "local."
_LOCAL_S: Final = 60
_LOCAL_VIEW_S: Final = 600
_MAX_LOCAL: Final = 64
_REMEMBER: Final = timedelta(hours=2)
_FORGET_EVERY: Final = timedelta(minutes=1)


class Memory(Protocol):
    """The buffer's memos."""

    def memo(self, key: str, /) -> bytes | None:
        """Return one."""

    def memos(self, prefix: str, /) -> Mapping[str, bytes]:
        """Return those whose key begins so."""


class Grants:
    """The grants of one edge."""

    def __init__(self, edge: str, verifier: Verifier, clock: Clock, memory: Memory, ledger: Ledger) -> None:
        self._edge = edge
        self._verifier = verifier
        self._clock = clock
        self._memory = memory
        self._ledger = ledger
        self._local: dict[str, tuple[Granted, int]] = {}
        self._redeeming: set[str] = set()
        self._forgotten: datetime | None = None

    def make_local(self, device: str, actor: str, new_id: str) -> tuple[str, datetime]:
        """Return a grant for a technician at this machine, and until when it can be redeemed."""
        while len(self._local) >= _MAX_LOCAL:
            del self._local[next(iter(self._local))]
        wall = self._clock.wall()
        expires_at, until = wall + timedelta(seconds=_LOCAL_S), wall + timedelta(seconds=_LOCAL_VIEW_S)
        text = _LOCAL + secrets.token_urlsafe(32)
        granted = Granted(new_id, device, actor, "local", expires_at, until, _LOCAL_VIEW_S)
        self._local[text] = granted, self._clock.monotonic_ms() + _LOCAL_S * 1000
        return text, expires_at

    def read(self, text: str, device: str) -> Granted:
        """Return what a text grants, if it is good for a camera now; raise ViewRefused."""
        if not text:
            raise ViewRefused(Why.NO_GRANT, "a grant is needed", cure="ask central for one")
        granted = self._of_technician(text) if text.startswith(_LOCAL) else self._of_central(text)
        if granted.device != device:
            raise ViewRefused(Why.OTHER_CAMERA, "the grant is for another camera")
        if granted.id in self._redeeming or self._memory.memo(_PREFIX + granted.id) is not None:
            raise ViewRefused(Why.REPLAYED, "the grant was used before", cure="ask for a new one")
        return granted

    async def redeem(self, granted: Granted) -> None:
        """Use a grant up: commit that somebody looks; raise ViewRefused where that cannot be."""
        if granted.id in self._redeeming:
            raise ViewRefused(Why.REPLAYED, "the grant was used before", cure="ask for a new one")
        self._redeeming.add(granted.id)
        try:
            await self._forget()
            opened = ViewOpened(
                device=granted.device,
                view=granted.id,
                actor=granted.actor,
                granted_by=granted.granted_by,
                until=granted.until,
            )
            instead = ViewEnded(device=granted.device, view=granted.id, why=Why.UNRECORDED.value, seconds=0.0)
            memo = {_PREFIX + granted.id: granted.expires_at.isoformat().encode()}
            if not await self._ledger.commit((opened,), memo, otherwise=(instead,)):
                raise ViewRefused(Why.UNRECORDED, "the edge cannot record who looks", cure="see gatefleet status")
            self._local = {text: one for text, one in self._local.items() if one[0].id != granted.id}
        finally:
            self._redeeming.discard(granted.id)

    def _of_technician(self, text: str) -> Granted:
        granted, ends_ms = self._local.get(text, (None, 0))
        if granted is None:
            raise ViewRefused(Why.REPLAYED, "the grant was used before, or the daemon has started anew")
        if self._clock.monotonic_ms() >= ends_ms:
            del self._local[text]
            raise ViewRefused(Why.EXPIRED, "the grant's time is over", cure="ask for a new one")
        return granted

    def _of_central(self, text: str) -> Granted:
        try:
            grant = ViewGrant.read(text, self._verifier)
        except MessageInvalid as error:
            raise ViewRefused(Why.MALFORMED, error.detail) from error
        except SignatureInvalid as error:
            raise ViewRefused(Why.SIGNATURE, error.detail) from error
        except GatefleetError as error:  # a key of ours that cannot verify
            raise ViewRefused(Why.SIGNATURE, error.detail) from error
        if grant.edge != self._edge:
            raise ViewRefused(Why.OTHER_EDGE, "the grant is for another edge")
        quality, wall = self._clock.quality(), self._clock.wall()
        now = (wall, quality.offset_ms, quality.error_ms)
        if grant.expired(*now):
            unset = quality.source is ClockSource.UNSYNCED
            detail = "the edge's clock is not set" if unset else "the grant's time is over"
            raise ViewRefused(Why.CLOCK if unset else Why.EXPIRED, detail, cure="" if unset else "ask for a new one")
        return Granted(
            grant.id, grant.device, grant.actor, "central", grant.expires_at, grant.until, grant.left_s(*now)
        )

    async def _forget(self) -> None:
        """Forget grants that are long over by central's clock; a clock that is not set forgets nothing."""
        quality, wall = self._clock.quality(), self._clock.wall()
        if quality.source is ClockSource.UNSYNCED:
            return
        if self._forgotten is not None and abs(wall - self._forgotten) < _FORGET_EVERY:
            return
        self._forgotten = wall
        now = wall + timedelta(milliseconds=quality.offset_ms - quality.error_ms)
        old = [key for key, raw in self._memory.memos(_PREFIX).items() if _over(raw, now)]
        if old:
            await self._ledger.commit((), dict.fromkeys(old))


def _over(raw: bytes, now: datetime) -> bool:
    try:
        return datetime.fromisoformat(raw.decode()) + _REMEMBER < now
    except ValueError:
        return False  # not ours to judge; it stays
