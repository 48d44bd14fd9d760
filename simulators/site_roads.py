"""Vehicles at the barriers of a site: each goes through its channel barrier by barrier; what happened is the truth."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from edge.config import EdgeConfig
from edge.sections import VehicleSection
from simulators.barrier import Barrier
from simulators.site import Site
from simulators.site_callers import PlateSource, told
from simulators.vehicles import BLOCKED, Manner, Vehicle, Way

_REFUSED_S: Final = 4.0
"""So long somebody waits who is not let through: what is decided is decided by then."""
_GIVE_UP_S: Final = 120.0
_FOLLOWED_S: Final = 0.2
"""For so long the line is free between one and who follows bumper to bumper: less than a lane waits to close."""
_DOWN_S: Final = 30.0
_TRAVEL_S: Final = 1.5
"""From one barrier to the next; no less than a channel's least travel time."""
_AFTER_S: Final = 0.6
"""Between a vehicle that was wrong here and the next."""
_UNSURE: Final = 0.5
_STEP_S: Final = 0.4
"""From one input to the next: as slowly as vehicles go through a barrier, and some looks also on a busy machine."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What really happened with one vehicle at one barrier."""

    lane: str
    channel: str
    number: int
    plate: str
    """Under which it is decided about; empty where none was read."""
    manner: str
    passed: bool
    last: bool
    """It has left the channel through its last barrier."""
    followed_by: int = 0
    wrong_way: int = 0
    mismatched: bool = False
    wrongly_released: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spot:
    """One barrier of a way: its lane, what stands there, and which place it has."""

    lane: str
    barrier: Barrier
    front: PlateSource
    rear: PlateSource | None
    first: bool
    last: bool


@dataclass(slots=True)
class Road:
    """The traffic of one site's channels."""

    site: Site
    truth: list[Leg] = field(default_factory=list)

    async def receive(self, vehicles: Sequence[Vehicle], heard: Callable[[Leg], None] | None = None) -> None:
        """Let the vehicles come, each channel in its order; return when the last is gone."""
        by_channel: dict[str, list[Vehicle]] = defaultdict(list)
        for one in vehicles:
            by_channel[one.channel].append(one)
        async with asyncio.TaskGroup() as group:
            for way in ways(self.site.config):
                if way.channel in by_channel:
                    work = self._channel(self._spots(way), by_channel[way.channel], heard)
                    group.create_task(work, name=f"vehicles.{way.channel}")

    @property
    def over_the_road(self) -> list[PlateSource]:
        """Return the cameras that serve no lane."""
        lanes = (lane for lane in self.site.config.file.lane if isinstance(lane, VehicleSection))
        serving = {camera for lane in lanes for camera in (lane.cameras.front, lane.cameras.rear)}
        return [source for device, source in self.site.callers.plates.items() if device not in serving]

    def _spots(self, way: Way) -> list[Spot]:
        lanes = {lane.id: lane for lane in self.site.config.file.lane if isinstance(lane, VehicleSection)}
        plates = self.site.callers.plates
        return [
            Spot(
                lane=name,
                barrier=self.site.barriers[lanes[name].barrier],
                front=plates[lanes[name].cameras.front],
                rear=plates[rear] if (rear := lanes[name].cameras.rear) else None,
                first=name == way.lanes[0],
                last=name == way.lanes[-1],
            )
            for name in way.lanes
        ]

    async def _channel(
        self, spots: Sequence[Spot], vehicles: Sequence[Vehicle], heard: Callable[[Leg], None] | None
    ) -> None:
        """Queue the vehicles at each barrier; who is through drives on to the next."""
        queues: list[asyncio.Queue[tuple[Vehicle, float] | None]] = [asyncio.Queue() for _ in range(len(spots) + 1)]
        began = asyncio.get_running_loop().time()
        for one in vehicles:
            queues[0].put_nowait((one, began + one.at_s))
        queues[0].put_nowait(None)
        async with asyncio.TaskGroup() as group:
            for spot, here, there in zip(spots, queues, queues[1:], strict=False):
                group.create_task(self._barrier(spot, here, there, heard), name=f"vehicles.{spot.lane}")
            group.create_task(self._away(queues[-1]), name=f"vehicles.{spots[-1].lane}.away")

    async def _barrier(
        self,
        spot: Spot,
        here: asyncio.Queue[tuple[Vehicle, float] | None],
        there: asyncio.Queue[tuple[Vehicle, float] | None],
        heard: Callable[[Leg], None] | None,
    ) -> None:
        clock = asyncio.get_running_loop().time
        while (coming := await here.get()) is not None:
            vehicle, at = coming
            await asyncio.sleep(at - clock())
            leg = await visit(vehicle, spot)
            self.truth.append(leg)
            if heard is not None:
                heard(leg)
            if leg.passed:
                there.put_nowait((vehicle, clock() + _TRAVEL_S))
        there.put_nowait(None)

    async def _away(self, leaving: asyncio.Queue[tuple[Vehicle, float] | None]) -> None:
        """Drive off under one of the cameras over the road."""
        cameras = self.over_the_road
        while (gone := await leaving.get()) is not None:
            if cameras:
                await told(cameras[gone[0].number % len(cameras)], gone[0].known_by)


