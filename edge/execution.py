"""Wishes done: what an order, or a technician, wants of a lane or a device.

Promises
1. A device that serves a lane is moved by its lane only; all that anybody else may do with it is ResetDevice.
2. What a driver does not know, or arguments that do not fit, is refused before anything is done, with what is wrong.
3. Who had a device do what, and why, is durable before it is begun; where it cannot be recorded, it is not done.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from pydantic import BaseModel

from core.errors import NotFound, Unsupported
from core.messages.commands import (
    CloseBoarding,
    CommandDevice,
    DeviceCommand,
    OpenBoarding,
    OpenLane,
    Order,
    ResetDevice,
    RulePassenger,
    SetLaneMode,
)
from core.messages.device_events import DeviceCommanded
from core.messages.event import Event
from drivers.base import Driver
from edge.cabins.desk import ask_cabin
from edge.device_commands import command_of, recorded
from edge.devices import AnyLane, AnySession
from edge.lanes.words import AskMode, AskOpen
from edge.terminals import Terminals

_OF_LANES_TOO: Final = frozenset({ResetDevice.__name__})
"""What may be done with a device though it serves a lane."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who wants something, and why; `order` is empty for a technician at the machine."""

    actor: str
    reason: str
    order: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """Who does what is wanted. Both maps may be filled later."""

    lanes: Mapping[str, AnyLane]
    sessions: Mapping[str, AnySession]
    new_id: Callable[[], str]
    record: Callable[[Event], Awaitable[None]]
    """Makes an event durable; raises BufferFull or BufferUnavailable."""

    async def order(self, order: Order) -> str:
        """Do an order; return "" or why it failed; raise GatefleetError."""
        match order.command:
            case ResetDevice():
                await self.command(order.target, order.command)
                return ""
            case OpenLane(direction=direction):
                return await self._lane(order).ask(AskOpen(self.new_id(), direction, order.actor, order.reason))
            case SetLaneMode(mode=mode):
                return await self._lane(order).ask(AskMode(mode, order.actor, order.reason))
            case OpenBoarding() | CloseBoarding() | RulePassenger():
                return await ask_cabin(self._lane(order), order.command, order.actor, order.reason)
            case CommandDevice():
                return await self.device(order.target, order.command, Who(order.actor, order.reason, order.id))
        raise Unsupported(f"this edge does not know {order.command.verb}")

    def turn(self, order: Order) -> str:
        """Return what an order waits for: those with the same turn are done one after the other.

        Each terminal of a port has its own; what ends another command that is under way waits for none.
        """
        wanted, session = order.command, self.sessions.get(order.target)
        if not isinstance(wanted, CommandDevice) or session is None:
            return order.target
        if wanted.name in {kind.__name__ for kind in session.spec.driver.at_once}:
            return order.id
        return f"{order.target}/{wanted.terminal}" if wanted.terminal else order.target

    async def device(self, device: str, wanted: CommandDevice, who: Who) -> str:
        """Have a device do a command by its name; return "" or why it failed; raise GatefleetError."""
        session = self._session(device)
        spec = session.spec
        if spec.lane and wanted.name not in _OF_LANES_TOO:
            raise Unsupported(f"it serves the lane {spec.lane}", place=device, cure="act on the lane")
        command = command_of(spec.driver, wanted.name, wanted.arguments)
        _check_terminal(session, wanted.terminal)
        event = DeviceCommanded(
            device=device,
            terminal=wanted.terminal,
            command=wanted.name,
            arguments=recorded(command, wanted.arguments),
            order=who.order,
            actor=who.actor,
            reason=who.reason,
        )
        await self.record(event)
        if isinstance(session, Terminals):
            return await session.command(wanted.terminal, command)
        await session.command(cast("DeviceCommand", command))
        return ""

    async def command(self, device: str, command: BaseModel) -> None:
        """Send a device a command of its own; each driver refuses what it does not know."""
        session = self._session(device)
        if isinstance(session, Terminals):
            raise Unsupported("it is many terminals: name one", place=device)
        await session.command(cast("DeviceCommand", command))

    def driver(self, device: str) -> Driver:
        """Return the driver of a device; raise NotFound."""
        return self._session(device).spec.driver

    def _session(self, device: str) -> AnySession:
        session = self.sessions.get(device)
        if session is None:
            raise NotFound(f"there is no device {device!r} here")
        return session

    def _lane(self, order: Order) -> AnyLane:
        lane = self.lanes.get(order.target)
        if lane is None:
            raise NotFound(f"there is no lane {order.target!r} here")
        return lane


def _check_terminal(session: AnySession, terminal: str) -> None:
    """Raise Unsupported where a terminal is missing or makes no sense, NotFound where it is not connected."""
    if isinstance(session, Terminals):
        if not terminal:
            raise Unsupported("it is many terminals: name one", place=session.spec.id)
        session.peer(terminal)
    elif terminal:
        raise Unsupported("it is one device: it has no terminals", place=session.spec.id)
