"""What a technician may ask a daemon through its control socket, and do with its lanes."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from core.clearance.model import Direction
from core.errors import MessageInvalid, NotFound
from core.messages.event import Event, Stream
from core.messages.events import (
    FreePassage,
    LaneMode,
    PassageAnomaly,
    PassageCleared,
    PassageDecided,
    PassageTimedOut,
)
from core.messages.vehicle_events import (
    VehicleAnomaly,
    VehicleCleared,
    VehicleDecided,
    VehiclePassedFree,
    VehicleTimedOut,
)
from drivers.facts import Fact
from edge.board import Board, DeviceRecord
from edge.buffer import Buffer
from edge.cabins.desk import CabinDesk, cabin_words
from edge.cabins.lane import CabinRunner
from edge.clock import Clock
from edge.control import Operation, Request, Streaming, text_of
from edge.device_commands import described, wanted
from edge.devices import AnyLane
from edge.execution import Execution, Who
from edge.lanes.words import AskMode, AskOpen
from edge.lists import ListKeeper
from edge.live.desk import LiveDesk
from edge.roads.lane import VehicleLaneRunner
from edge.uplink import UplinkState
from edge.upward.platforms import Platforms

_KEPT_PASSAGES: Final = 1_000
_TAIL_BACKLOG: Final = 256
_MODES: Final = {
    "lock": LaneMode.LOCKED,
    "release": LaneMode.NORMAL,
    "free": LaneMode.FREE,
    "emergency": LaneMode.EMERGENCY,
}


@dataclass(slots=True)
class Tail:
    """The last passages of a daemon, and who follows them."""

    clock: Clock
    kept: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_PASSAGES))
    followers: list[asyncio.Queue[dict[str, Any]]] = field(default_factory=list)

    def event(self, event: object) -> None:
        """Take a lane's event."""
        words = _passage_words(event)
        if words is None:
            return
        words["at"] = self.clock.wall().isoformat(timespec="milliseconds")
        self.kept.append(words)
        for queue in self.followers:
            if not queue.full():
                queue.put_nowait(words)


