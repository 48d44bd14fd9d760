"""The lanes of a daemon, wired from its configuration, each with what its memo remembers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError

from drivers.cabin.layout import CabinMap
from drivers.display import ShowLines
from drivers.profile import checked_map
from edge.board import Finding
from edge.cabins.lane import CabinRunner
from edge.cabins.metrics import CabinMetrics
from edge.cabins.seal import seal_of
from edge.clearance import Judge
from edge.clock import Clock
from edge.config import EdgeConfig
from edge.devices import AnyLane
from edge.lane import LaneRunner, Observers
from edge.lane_mistakes import has_light, vehicle_settings
from edge.lanes.cabin_words import CabinMemo
from edge.lanes.channel import Channel, ChannelMemo
from edge.lanes.vehicle_words import VehicleMemo
from edge.lanes.words import Memo
from edge.ledger import Ledger
from edge.roads.lane import Machinery, VehicleLaneRunner
from edge.sections import CabinSection, PassengerSection, VehicleSection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wired:
    """What lanes need of the daemon."""

    judge: Judge
    ledger: Ledger
    clock: Clock
    offline: Callable[[], bool]
    new_id: Callable[[], str]
    observers: Observers
    command: Callable[[str, BaseModel], Awaitable[None]]
    """Commands a device, by its id."""
    memo: Callable[[str], bytes | None]
    noted: Callable[[str, str, Finding | None], None] = lambda _device, _name, _finding: None
    """Hears what is wrong with a device, by its id and a name, and that it is right again."""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    """Where lanes put instruments that only their kind has."""


def build_lanes(config: EdgeConfig, wired: Wired) -> dict[str, AnyLane]:
    """Return the lanes by their id."""
    channels = {
        one.id: Channel(one.id, one.settings, _memo(wired, f"channel/{one.id}", ChannelMemo))
        for one in config.file.channel
    }
    lanes: dict[str, AnyLane] = {}
    cabins = _cabins(config, wired) if any(isinstance(spec, CabinSection) for spec in config.file.lane) else None
    for spec in config.file.lane:
        match spec:
            case PassengerSection():
                lanes[spec.id] = _passenger(spec, wired)
            case VehicleSection():
                channel = channels[spec.channel] if spec.channel is not None else None
                lanes[spec.id] = _vehicle(spec, config, wired, channel)
            case CabinSection():
                assert cabins is not None
                lanes[spec.id] = cabins(spec)
    return lanes


def _passenger(spec: PassengerSection, wired: Wired) -> LaneRunner:
    return LaneRunner(
        spec=spec,
        memo=_memo(wired, f"lane/{spec.id}", Memo),
        judge=wired.judge,
        gate=lambda command: wired.command(spec.gate, command),
        ledger=wired.ledger,
        clock=wired.clock,
        offline=wired.offline,
        new_id=wired.new_id,
        observers=wired.observers,
    )


def _vehicle(spec: VehicleSection, config: EdgeConfig, wired: Wired, channel: Channel | None) -> VehicleLaneRunner:
    lit = spec.light or (spec.barrier if has_light(config.devices, spec.barrier) else None)
    display = spec.display
    machinery = Machinery(
        barrier=lambda command: wired.command(spec.barrier, command),
        light=(lambda command: wired.command(lit, command)) if lit is not None else None,
        display=(lambda lines: wired.command(display, ShowLines(lines=lines))) if display is not None else None,
        noted=lambda name, finding: wired.noted(spec.barrier, name, finding),
    )
    return VehicleLaneRunner(
        spec=spec,
        settings=vehicle_settings(spec, config.devices),
        memo=_memo(wired, f"lane/{spec.id}", VehicleMemo),
        judge=wired.judge,
        machinery=machinery,
        ledger=wired.ledger,
        clock=wired.clock,
        offline=wired.offline,
        new_id=wired.new_id,
        observers=wired.observers,
        channel=channel,
    )


def _cabins(config: EdgeConfig, wired: Wired) -> Callable[[CabinSection], CabinRunner]:
    """Return what builds a cabin; all of a daemon have one seal and one set of instruments."""
    metrics, seal = CabinMetrics(wired.registry), seal_of(config.file.crypto)

    def cabin(spec: CabinSection) -> CabinRunner:
        return CabinRunner(
            spec=spec,
            memo=_memo(wired, f"lane/{spec.id}", CabinMemo),
            judge=wired.judge,
            seal=seal,
            watchdog_ms=checked_map(config.devices[spec.cabin].profile, CabinMap).watchdog_ms,
            command=lambda command: wired.command(spec.cabin, command),
            ledger=wired.ledger,
            clock=wired.clock,
            offline=wired.offline,
            observers=wired.observers,
            metrics=metrics,
            noted=lambda name, finding: wired.noted(spec.cabin, name, finding),
        )

    return cabin


_Kind = TypeVar("_Kind", bound=BaseModel)


def _memo(wired: Wired, key: str, kind: type[_Kind]) -> _Kind:
    raw = wired.memo(key)
    try:
        return kind.model_validate_json(raw) if raw else kind()
    except ValidationError:
        log.warning("lane.memo_unreadable", memo=key)
        return kind()
