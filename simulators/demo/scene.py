"""What of the reference site a demo runs, and what happens there: people, vehicles, buses, counters and cameras."""

import asyncio
import contextlib
import importlib.util
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.config import EdgeConfig
from edge.sections import PassengerSection, VehicleSection
from simulators import people, vehicles
from simulators.demo.cabins import Boarding, boardings
from simulators.hik_counting import PeopleCounter
from simulators.rtsp import RtspCamera, serve_rtsp
from simulators.site import Outcome, Site, run_site
from simulators.site_buses import Buses, driving
from simulators.site_life import count, living
from simulators.site_roads import Leg, Road, ways

_WHOLE: Final = frozenset({"gates", "road"})
"""Daemons of which every checkpoint's runs."""
_CHOSEN: Final = frozenset({"hengqin-fleet.locators", "hengqin-bridge.eyes", "hengqin-pier.eyes", "airport.cabins"})
"""Others that run: as many as two cores carry beside the people and the vehicles."""
_PEOPLE_GAP_S: Final = 6.0
"""Mean time between two arrivals at one turnstile: the peak of the reference site."""
_VEHICLE_GAP_S: Final = 8.0
"""The same at one channel."""
_CAMERAS: Final = frozenset({"plate camera", "people counter", "camera"})


def is_run(config: EdgeConfig) -> bool:
    """Tell whether a daemon is part of the demo."""
    return config.file.edge.name in _WHOLE or config.edge in _CHOSEN


def cameras(configs: Sequence[EdgeConfig]) -> int:
    """Return how many cameras there are, of whatever kind, at the checkpoints."""
    return sum(spec.driver.kind in _CAMERAS for config in configs for spec in config.devices.values())


@dataclass(slots=True)
class Scene:
    """The sites of a demo, and the truth of what happened there."""

    seed: int
    duration_s: float
    sites: list[Site]
    buses: list[Buses]
    cameras: tuple[int, int]
    """How many run, and how many there are."""
    boardings: list[Boarding]
    watched: str = ""
    """The camera whose picture is looked at, as central knows it."""
    outcomes: list[Outcome] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)

    def listed(self) -> list[str]:
        """Return the documents and plates that must stand on the refuse list."""
        documents = [one for site, plan in self._people() for one in people.listed_documents(plan)]
        documents += [one for boarding in self.boardings for one in boarding.plan.listed]
        return documents + [one for site, plan in self._vehicles() for one in vehicles.listed_plates(plan)]

    def truth(self) -> list[dict[str, Any]]:
        """Return what happened, as JSON values."""
        places = [place.as_dict() for buses in self.buses for place in buses.sent.values()]
        return [one.as_dict() for one in self.outcomes] + [one.as_dict() for one in self.legs] + places

    @property
    def with_lanes(self) -> set[str]:
        """Return the edges that have lanes."""
        return {site.config.edge for site in self.sites if site.config.file.lane}

    def devices(self) -> str:
        """Return what is served, in words."""
        kinds = Counter(spec.driver.kind for site in self.sites for spec in site.config.devices.values())
        return ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())

    async def play(self) -> None:
        """Let everybody come; return when the last is gone and the buses are parked."""
        async with asyncio.TaskGroup() as group:
            for site, travellers in self._people():
                group.create_task(site.receive(travellers, self._passed(site)), name=f"people.{site.config.edge}")
            for site, coming in self._vehicles():
                group.create_task(Road(site).receive(coming, self.legs.append), name=f"road.{site.config.edge}")
            for boarding in self.boardings:
                group.create_task(boarding.hold(), name=f"boarding.{boarding.lane}")
        for buses in self.buses:
            await buses.park()

    async def settled(self, seconds: float = 60.0) -> None:
        """Return once every counter was heard and every bus is known to its edge; raise TimeoutError."""
        counters = [counter for site in self.sites for counter in site.callers.counters.values()]
        until = asyncio.get_running_loop().time() + seconds
        while not (all(map(_is_heard, counters)) and all(one.all_online for one in self.buses)):
            if asyncio.get_running_loop().time() > until:
                quiet = sum(not _is_heard(one) for one in counters)
                online = sum(len(one.online) for one in self.buses)
                raise TimeoutError(f"{quiet} counters are not heard, {online} terminals are online")
            await asyncio.sleep(0.2)

    def _passed(self, site: Site) -> Callable[[Outcome], None]:
        """Return what hears of a traveller: the truth, and the counter that hangs over the lane."""
        name = site.config.file.edge.site
        eyes = next((one for one in self.sites if one.config.edge == f"{name}.eyes"), None)
        lanes = {lane.id: (place, lane.direction) for place, lane in enumerate(site.config.file.lane)}

        def passed(outcome: Outcome) -> None:
            self.outcomes.append(outcome)
            if eyes is not None and outcome.passed:
                place, direction = lanes[outcome.lane]
                count(eyes, direction, 1 + outcome.followed_by, near=place)

        return passed

    def _people(self) -> list[tuple[Site, list[people.Traveller]]]:
        found: list[tuple[Site, list[people.Traveller]]] = []
        for site in self.sites:
            lanes = [lane.id for lane in site.config.file.lane if isinstance(lane, PassengerSection)]
            if lanes:
                first = len(found) * 10_000_000
                found.append((site, people.plan(self.seed, lanes, self.duration_s, _PEOPLE_GAP_S, first=first)))
        return found

    def _vehicles(self) -> list[tuple[Site, list[vehicles.Vehicle]]]:
        roads = [site for site in self.sites if any(isinstance(lane, VehicleSection) for lane in site.config.file.lane)]
        return [
            (site, vehicles.plan(self.seed, ways(site.config), self.duration_s, _VEHICLE_GAP_S, number))
            for number, site in enumerate(roads)
        ]


@contextlib.asynccontextmanager
async def scene(
    configs: Sequence[EdgeConfig], seed: int, duration_s: float, socket: Callable[[str], Path]
) -> AsyncIterator[Scene]:
    """Serve the devices of the demo's sites; people and vehicles have not come yet, the rest lives.

    `socket` says where an edge is asked.
    """
    run = [config for config in configs if is_run(config)]
    async with contextlib.AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(run_site(config, seed)) for config in run]
        buses, boarded = [], []
        for site in sites:
            await stack.enter_async_context(living(site))
            if site.callers.terminals:
                buses.append(await stack.enter_async_context(driving(site)))
            boarded += boardings(site, socket(site.config.edge), seed, duration_s)
        watched = await stack.enter_async_context(streaming(sites))
        yield Scene(seed, duration_s, sites, buses, (cameras(run), cameras(configs)), boarded, watched)


@contextlib.asynccontextmanager
async def streaming(sites: Sequence[Site]) -> AsyncIterator[str]:
    """Let the first camera of a site with a live view send pictures; yield which, empty where none can."""
    with_live = (site for site in sites if site.config.file.live is not None and site.served.cameras)
    site = next(with_live, None)
    if site is None or not all(importlib.util.find_spec(name) for name in ("av", "aiortc")):
        yield ""
        return
    device, camera = next(iter(site.served.cameras.items()))
    async with serve_rtsp(RtspCamera(login=camera.login)) as stream:
        camera.stream = stream.url
        yield f"{site.config.edge}.{device}"


def _is_heard(counter: PeopleCounter) -> bool:
    answers = counter.pusher.answers
    return bool(answers) and answers[-1][0] == 200
