"""A boarding-verification cabin as a piece of machinery, behind the registers of its profile.

Two doors with bolts that need power, a sensor that counts persons, buttons, a screen, and a controller with a watchdog:
when nobody asks it anything for a while it drops both bolts. `flaws` make it misbehave on purpose.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from drivers.cabin.commands import Screen
from drivers.cabin.layout import CabinMap
from simulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Bank

_COIL_ON: Final = 0xFF00


class Side(StrEnum):
    """The two doors."""

    ENTRANCE = "entrance"
    EXIT = "exit"


class Flaw(StrEnum):
    """What a cabin may do wrong."""

    BOLT_STUCK = "bolt_stuck"
    """The exit's bolt does not shoot."""
    COUNTS_ONE_MORE = "counts_one_more"
    """The sensor sees a suitcase as a person."""
    COUNTS_NONSENSE = "counts_nonsense"
    SLEEPY_WATCHDOG = "sleepy_watchdog"
    """The doors stay locked when the edge is gone."""


@dataclass(slots=True)
class Cabin:
    """The mechanics of one cabin. What physically happened is in `trail`."""

    flaws: set[Flaw] = field(default_factory=set)
    powered: dict[Side, bool] = field(default_factory=lambda: dict.fromkeys(Side, False))
    """Which bolts have power."""
    opened: set[Side] = field(default_factory=set)
    persons: int = 0
    pressed: set[str] = field(default_factory=set)
    """call, egress, emergency."""
    mains: bool = True
    screen: Screen | None = None
    trips: int = 0
    """How often the watchdog dropped the bolts."""
    trail: list[str] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def bolted(self, side: Side) -> bool:
        """Tell what the bolt's own contact shows."""
        stuck = side is Side.EXIT and Flaw.BOLT_STUCK in self.flaws
        return self.powered[side] and side not in self.opened and "emergency" not in self.pressed and not stuck

    def push(self, side: Side) -> bool:
        """Push a door; tell whether it opened."""
        if self.bolted(side):
            return False
        self.opened.add(side)
        self._note(f"{side} opens")
        return True

    def shut(self, side: Side) -> None:
        """Let a door fall shut."""
        self.opened.discard(side)
        self._note(f"{side} shuts")

    def step(self, persons: int) -> None:
        """Let persons in (or out, below zero) through a door that is open."""
        assert self.opened, "nobody walks through a closed door"
        self.persons += persons
        self._note(f"{self.persons} inside")

    def press(self, button: str, *, on: bool = True) -> None:
        """Press a button, or let it go."""
        (self.pressed.add if on else self.pressed.discard)(button)
        self._note(f"{button} {'pressed' if on else 'let go'}")

    def power(self, side: Side, *, on: bool) -> None:
        """Give a bolt power, or take it."""
        if self.powered[side] is not on:
            self.powered[side] = on
            self._note(f"{side} {'locked' if on else 'free'}")

    def show(self, screen: Screen) -> None:
        """Change the screen."""
        self.screen = screen
        self._note(f"[{screen}]")

    def trip(self) -> None:
        """Do what the watchdog does."""
        if any(self.powered.values()) and Flaw.SLEEPY_WATCHDOG not in self.flaws:
            self.trips += 1
            self.powered = dict.fromkeys(Side, False)
            self._note("watchdog frees both")

    async def until(self, true: Callable[["Cabin"], bool], patience_s: float = 10.0) -> None:
        """Wait for something that can be seen; raise TimeoutError."""
        async with asyncio.timeout(patience_s):
            while not true(self):
                self._moved.clear()
                await self._moved.wait()

    def _note(self, what: str) -> None:
        self.trail.append(what)
        self._moved.set()


class Controller:
    """The controller of a cabin: its registers and its watchdog. `close` ends the watchdog."""

    def __init__(self, cabin: Cabin, layout: CabinMap) -> None:
        self.cabin = cabin
        self._map = layout
        self._texts = {code: screen for screen, code in layout.screen.codes.items()}
        self._timer: asyncio.TimerHandle | None = None
        inputs, persons = layout.inputs, layout.persons
        self.bank = Bank(
            coils={layout.locks.entrance: 0, layout.locks.exit: 0},
            discretes=dict.fromkeys(range(inputs.address, inputs.address + inputs.count), 0),
            inputs=dict.fromkeys(range(persons.address, persons.address + 2), 0),
            holdings={layout.screen.address: layout.screen.codes[Screen.CLOSED]},
            on_write=self._write,
            before_read=self._refresh,
        )

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _feed(self) -> None:
        self.close()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._map.watchdog_ms / 1000, self._trip)

    def _trip(self) -> None:
        self.cabin.trip()
        self.bank.coils = dict.fromkeys(self.bank.coils, 0)

    def _refresh(self, *_: object) -> None:
        self._feed()
        cabin, inputs, persons = self.cabin, self._map.inputs, self._map.persons
        shown = {
            "entrance_closed": Side.ENTRANCE not in cabin.opened,
            "entrance_locked": cabin.bolted(Side.ENTRANCE),
            "exit_closed": Side.EXIT not in cabin.opened,
            "exit_locked": cabin.bolted(Side.EXIT),
            "power_ok": cabin.mains,
            **{button: button in cabin.pressed for button in ("call", "egress", "emergency")},
        }
        for name, on in shown.items():
            place = getattr(inputs, name)
            if place >= 0:
                self.bank.discretes[inputs.address + place] = int(on is not (name in inputs.inverted))
        count = cabin.persons + (Flaw.COUNTS_ONE_MORE in cabin.flaws and cabin.persons > 0)
        self.bank.inputs[persons.address] = 0xFFFF if Flaw.COUNTS_NONSENSE in cabin.flaws else count

    def _write(self, function: int, address: int, values: tuple[int, ...]) -> int | None:
        self._feed()
        sides = {self._map.locks.entrance: Side.ENTRANCE, self._map.locks.exit: Side.EXIT}
        if function == 5 and address in sides:
            self.cabin.power(sides[address], on=values[0] == _COIL_ON)
            return None
        if function == 6 and address == self._map.screen.address:
            if values[0] not in self._texts:
                return ILLEGAL_VALUE
            self.cabin.show(self._texts[values[0]])
            return None
        return ILLEGAL_ADDRESS
