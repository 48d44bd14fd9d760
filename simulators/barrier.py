"""A barrier as a piece of machinery: arm, motor, loops and light behind the bits and coils of its profile.

`Barrier` is the mechanics and the road at it; `barrier_bank` puts it behind Modbus. A vehicle is `barrier.arrive()`,
then `barrier.drive(...)`; whether the arm ever came down on one is `barrier.struck`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.barrier.layout import BarrierMap, Outputs
from drivers.profile import Profile, checked_map
from simulators.modbus import ILLEGAL_ADDRESS, Bank

STEP_S: Final = 0.2
"""Between two inputs of the road: some looks of any profile."""


@dataclass(slots=True)
class Barrier:
    """The mechanics of one barrier. `faults` that it has make it misbehave: with `motor` the arm stands still."""

    travel_s: float = 0.15
    """How long the arm takes."""
    arm: str = "closed"
    light: bool = False
    faults: set[str] = field(default_factory=set)
    on: set[str] = field(default_factory=set)
    """The inputs at the road at which something stands."""
    blind: set[str] = field(default_factory=set)
    """Inputs that are broken: they say that nothing is there."""
    stuck: bool = False
    """It takes its orders and does not move, and tells of no fault."""
    struck: int = 0
    """How often the arm came down on a vehicle."""
    orders: list[str] = field(default_factory=list)
    """What it was told: raise, lower."""
    on_order: Callable[[str], None] | None = None
    _under: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _motion: asyncio.TimerHandle | None = None

    def order(self, move: str) -> None:
        """Raise or lower the arm, as the controller does on a contact."""
        self.orders.append(move)
        if self.on_order is not None:
            self.on_order(move)
        target = "open" if move == "raise" else "closed"
        if self.stuck or "motor" in self.faults or (self.arm == target and self._motion is None):
            return
        if self._motion is not None:
            self._motion.cancel()
        self._set("moving")
        if target == "closed" and self._under:
            self.struck += 1
        self._motion = asyncio.get_running_loop().call_later(self.travel_s, self._arrived, target)

    def _arrived(self, target: str) -> None:
        self._motion = None
        if target == "closed" and self._under:
            self.struck += 1
        self._set(target)

    def _set(self, arm: str) -> None:
        self.arm = arm
        self._changed.set()

    def set_light(self, *, on: bool) -> None:
        """Turn the light on or off."""
        self.light = on
        self._changed.set()

    async def wait_arm(self, arm: str, patience_s: float) -> bool:
        """Wait in front of it; tell whether the arm was there in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.arm != arm:
                    self._changed.clear()
                    await self._changed.wait()
                return True
        return False

    async def arrive(self, step_s: float = STEP_S) -> None:
        """Stop at the approach loop."""
        self.on.add("approach")
        await asyncio.sleep(step_s)

    async def back_out(self, step_s: float = STEP_S) -> None:
        """Leave the way one came."""
        self.on.discard("approach")
        await asyncio.sleep(step_s)

    async def enter(self, step_s: float = STEP_S) -> None:
        """Drive into the line of the arm."""
        self._under += 1
        self.on |= {"under", "photocell"}
        await asyncio.sleep(step_s)
        self.on.discard("approach")

    async def leave(self, step_s: float = STEP_S) -> None:
        """Drive on over the exit loop and away."""
        self.on.add("exit")
        await asyncio.sleep(step_s)
        self._under -= 1
        self.on -= {"under", "photocell"}
        await asyncio.sleep(step_s)
        self.on.discard("exit")

    async def drive(self, step_s: float = STEP_S, vehicles: int = 1) -> None:
        """Go through an open barrier; `vehicles` above one follow bumper to bumper, before the arm can come down."""
        for number in range(vehicles):
            await self.enter(step_s)
            await self.leave(step_s)
            if number + 1 < vehicles:
                await asyncio.sleep(step_s / 4)

    async def come_backwards(self, step_s: float = STEP_S) -> None:
        """Drive in from the exit and out at the approach."""
        self.on.add("exit")
        await asyncio.sleep(step_s)
        self._under += 1
        self.on |= {"under", "photocell"}
        await asyncio.sleep(step_s)
        self.on.discard("exit")
        await asyncio.sleep(step_s)
        self._under -= 1
        self.on -= {"under", "photocell"}
        await asyncio.sleep(step_s)


def barrier_bank(barrier: Barrier, profile: Profile) -> Bank:
    """Return the Modbus side of a barrier, as its profile says."""
    layout = checked_map(profile, BarrierMap)
    inputs = layout.inputs
    cells = dict.fromkeys(range(inputs.address, inputs.address + inputs.count), 0)
    bank = Bank(discretes=cells)
    if inputs.space == "coil":
        bank = Bank(coils=cells)
    actions = _actions(barrier, layout.outputs)

    def refresh(*_: object) -> None:
        told = barrier.on - barrier.blind
        wired: list[tuple[str, int, bool]] = [(name, place, name in told) for name, place in inputs.road.items()]
        wired += [(name, place, barrier.arm == name) for name, place in inputs.arm.items()]
        wired += [(name, place, name in barrier.faults) for name, place in inputs.faults.items()]
        for name, place, on in wired:
            cells[inputs.address + place] = int(on is not (name in inputs.inverted))

    def write(function: int, address: int, values: tuple[int, ...]) -> int | None:
        act = actions.get((function, address, values[0]))
        if act is None:
            return ILLEGAL_ADDRESS
        act()
        return None

    bank.before_read, bank.on_write = refresh, write
    return bank


def _actions(barrier: Barrier, outputs: Outputs) -> dict[tuple[int, int, int], Callable[[], None]]:
    """Return what the last write of each move does; those before it let go of other relays, and do nothing."""
    found: dict[tuple[int, int, int], Callable[[], None]] = {}
    for writes, act in (
        (outputs.raise_arm, lambda: barrier.order("raise")),
        (outputs.lower_arm, lambda: barrier.order("lower")),
        (outputs.light_on, lambda: barrier.set_light(on=True)),
        (outputs.light_off, lambda: barrier.set_light(on=False)),
    ):
        keys = [(one.function, one.address, one.value) for one in writes]
        found |= {key: _nothing for key in keys[:-1] if key not in found}
        found |= dict.fromkeys(keys[-1:], act)
    return found


def _nothing() -> None:
    """Do nothing: a relay was let go."""
