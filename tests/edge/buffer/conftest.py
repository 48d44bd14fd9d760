from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from core.messages.envelope import ClockSource, Packed, Stamp
from core.messages.event import Stream
from edge.buffer import Buffer, open_buffer

MB = 1024 * 1024
Open = Callable[..., AbstractAsyncContextManager[Buffer]]
Make = Callable[..., list[Packed]]


@pytest.fixture
def stamp() -> Callable[[], Stamp]:
    ticks = count()
    start = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

    def stamp() -> Stamp:
        tick = next(ticks)
        return Stamp(start + timedelta(milliseconds=tick), tick, "boot-1", ClockSource.NTP, 0, 1)

    return stamp


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gates.buffer"


@pytest.fixture
def opened(path: Path, stamp: Callable[[], Stamp]) -> Open:
    def opened(quota_bytes: int = 64 * MB, at: Path = path) -> AbstractAsyncContextManager[Buffer]:
        return open_buffer(at, quota_bytes, stamp)

    return opened


@pytest.fixture
async def buffer(opened: Open) -> AsyncIterator[Buffer]:
    async with opened() as buffer:
        yield buffer


@pytest.fixture
def entries() -> Make:
    numbers = count(1)

    def entries(stream: Stream, many: int = 1, *, key: str = "", size: int = 400) -> list[Packed]:
        made = []
        for _ in range(many):
            number = next(numbers)
            head = f'{{"type":"t","time":"2026-11-21T08:00:00.{number % 1000:03d}Z","data":{{"n":{number},"x":"'
            body = head + "x" * max(0, size - len(head) - 3) + '"}}'
            made.append(Packed(stream, key or f"t:{number}", body.encode()))
        return made

    return entries