def ways(config: EdgeConfig) -> list[Way]:
    """Return the channels of a site, each with its lanes in the order of travel; a lane without one is a way alone."""
    lanes: dict[str, list[VehicleSection]] = defaultdict(list)
    for lane in config.file.lane:
        if isinstance(lane, VehicleSection):
            lanes[lane.channel or lane.id].append(lane)
    orders = {channel.id: channel.settings.barriers for channel in config.file.channel}
    found = []
    for channel, some in lanes.items():
        order = orders.get(channel, (some[0].position,))
        some.sort(key=lambda lane: order.index(lane.position))
        found.append(Way(channel, tuple(lane.id for lane in some), rear=some[-1].cameras.rear is not None))
    return found


async def visit(one: Vehicle, spot: Spot) -> Leg:
    """Do what this vehicle does at one barrier; return what came of it."""
    barrier = spot.barrier
    wrong_way = spot.first and one.manner is Manner.WRONG_WAY
    if wrong_way:
        await barrier.come_backwards(_STEP_S)
        await asyncio.sleep(_AFTER_S)
    reads = one.reads if spot.first else (one.known_by,)
    await asyncio.gather(barrier.arrive(_STEP_S), _tell(spot.front, reads))
    opened = await barrier.wait_arm("open", _REFUSED_S if one.manner in BLOCKED else _GIVE_UP_S)
    followed_by = 1 if opened and spot.last and one.manner is Manner.TAILGATED else 0
    if opened:
        await _drive(one, spot, 1 + followed_by)
    else:
        await barrier.back_out(_STEP_S)
        await asyncio.sleep(_AFTER_S)
    return Leg(
        lane=spot.lane,
        channel=one.channel,
        number=one.number,
        plate=one.known_by,
        manner=one.manner.value,
        passed=opened,
        last=opened and spot.last,
        followed_by=followed_by,
        wrong_way=int(wrong_way),
        mismatched=opened and spot.rear is not None and bool(one.behind),
        wrongly_released=opened and one.manner in BLOCKED,
    )


async def _tell(source: PlateSource, reads: Sequence[str]) -> None:
    for number, read in enumerate(reads):
        unsure = len(reads) > 1 and number == 0
        await told(source, read, _UNSURE if unsure else 0.97)


async def _drive(one: Vehicle, spot: Spot, vehicles: int) -> None:
    """Go through; the camera behind sees who has just gone in."""
    driving = asyncio.create_task(_through(spot.barrier, vehicles), name=f"drive.{spot.lane}")
    if spot.rear is not None:
        await told(spot.rear, one.behind or one.known_by)
    await driving
    await spot.barrier.wait_arm("closed", _DOWN_S)


async def _through(barrier: Barrier, vehicles: int) -> None:
    """Drive through; who follows is in the line before the arm can come down."""
    for _ in range(vehicles - 1):
        await barrier.enter(_STEP_S)
        await barrier.leave(_FOLLOWED_S)
    await barrier.drive(_STEP_S)
