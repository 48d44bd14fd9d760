"""A device becomes an asset; its health follows what its edge says.

Promises:
1. A device has one asset for ever, whichever edge of its site reports it and however often.
2. An edge's word counts in the order in which it was given, also when it is projected again later; another edge's
   only if it is newer.
3. While an edge is offline its devices are `unknown`; when it is back they are what it said last.
4. Each change of health is one line of the timeline and one message, both in the transaction of the change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.columns import kept
from central.db import new_id
from central.equipment import store
from central.equipment.model import Custody, Lifecycle
from central.errors import Missing
from central.messages import AssetHealthChanged, AssetTroubleTold, CountDriftChanged, EdgePresenceChanged
from core.messages.events import DeviceHealthChanged, DeviceSeen, Health

COUNT_DRIFT: Final = "count_drift"
"""The fault class of a people counter that tells other numbers than the lanes beside it."""
_DETAIL: Final = 512
_MAX_FAULTS: Final = 64
_FACTS: Final = {"lane": 64, "kind": 64, "vendor": 128, "model": 128, "profile": 128, "driver": 64, "firmware": 128}
"""What DeviceSeen tells, and how much of it is kept: an edge must not make a row fail."""

_Asset = dict[str, Any]


class Equipment:
    """Projects devices into assets."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def register(self, bus: Bus) -> None:
        """Take the devices' events and the edges' presence from the bus."""
        bus.project((DeviceSeen, DeviceHealthChanged), self._project)
        bus.subscribe(EdgePresenceChanged, "equipment.presence", self._edge_moved)
        bus.subscribe(CountDriftChanged, "equipment.count_drift", self._count_drift)

    async def get(self, conn: AsyncConnection, tag: str) -> Row[Any]:
        """Return an asset; raise Missing."""
        row = await store.by_tag(conn, tag)
        if row is None:
            raise Missing(f"no asset {tag}")
        return row

    async def _project(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        known = await self._assets_of(conn, rows)
        moved: list[AssetHealthChanged] = []
        for row in rows:
            asset = known[_place(row)]
            if row.edge != asset["edge"] and row.occurred_at <= asset["last_seen_at"]:
                continue
            asset["edge"], asset["last_seen_at"] = row.edge, max(asset["last_seen_at"], row.occurred_at)
            match row.event:
                case DeviceSeen() if row.position > asset["facts_position"]:
                    asset.update(_facts(row.event), facts_position=row.position)
                case DeviceHealthChanged() if row.position > asset["health_position"]:
                    asset["health_position"] = row.position
                    moved += _report(asset, row.event, row.occurred_at)
        await store.save(conn, [known[place] for place in sorted(known)])
        await self._tell(conn, moved, "device")

    async def _assets_of(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> dict[store.Place, _Asset]:
        first: dict[store.Place, Recorded] = {}
        for row in rows:
            first.setdefault(_place(row), row)
        found = await store.locked(conn, first)
        missing = [place for place in sorted(first) if place not in found]
        for place in missing:
            fresh = _new(place, first[place])
            # A tag names one device in the world; where another site has it, the site's name goes before it.
            if not await store.add(conn, fresh):
                await store.add(conn, fresh | {"tag": f"{place[0]}.{place[1]}"})
        if missing:
            found = await store.locked(conn, first)
        return {place: dict(row._mapping) for place, row in found.items()}  # noqa: SLF001 (public by its documentation)

    async def _edge_moved(self, conn: AsyncConnection, message: EdgePresenceChanged) -> None:
        moved: list[AssetHealthChanged] = []
        changed: list[_Asset] = []
        for row in await store.locked_of_edge(conn, message.edge):
            asset = dict(row._mapping)  # noqa: SLF001 (public by its documentation)
            if message.online:
                health, since = Health(asset["reported_health"]), asset["reported_since"]
            else:
                health, since = Health.UNKNOWN, message.at
            if now_so := _change(asset, health, asset["faults"], since=since, at=message.at):
                moved.append(now_so)
                changed.append(asset)
        await store.save(conn, changed)
        await self._tell(conn, moved, "presence")

    async def _count_drift(self, conn: AsyncConnection, message: CountDriftChanged) -> None:
        """Say it of the counter's asset; one that was never seen has none."""
        for asset in (await store.locked(conn, [(message.site, message.device)])).values():
            told = AssetTroubleTold(
                asset=asset.tag,
                site=message.site,
                lane=asset.lane,
                trouble=COUNT_DRIFT,
                present=message.drifting,
                detail=f"counted {message.counted}, passed {message.passed}, over {message.periods} periods",
                at=message.at,
            )
            await self._bus.publish(conn, told)

    async def _tell(self, conn: AsyncConnection, moved: Sequence[AssetHealthChanged], cause: str) -> None:
        lines = [
            {
                "id": new_id(),
                "tag": one.asset,
                "at": one.at,
                "health": one.health.value,
                "was": one.was.value,
                "faults": list(one.faults),
                "detail": one.detail,
                "cause": cause,
            }
            for one in moved
        ]
        await store.log(conn, lines)
        await self._bus.publish(conn, *moved)


def _place(row: Recorded) -> store.Place:
    event = row.event
    assert isinstance(event, DeviceSeen | DeviceHealthChanged)
    return row.site, kept(event.device, 64)


def _new(place: store.Place, row: Recorded) -> _Asset:
    """Return an asset of which nothing is known but that it is there."""
    return {
        "tag": place[1],
        "site": place[0],
        "device": place[1],
        "edge": row.edge,
        "lane": None,
        **dict.fromkeys(_FACTS.keys() - {"lane"}, ""),
        "lifecycle": Lifecycle.IN_SERVICE.value,
        "custody": Custody.FIXED.value,
        "health": Health.UNKNOWN.value,
        "faults": [],
        "detail": "",
        "health_since": row.occurred_at,
        "reported_health": Health.UNKNOWN.value,
        "reported_since": row.occurred_at,
        "first_seen_at": row.occurred_at,
        "last_seen_at": row.occurred_at,
        "facts_position": 0,
        "health_position": 0,
        "version": 0,
    }


def _facts(event: DeviceSeen) -> Mapping[str, Any]:
    values = event.model_dump(include=set(_FACTS))
    return {name: value and kept(value, _FACTS[name]) for name, value in values.items()}


def _report(asset: _Asset, event: DeviceHealthChanged, at: datetime) -> list[AssetHealthChanged]:
    """Take what the edge says of a device; return the change, if it is one."""
    if asset["reported_health"] != event.health.value:
        asset["reported_health"], asset["reported_since"] = event.health.value, at
    asset["detail"] = kept(event.detail, _DETAIL)
    moved = _change(
        asset,
        event.health,
        [kept(name, 64) for name in event.faults[:_MAX_FAULTS]],
        since=asset["reported_since"],
        at=at,
    )
    return [moved] if moved else []


def _change(
    asset: _Asset, health: Health, faults: list[str], *, since: datetime, at: datetime
) -> AssetHealthChanged | None:
    was = Health(asset["health"])
    if (health, faults) == (was, asset["faults"]):
        return None
    if health is not was:
        asset["health"], asset["health_since"] = health.value, since
    asset["faults"] = faults
    return AssetHealthChanged(
        asset=asset["tag"],
        site=asset["site"],
        edge=asset["edge"],
        lane=asset["lane"],
        kind=asset["kind"],
        health=health,
        was=was,
        faults=tuple(faults),
        detail=asset["detail"],
        at=at,
        since=asset["health_since"],
    )