@dataclass(frozen=True, slots=True)
class Desk:
    """The operations of one daemon."""

    edge: str
    version: str
    started_s: float
    board: Board
    buffer: Buffer
    clock: Clock
    lists: ListKeeper
    lanes: dict[str, AnyLane]
    uplink: UplinkState
    tail: Tail
    new_id: Callable[[], str]
    execution: Execution
    platforms: Platforms = field(default_factory=Platforms)
    live: LiveDesk = field(default_factory=LiveDesk)

    def operations(self) -> dict[str, Operation]:
        """Return what answers once."""
        return {
            "status": self._status,
            "devices": self._devices,
            "device": self._device,
            "why": self._why,
            "gate": self._gate,
            "list_apply": self._list_apply,
            "commands": self._commands,
            "command": self._command,
            **CabinDesk(self.lanes).operations(),
            **self.live.operations(),
        }

    def streams(self) -> dict[str, Streaming]:
        """Return what goes on."""
        return {"watch": self._watch, "passages": self._passages}

    async def _status(self, request: Request) -> dict[str, Any]:
        del request
        buffer, uplink, quality = self.buffer, self.uplink, self.clock.quality()
        return {
            "edge": self.edge,
            "version": self.version,
            "uptime_s": round(time.monotonic() - self.started_s),
            "boot_id": self.clock.boot_id,
            "epoch": buffer.epoch,
            "uplink": {
                "state": "up" if uplink.up else "down",
                "since": uplink.since,
                "url": uplink.url,
                "last_error": uplink.last_error,
            },
            "clock": {
                "source": quality.source.value,
                "offset_ms": quality.offset_ms,
                "error_ms": quality.error_ms,
            },
            "buffer": {
                "healthy": buffer.healthy,
                "trouble": buffer.trouble,
                "quota_bytes": buffer.quota_bytes,
                "used_bytes": buffer.used_bytes,
                "streams": {stream.value: self._stream(stream) for stream in Stream},
            },
            "lanes": [self._lane(runner) for runner in self.lanes.values()],
            "devices": self.board.health_counts(),
            "platforms": self.platforms.words(),
            "lists": [
                {
                    "list_id": one.list_id,
                    "version": one.version,
                    "confirmed_at": one.confirmed_at.isoformat(),
                    "entries": self.lists.entries(one.list_id),
                }
                for one in self.lists.in_force
            ],
        }

    def _stream(self, stream: Stream) -> dict[str, Any]:
        depth = self.buffer.depth(stream)
        words = asdict(depth) | {"dropped": self.buffer.counts.dropped.get(stream, 0)}
        return words | {"oldest": depth.oldest.isoformat() if depth.oldest else None}

    def _lane(self, runner: AnyLane) -> dict[str, Any]:
        return {
            "id": runner.spec.id,
            "state": runner.lane.state.value,
            "mode": runner.lane.memo.mode.value,
            "gate": runner.spec.gate,
            "reader": runner.spec.reader,
            **({"shown": list(runner.shown)} if isinstance(runner, VehicleLaneRunner) else {}),
            **({"boarding": runner.boarding_words()} if isinstance(runner, CabinRunner) else {}),
            **asdict(runner.counters),
        }

    async def _devices(self, request: Request) -> list[dict[str, Any]]:
        del request
        return [_device_words(record) for record in self.board.devices.values()]

    async def _device(self, request: Request) -> dict[str, Any]:
        record = self.board.record(text_of(request, "id"))
        return {
            **_device_words(record),
            "vendor": record.spec.profile.vendor,
            "model": record.spec.profile.model,
            "counters": dict(record.counters),
            "facts": record.last_fact.shown() if record.last_fact else {},
            "findings": _findings(record),
        }

    async def _why(self, request: Request) -> dict[str, Any]:
        if (name := text_of(request, "id")) in self.platforms.all and name not in self.board.devices:
            return self.platforms.why(name)
        record = self.board.record(name)
        return {"id": record.spec.id, "health": record.health.value, "findings": _findings(record)}

    async def _gate(self, request: Request) -> dict[str, Any]:
        lane, action = text_of(request, "lane"), text_of(request, "action")
        reason, actor = text_of(request, "reason"), text_of(request, "actor", longest=128)
        runner = self.lanes.get(lane)
        if runner is None:
            raise NotFound(f"there is no lane {lane!r} here", cure=f"one of: {', '.join(self.lanes)}")
        wish = self._wish(runner, action, request, f"local:{actor}", reason)
        failure = await runner.ask(wish)
        result = "failed" if failure else "done"
        return {"lane": lane, "mode": runner.lane.memo.mode.value, "result": result, "detail": failure}

    def _wish(self, runner: AnyLane, action: str, request: Request, actor: str, reason: str) -> AskMode | AskOpen:
        if action == "open":
            direction = text_of(request, "direction", default=runner.spec.direction.value)
            if direction not in tuple(Direction):
                raise MessageInvalid(f"direction is in or out, not {direction!r}")
            return AskOpen(self.new_id(), Direction(direction), actor, reason)
        if action not in _MODES:
            raise MessageInvalid(f"no action {action!r}", cure=f"one of: open, {', '.join(_MODES)}")
        return AskMode(_MODES[action], actor, reason)

    async def _commands(self, request: Request) -> list[dict[str, Any]]:
        return described(self.execution.driver(text_of(request, "id")))

    async def _command(self, request: Request) -> dict[str, Any]:
        device, name = text_of(request, "id"), text_of(request, "name", longest=64)
        terminal = text_of(request, "terminal", longest=32, default="")
        who = Who(f"local:{text_of(request, 'actor', longest=121)}", text_of(request, "reason"))
        failure = await self.execution.device(device, wanted(name, terminal, request.get("arguments", {})), who)
        result = "failed" if failure else "done"
        return {"device": device, "terminal": terminal, "command": name, "result": result, "detail": failure}

    async def _list_apply(self, request: Request) -> dict[str, Any]:
        content = await self.lists.apply(text_of(request, "signed", longest=1024 * 1024))
        return {"list_id": content.head.list_id, "version": content.head.version, "entries": content.head.entries}

    async def _watch(self, request: Request) -> AsyncGenerator[dict[str, Any], None]:
        queue: asyncio.Queue[Fact] = asyncio.Queue(_TAIL_BACKLOG)
        record = self.board.record(text_of(request, "id"))
        record.watchers.append(queue)
        try:
            while True:
                fact = await queue.get()
                at = self.clock.wall().isoformat(timespec="milliseconds")
                yield {"at": at, "fact": type(fact).__name__, "values": fact.shown()}
        finally:
            record.watchers.remove(queue)

    async def _passages(self, request: Request) -> AsyncGenerator[dict[str, Any], None]:
        last = request.get("last", 20)
        if not isinstance(last, int) or not 0 <= last <= _KEPT_PASSAGES:
            raise MessageInvalid(f"last is a number from 0 to {_KEPT_PASSAGES}")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_TAIL_BACKLOG)
        shown = list(self.tail.kept)[-last:] if last else []
        self.tail.followers.append(queue)
        try:
            for words in shown:
                yield words
            while request.get("follow"):
                yield await queue.get()
        finally:
            self.tail.followers.remove(queue)


def _device_words(record: DeviceRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "id": spec.id,
        "driver": spec.driver.name,
        "profile": spec.profile.name,
        "kind": spec.driver.kind,
        "lane": spec.lane,
        "link": spec.link,
        "health": record.health.value,
        "faults": list(record.faults),
        "since": record.since.isoformat() if record.since else None,
        "last_seen": record.last_seen.isoformat() if record.last_seen else None,
    }


def _findings(record: DeviceRecord) -> list[dict[str, Any]]:
    since = record.since.isoformat() if record.since else None
    return [{"code": one.code, "args": dict(one.args), "since": since} for one in record.findings]


def _passage_words(event: object) -> dict[str, Any] | None:
    words: dict[str, Any]
    match event:
        case PassageDecided() | VehicleDecided():
            words = {"kind": "decided", "effect": event.effect.value, "direction": event.direction.value}
            words |= {"reasons": [reason.code.value for reason in event.reasons], "ms": event.latency_ms}
        case PassageCleared() | VehicleCleared():
            words = {"kind": "cleared", "direction": event.direction.value, "ms": event.opened_ms}
        case PassageTimedOut() | VehicleTimedOut():
            words = {"kind": "timed_out"}
        case PassageAnomaly():
            words = {"kind": "anomaly", "anomaly": event.kind.value, "persons": event.persons}
        case VehicleAnomaly():
            words = {"kind": "anomaly", "anomaly": event.kind.value, "persons": 1}
        case VehiclePassedFree():
            words = {"kind": "free", "direction": event.direction.value, "persons": 1}
        case FreePassage():
            words = {"kind": "free", "direction": event.direction.value, "persons": event.persons}
        case _:
            words = cabin_words(event) or {}
            if not words:
                return None
    assert isinstance(event, Event)
    return {**words, "lane": event.subject(), "attempt": getattr(event, "attempt", None)}
