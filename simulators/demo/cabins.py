"""Boardings at the cabins of a demo: an aircraft is met, passengers come, an officer rules, the counts are sealed."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.sections import CabinSection
from simulators.boarding import BoardingPlan, CabinPlace, Met, boarding_plan, meet, tally
from simulators.demo.api import ApiRefused
from simulators.demo.asking import ask
from simulators.demo.reckoning import Family, Row
from simulators.demo.tally import tally as compare
from simulators.site import Site

_OFFICER: Final = "officer-1"
_LEAST: Final = 9
"""So many passengers have one of each manner among them."""
_PASSENGER_S: Final = 4.0
_AGAIN_S: Final = 0.1
_RULED_S: Final = 30.0
_MEETING: Final = 1
"""How many cabins meet an aircraft in a demo."""


@dataclass(slots=True)
class Boarding:
    """The meeting of one aircraft at one cabin. `counts`: what it must have counted."""

    lane: str
    plan: BoardingPlan
    place: CabinPlace
    socket: Path
    truth: list[Met] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Return what the cabin must have counted."""
        return tally(self.plan, self.truth)

    async def hold(self) -> None:
        """Open, let everybody come, and close; raises ApiRefused, LinkLost or TimeoutError."""
        plan = self.plan
        told = {"boarding": plan.boarding, "flight": plan.flight, "stand": plan.stand, "documents": plan.expected}
        await self._act("boarding_open", **told)
        await meet(plan, self.place, self._rule, self.truth.append)
        await self._act("boarding_close")

    async def _rule(self, ruling: str) -> None:
        """Decide on whoever is held, as the officer who looks at the two faces."""
        await self._act("boarding_rule", attempt=await self._held(), ruling=ruling, reason="compared by eye")

    async def _held(self) -> str:
        """Return who is held, once somebody is; raise TimeoutError."""
        until = asyncio.get_running_loop().time() + _RULED_S
        while asyncio.get_running_loop().time() < until:
            (cabin,) = (await ask(self.socket, "boarding_show", lane=self.lane))["cabins"]
            if cabin["held"] is not None:
                return str(cabin["held"])
            await asyncio.sleep(_AGAIN_S)
        raise TimeoutError(f"nobody is held at {self.lane}")

    async def _act(self, op: str, **request: Any) -> None:
        told = await ask(self.socket, op, lane=self.lane, actor=_OFFICER, officer=_OFFICER, **request)
        if told["result"] != "done":
            raise ApiRefused(told["detail"], place=op)


def boardings(site: Site, socket: Path, seed: int, duration_s: float) -> list[Boarding]:
    """Return the meetings at a site's first cabins, as long as the demo about."""
    lanes = [lane for lane in site.config.file.lane if isinstance(lane, CabinSection)]
    passengers = max(_LEAST, round(duration_s / _PASSENGER_S))
    return [
        Boarding(
            lane=lane.id,
            plan=boarding_plan(seed + number, passengers),
            place=CabinPlace(site.served.cabins[lane.cabin], site.readers[lane.reader], site.callers.faces[lane.face]),
            socket=socket,
        )
        for number, lane in enumerate(lanes[:_MEETING])
    ]


def cabins(
    held: Sequence[Boarding], rows: Mapping[str, tuple[Row, Sequence[Row]]], token_of: Callable[[str], str]
) -> Family:
    """Compare; `rows` are central's boardings by the cabins' names of them, each with the visits in order."""
    truth: dict[tuple[Hashable, Hashable], int] = {}
    seen: list[tuple[Hashable, Hashable]] = []
    wrong, counts = 0, {}
    for boarding in held:
        name = boarding.plan.boarding
        came = {token_of(one.document): one for one in boarding.truth if one.outcome != "no_show"}
        truth |= {(name, token): place for place, token in enumerate(came)}
        known, visits = rows.get(name, ({}, ()))
        seen += [(name, str(row["token"])) for row in visits]
        ends = {row["token"]: (row["outcome"], row["left_at"] is not None) for row in visits}
        wrong += sum(ends.get(token) != (one.outcome, one.left) for token, one in came.items())
        wrong += (known.get("counts") != boarding.counts) + (known.get("seal") != "valid")
        counts[name] = boarding.counts | {"seal": known.get("seal")}
    return Family({"passengers": compare(truth, seen)}, wrong=wrong, told={"boardings": counts})


async def central_rows(
    get: Callable[[str], Awaitable[Any]], every: Callable[[str], Awaitable[Sequence[Row]]]
) -> dict[str, tuple[Row, Sequence[Row]]]:
    """Return what central knows of all boardings."""
    found = {}
    for line in await every("/v1/boardings"):
        path = f"/v1/boardings/{line['id']}"
        found[str(line["boarding"])] = (await get(path), await every(f"{path}/passengers"))
    return found
