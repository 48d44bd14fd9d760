"""A whole checkpoint from its site file: every device of it on real sockets and ptys, and who comes.

The site file's links are the real site's; each is served here at a free port or on a new pty, and `Site.links` says
where, so that nothing has a fixed port and two sites never meet. Devices that call or push do so once told to.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from core.clearance.model import Direction
from edge.config import EdgeConfig
from edge.sections import PassengerSection
from simulators.barrier import Barrier
from simulators.modbus import Server
from simulators.people import Manner, Traveller
from simulators.reader import Reader
from simulators.site_callers import Callers, open_callers
from simulators.site_served import Served, serve
from simulators.turnstile import Gate

_SHOW_AGAIN_S: Final = 1.7
_REFUSED_S: Final = 2.5
_GIVE_UP_S: Final = 120.0
_STEP_ASIDE_S: Final = 0.9
"""Until the next: longer than a passage contact of a relay board, by some looks, so that there are two pulses."""
_JAM_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened to one traveller: the truth that central's records are held against."""

    lane: str
    number: int
    document: str
    manner: str
    passed: bool
    followed_by: int = 0
    wrongly_released: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Site:
    """One running checkpoint; `callers` are those of its devices that call the edge."""

    config: EdgeConfig
    served: Served
    callers: Callers
    truth: list[Outcome] = field(default_factory=list)

    @property
    def links(self) -> dict[str, str]:
        """Return the URL of each device by its id, as a site file has it."""
        return self.served.links | self.callers.links

    @property
    def gates(self) -> dict[str, Gate]:
        """Return the turnstiles."""
        return self.served.gates

    @property
    def barriers(self) -> dict[str, Barrier]:
        """Return the barriers."""
        return self.served.barriers

    @property
    def readers(self) -> dict[str, Reader]:
        """Return the readers."""
        return self.served.readers

    @property
    def servers(self) -> list[Server]:
        """Return the Modbus lines."""
        return self.served.servers

    async def receive(self, travellers: Sequence[Traveller], told: Callable[[Outcome], None] | None = None) -> None:
        """Let the travellers come, each lane in its order; return when the last is gone."""
        lanes: dict[str, list[Traveller]] = defaultdict(list)
        for one in travellers:
            lanes[one.lane].append(one)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for lane, people in lanes.items():
                group.create_task(self._lane(lane, people, began, told), name=f"people.{lane}")

    async def _lane(
        self, lane: str, people: Sequence[Traveller], began: float, told: Callable[[Outcome], None] | None
    ) -> None:
        lanes = (one for one in self.config.file.lane if isinstance(one, PassengerSection))
        spec = next(one for one in lanes if one.id == lane)
        gate, reader = self.gates[spec.gate], self.readers[spec.reader]
        for one in people:
            await asyncio.sleep(began + one.at_s - asyncio.get_running_loop().time())
            outcome = await visit(one, gate, reader, spec.direction)
            self.truth.append(outcome)
            if told is not None:
                told(outcome)
            await asyncio.sleep(_STEP_ASIDE_S)


async def visit(one: Traveller, gate: Gate, reader: Reader, direction: Direction) -> Outcome:
    """Do what this traveller does; return what came of it."""
    if one.manner is Manner.JAMMED:
        gate.fault("door_jam", on=True)
        await asyncio.sleep(_JAM_S)
        gate.fault("door_jam", on=False)
    patience = _REFUSED_S if one.manner is Manner.LISTED else _GIVE_UP_S
    opened = await _show_until_open(one, gate, reader, direction, patience)
    followed_by = 0
    if opened and one.manner is Manner.TURNS_BACK:
        await gate.wait_closed(direction)
        opened = False
    elif opened:
        followed_by = 1 if one.manner is Manner.TAILGATED else 0
        await gate.walk(direction, one.walk_s, 1 + followed_by)
    return Outcome(
        lane=one.lane,
        number=one.number,
        document=one.document,
        manner=one.manner.value,
        passed=opened,
        followed_by=followed_by,
        wrongly_released=opened and one.manner is Manner.LISTED,
    )


async def _show_until_open(one: Traveller, gate: Gate, reader: Reader, direction: Direction, patience: float) -> bool:
    """Hold the document to the reader, again and again, as people do while nothing happens."""
    clock = asyncio.get_running_loop().time
    await reader.wait_connected()
    until = clock() + patience
    while (left := until - clock()) > 0:
        reader.show(one.document)
        if await gate.wait_open(direction, min(_SHOW_AGAIN_S, left)):
            return True
    return False


@contextlib.asynccontextmanager
async def run_site(config: EdgeConfig, seed: int = 0) -> AsyncIterator[Site]:
    """Serve every device of a site file; those that call or push have a place to call, and are quiet until told."""
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve(config.devices, seed))
        callers = await stack.enter_async_context(open_callers(config.devices, seed))
        yield Site(config, served, callers)
