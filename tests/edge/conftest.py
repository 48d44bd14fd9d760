"""What the tests of the edge share: a clock that is set by hand, a store that can fail, keys, and a folder for sockets."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.errors import BufferUnavailable, GatefleetError
from core.messages.envelope import ClockSource, packed_event
from core.messages.event import Event
from edge.clock import Clock, Quality

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
TOKEN_KEY = "a token key of thirty-two bytes!"


class HandClock(Clock):
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.boot_id = "boot-1"
        self.now = START
        self.ms = 1_000_000
        self.known: Quality | None = Quality(ClockSource.NTP, 0, 5)

    def wall(self) -> datetime:
        return self.now

    def monotonic_ms(self) -> int:
        return self.ms

    def quality(self) -> Quality:
        return super().quality() if self.known is None else self.known

    def go(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.ms += round(seconds * 1000)


@dataclass
class Shelf:
    """A store in memory that can be told to fail, or to wait; what it holds is what is on its disk."""

    rows: list[tuple[str, dict]] = field(default_factory=list)
    memo_: dict[str, bytes] = field(default_factory=dict)
    failing: GatefleetError | None = None
    gate: asyncio.Event | None = None
    appends: int = 0
    refuses: Callable[[str], bool] = lambda body: False
    too_large: type[GatefleetError] = GatefleetError

    async def append(self, packed, memo=None):
        self.appends += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        if any(self.refuses(one.body.decode()) for one in packed):
            raise self.too_large("too large to keep")
        self.rows += [packed_event(one.body) for one in packed]
        for key, value in (memo or {}).items():
            if value is None:
                self.memo_.pop(key, None)
            else:
                self.memo_[key] = value
        return tuple(range(len(self.rows) - len(packed), len(self.rows)))

    def memo(self, key):
        return self.memo_.get(key)

    def memos(self, prefix):
        return {key: value for key, value in self.memo_.items() if key.startswith(prefix)}

    def fail(self) -> None:
        self.failing = BufferUnavailable("no space left", place="shelf")

    def mend(self) -> None:
        self.failing = None

    def kinds(self) -> list[str]:
        return [kind.split(".")[1] for kind, _ in self.rows]


@dataclass
class Heard:
    """Keeps the events that are told."""

    events: list[Event] = field(default_factory=list)

    async def __call__(self, event: Event) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def signer() -> SigningKey:
    return SigningKey(suite("intl").generate())


@pytest.fixture(scope="session")
def stranger() -> SigningKey:
    return SigningKey(suite("intl").generate())


@pytest.fixture
def trusted(signer) -> TrustedKeys:
    return TrustedKeys([signer.public])


@pytest.fixture
def nook() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gf-") as path:
        yield Path(path)


@pytest.fixture
async def task():
    """Run something beside the test; it is ended with it, and must not have failed."""
    running: list[asyncio.Task] = []

    def run(awaitable) -> asyncio.Task:
        running.append(asyncio.ensure_future(awaitable))
        return running[-1]

    yield run
    for one in running:
        one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Return once something is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
