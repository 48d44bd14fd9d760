"""Bounded in bytes: telemetry goes first, then superseded state; vital is never dropped; what was dropped is told."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pydantic_core import from_json

from core.errors import BufferFull
from core.messages.envelope import Packed, Stamp
from core.messages.event import Stream
from edge.buffer import Buffer, Entry
from edge.buffer.opening import open_store
from edge.buffer.quota import Quota
from edge.buffer.store import Append

MB = 1024 * 1024
VITAL, STATE, TELEMETRY = Stream
Make = Callable[..., list[Packed]]
Open = Callable[..., AbstractAsyncContextManager[Buffer]]


async def everything(buffer: Buffer, stream: Stream) -> list[Entry]:
    found: list[Entry] = []
    while part := await buffer.read(stream, found[-1].seq if found else 0, entries=2000, bytes_=MB):
        found += part
    return found


async def gaps(buffer: Buffer) -> list[dict[str, object]]:
    bodies = [from_json(entry.body) for entry in await everything(buffer, VITAL)]
    return [body["data"] for body in bodies if body["type"] == "gatefleet.EntriesDropped.v1"]


def disk_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir())


async def overload(buffer: Buffer, entries: Make, total: int, size: int) -> tuple[set[bytes], Counter[Stream]]:
    """Append telemetry, vital and state of 50 devices, 8:1:1, until `total` bytes are written."""
    vital: set[bytes] = set()
    appended: Counter[Stream] = Counter()
    written = turn = 0
    while written < total:
        turn += 1
        made = [
            *entries(TELEMETRY, 80, size=size),
            *entries(STATE, 10, key=f"t:{turn % 50}", size=size),
            *entries(VITAL, 2),
        ]
        await buffer.append(made)
        vital.update(item.body for item in made[-2:])
        appended.update(item.stream for item in made)
        written += sum(len(item.body) for item in made)
    return vital, appended


@pytest.mark.parametrize(("quota", "size"), [(4 * MB, 400), pytest.param(64 * MB, 1700, marks=pytest.mark.slow)])
async def test_bounded_at_five_times_the_quota(opened: Open, entries: Make, path: Path, quota: int, size: int) -> None:
    async with opened(quota) as buffer:
        vital, appended = await overload(buffer, entries, 5 * quota, size)
        assert disk_bytes(path) <= quota * 1.05
        assert buffer.used_bytes <= quota
        kept = {stream: await everything(buffer, stream) for stream in Stream}
        assert vital <= {entry.body for entry in kept[VITAL]}
        told: Counter[str] = Counter()
        for gap in await gaps(buffer):
            told[str(gap["stream"])] += int(str(gap["count"]))
        assert 10 < len(await gaps(buffer)) < 200
        missing = Counter({stream: appended[stream] - len(kept[stream]) for stream in (STATE, TELEMETRY)})
        assert missing == Counter({STATE: told["state"], TELEMETRY: told["telemetry"]})
        assert missing == buffer.counts.dropped
        assert buffer.depth(TELEMETRY).entries == len(kept[TELEMETRY])


async def test_telemetry_goes_oldest_first_and_what_follows_a_gap_says_so(opened: Open, entries: Make) -> None:
    async with opened(MB) as buffer:
        while not buffer.counts.dropped[TELEMETRY]:
            await buffer.append(entries(TELEMETRY, 50))
        first = (await buffer.read(TELEMETRY, 0, entries=1, bytes_=1))[0]
        (gap,) = await gaps(buffer)
        assert gap == {
            "stream": "telemetry",
            "first_seq": 1,
            "last_seq": first.seq - 1,
            "count": first.seq - 1,
            "reason": "quota",
        }
        assert first.after == 0


async def test_then_superseded_state_and_the_newest_of_each_device_stays(opened: Open, entries: Make) -> None:
    async with opened(MB) as buffer:
        await buffer.append(entries(STATE, 1, key="t:rare"))
        for turn in range(300):
            await buffer.append([item for device in range(20) for item in entries(STATE, 1, key=f"t:{device}")])
            newest = {device: 2 + turn * 20 + device for device in range(20)}
        kept = [entry.seq for entry in await everything(buffer, STATE)]
        assert set(newest.values()) | {1} <= set(kept)
        told = await gaps(buffer)
        assert {gap["reason"] for gap in told} == {"superseded"}
        assert sum(int(str(gap["count"])) for gap in told) + len(kept) == 6001


async def test_vital_is_never_dropped_but_refused_when_it_fills_the_quota(opened: Open, entries: Make) -> None:
    async with opened(MB) as buffer:
        kept = await fill_with_vital(buffer, entries)
        with pytest.raises(BufferFull, match="restore the uplink") as caught:
            await buffer.append(entries(VITAL, 20), {"turn": b"1"})
        assert caught.value.retriable
        assert buffer.refused == 3
        assert buffer.memo("turn") is None
        assert len(await everything(buffer, VITAL)) == kept
        await buffer.append([], {"turn": b"a memo still goes through"})
        await buffer.append(entries(STATE, 1, key="t:1"))
        await buffer.acked(VITAL, kept // 2)
        await buffer.append(entries(VITAL, 1))


async def test_telemetry_without_room_is_dropped_at_once_and_told_when_there_is_room(
    opened: Open, entries: Make
) -> None:
    async with opened(MB) as buffer:
        kept = await fill_with_vital(buffer, entries)
        assert await buffer.append(entries(TELEMETRY, 7)) == tuple(range(1, 8))
        assert buffer.counts.dropped[TELEMETRY] == 7
        assert await buffer.read(TELEMETRY, 0, entries=9, bytes_=MB) == ()
        assert buffer.newest(TELEMETRY) == 0
    async with opened(MB) as buffer:  # the count outlives a restart
        await buffer.acked(VITAL, kept)
        await buffer.append(entries(TELEMETRY, 1))
        (gap,) = await gaps(buffer)
        assert (gap["first_seq"], gap["last_seq"], gap["count"]) == (1, 7, 7)
        (entry,) = await buffer.read(TELEMETRY, 0, entries=9, bytes_=MB)
        assert (entry.seq, entry.after) == (8, 0)


async def fill_with_vital(buffer: Buffer, entries: Make) -> int:
    kept = 0
    for many in (50, 1):
        try:
            while True:
                await buffer.append(entries(VITAL, many))
                kept += many
        except BufferFull:
            continue
    return kept


async def test_a_lowered_quota_needs_no_rm(opened: Open, entries: Make, path: Path) -> None:
    async with opened(16 * MB) as buffer:
        while buffer.used_bytes < 10 * MB:
            await buffer.append(entries(TELEMETRY, 500))
        await buffer.append(entries(VITAL, 1))
        epoch = buffer.epoch
    async with opened(2 * MB) as buffer:
        assert MB < buffer.used_bytes < 2 * MB
        assert buffer.epoch == epoch
        assert len(await everything(buffer, VITAL)) >= 2
        assert disk_bytes(path) < 3 * MB
        await buffer.append(entries(VITAL, 1))


def test_a_state_makes_room_for_what_is_committed_with_it(path: Path, stamp: Callable[[], Stamp]) -> None:
    store = open_store(path, Quota(MB), stamp)
    store.commit([Append([Packed(STATE, "t:1", b"old" * 40_000)])])
    while not isinstance(store.commit([Append([Packed(VITAL, "k", b"x" * 2000)])])[0][0], BufferFull):
        pass
    newer, vital = Packed(STATE, "t:1", b"new" * 10_000), Packed(VITAL, "k", b"x" * 20_000)
    results, _ = store.commit([Append([newer]), Append([vital])])
    assert results[0] == (2,)
    assert not isinstance(results[1], BufferFull)
    assert store.counts.dropped == {STATE: 1}


def test_with_no_room_at_all_states_too_are_dropped_at_once(path: Path, stamp: Callable[[], Stamp]) -> None:
    store = open_store(path, Quota(MB), stamp)
    while not isinstance(store.commit([Append([Packed(VITAL, "k", b"x" * 2000)])])[0][0], BufferFull):
        pass
    for number in range(50):
        store.commit([Append([Packed(STATE, f"t:{number}", b"x" * 4000)])])
    assert store.depths[STATE].entries + store.counts.dropped[STATE] == 50
    assert store.used_bytes < MB - MB // 4 + 20_000
