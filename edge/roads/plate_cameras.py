"""What the reads of a plate camera become: a lane's business, or, where it serves none, telemetry of the road.

Plates travel as keyed tokens only, and pictures stay behind.
"""

from collections.abc import Callable
from dataclasses import replace

from core.identity.plates import parse_plate
from core.messages.envelope import Stamp, pack
from core.messages.vehicle_events import RoadPlateSeen
from drivers.facts import Fact, PlateRead
from edge.lanes.votes import tokens_of
from edge.reporting import Durable
from edge.roads.lane import VehicleLaneRunner
from edge.session import Deliver


def of_lane(lane: VehicleLaneRunner, device: str, others: Deliver) -> Deliver:
    """Return what hands reads to a lane, which has taken them when it returns; `others` gets all else."""

    async def deliver(fact: Fact) -> None:
        if isinstance(fact, PlateRead):
            await lane.plate(replace(fact, images=()), device)
        else:
            await others(fact)

    return deliver


def of_road(
    device: str, store: Durable, stamp: Callable[[], Stamp], tokenise: Callable[[str], str], others: Deliver
) -> Deliver:
    """Return what makes reads durable; it raises BufferFull or BufferUnavailable. `others` gets all else."""

    async def deliver(fact: Fact) -> None:
        if isinstance(fact, PlateRead):
            await store.append((pack(road_plate(device, fact, tokenise), stamp()),))
        else:
            await others(fact)

    return deliver


def road_plate(device: str, read: PlateRead, tokenise: Callable[[str], str]) -> RoadPlateSeen:
    """Return the event of a read."""
    plate = parse_plate(read.plate).text
    tokens = tokens_of((plate,) if plate else (), tokenise)
    return RoadPlateSeen(
        device=device,
        plate_token=tokens[0] if tokens else "",
        plate_tokens=tokens,
        confidence=read.confidence,
        direction=read.direction,
        taken_at=read.taken_at,
    )
