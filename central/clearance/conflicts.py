"""Releases against refuse entries that the edge did not know of yet.

Promise: a release against a refuse entry that was in force by then, by an edge that had an older list, gives exactly
one review item and one message. It edits nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import store
from central.clearance.list_model import ANY_SITE
from central.columns import kept
from central.db import new_id, now
from central.messages import LateConflictFound

LATE_CONFLICT: Final = "late_conflict"


@dataclass(frozen=True, slots=True)
class Release:
    """Somebody or something that an edge let through, with all its tokens."""

    row: Recorded
    lane: str
    attempt: str
    tokens: Sequence[str]
    list_versions: Mapping[str, int]

    @property
    def known_by(self) -> tuple[str, ...]:
        """Return the tokens that a list can hold."""
        return tuple(token for token in self.tokens if token and "\0" not in token)


class Conflicts:
    """Compares releases with the lists as they were."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def find(self, conn: AsyncConnection, releases: Sequence[Release]) -> None:
        """Put each release that was late before a person."""
        tokens = {token for release in releases for token in release.known_by}
        if not tokens:
            return
        against: dict[str, list[Row[Any]]] = {}
        for entry in await store.refuse_entries(conn, tokens):
            against.setdefault(entry.token, []).append(entry)
        for release in releases:
            entries = [entry for token in release.known_by for entry in against.get(token, ())]
            late = [entry for entry in entries if _was_late(release, entry)]
            if late:
                await self._review(conn, release, late[0])

    async def _review(self, conn: AsyncConnection, release: Release, entry: Row[Any]) -> None:
        row = release.row
        item = {
            "id": new_id(),
            "decision": row.position,
            "kind": LATE_CONFLICT,
            "site": row.site,
            "edge": row.edge,
            "lane": kept(release.lane, 64),
            "attempt": kept(release.attempt, 64),
            "list_id": entry.list_id,
            "entry": entry.id,
            "at": row.occurred_at,
            "found_at": now(),
        }
        if await store.add_review(conn, item):
            names = LateConflictFound.model_fields.keys() - {"review"}
            found = LateConflictFound(review=item["id"], **{name: item[name] for name in names})
            await self._bus.publish(conn, found)


def _was_late(release: Release, entry: Row[Any]) -> bool:
    """Tell whether the entry was in force when the edge released, and missing from the list that the edge had."""
    at, site = release.row.occurred_at, release.row.site
    in_force = entry.approved_at <= at and (entry.ended_at is None or entry.ended_at > at)
    valid = (entry.valid_from is None or entry.valid_from <= at) and (entry.valid_to is None or entry.valid_to > at)
    here = ANY_SITE in entry.sites or site in entry.sites
    had = release.list_versions.get(entry.list_id, 0)
    return in_force and valid and here and (entry.first_version is None or had < entry.first_version)
