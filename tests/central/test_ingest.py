import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import zstandard
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from central import partitions
from central.batches import Batch, Inbound, read
from central.bus import Bus, Recorded
from central.db import Database, now
from central.eventstore import events, watermarks
from central.ingest import Ingest, Queue
from central.metrics import Metrics
from central.reproject import reproject
from core.errors import MessageInvalid
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Event, Stream
from core.messages.events import DeviceMeasured, EdgeStarted, LaneMode, LaneModeChanged
from core.messages.wire import Ack

EDGE = "north.gates"
EPOCH = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
WALL = datetime(2026, 3, 1, 1, 2, 3, 456000, tzinfo=UTC)
STAMP = Stamp(WALL, 12_345, "boot-1", ClockSource.NTP, 250, 10)


def operated(number: int) -> Event:
    return LaneModeChanged(lane="in-1", mode=LaneMode.FREE, actor="tester", reason=str(number))


def measured(number: int) -> Event:
    return DeviceMeasured(device="meter-1", readings={"level_m": number / 10})


def entry(
    seq: int,
    event: Event,
    *,
    after: int | None = None,
    edge: str = EDGE,
    epoch: str = EPOCH,
    acked: int | None = None,
) -> bytes:
    body = pack(event, STAMP).body
    return place(
        body,
        source=edge,
        epoch=epoch,
        stream=event.STREAM.value,
        seq=seq,
        after=seq - 1 if after is None else after,
        acked=acked,
    )


def inbound(*entries: bytes, edge: str = EDGE, stream: Stream = Stream.VITAL) -> Inbound:
    return Inbound(edge, stream, zstandard.ZstdCompressor().compress(join_batch(entries)))


def batch(*seqs: int, after: int | None = None, acked: int | None = None) -> Batch:
    """A vital batch of these sequence numbers; what is missing between them was dropped at the edge."""
    entries, before = [], seqs[0] - 1 if after is None else after
    for seq in seqs:
        entries.append(entry(seq, operated(seq), after=before, acked=None if entries else acked))
        before = seq
    return read(inbound(*entries))


@pytest.fixture
def bus(database: Database, metrics: Metrics) -> Bus:
    return Bus(database, metrics)


@pytest.fixture
def ingest(database: Database, bus: Bus, metrics: Metrics) -> Ingest:
    return Ingest(database, bus, metrics)


async def stored(database: Database, *columns: str) -> list[object]:
    wanted = [events.c[name] for name in columns or ("seq",)]
    async with database.read() as conn:
        rows = (await conn.execute(select(*wanted).order_by(events.c.position))).all()
    return [row[0] if len(wanted) == 1 else tuple(row) for row in rows]


def upto(acks: Sequence[tuple[str, Ack]]) -> list[int]:
    return [ack.upto for _, ack in acks]


async def test_a_batch_is_stored_and_acked_with_its_stamps_untouched(database: Database, ingest: Ingest) -> None:
    [(edge, ack)] = await ingest.store([batch(1, 2)])
    assert (edge, ack.epoch, ack.stream, ack.upto) == (EDGE, EPOCH, Stream.VITAL, 2)
    async with database.read() as conn:
        row = (await conn.execute(select(events).order_by(events.c.position))).first()
    assert row is not None
    assert (row.site, row.edge, row.seq, row.type, row.subject) == (
        "north",
        EDGE,
        1,
        "gatefleet.LaneModeChanged.v1",
        "in-1",
    )
    assert (row.occurred_at, row.corrected_at) == (WALL, WALL + timedelta(milliseconds=250))
    assert (row.boot_id, row.monotonic_ms, row.clock_source) == ("boot-1", 12_345, "ntp")
    assert (row.clock_offset_ms, row.clock_error_ms) == (250, 10)
    assert json.loads(row.data) == {"lane": "in-1", "mode": "free", "actor": "tester", "reason": "1"}


async def test_duplicates_have_no_effect_and_are_acked_again(database: Database, ingest: Ingest) -> None:
    await ingest.store([batch(1, 2, 3)])
    assert upto(await ingest.store([batch(1, 2, 3)])) == [3]
    assert upto(await ingest.store([batch(2, 3, 4), batch(2, 3, 4)])) == [4]
    assert await stored(database) == [1, 2, 3, 4]


async def test_a_batch_that_is_ahead_waits_and_is_stored_in_order(database: Database, ingest: Ingest) -> None:
    await ingest.store([batch(1)])
    assert upto(await ingest.store([batch(3)])) == [1]
    assert upto(await ingest.store([batch(6, 7)])) == [1]
    assert upto(await ingest.store([batch(4, 5)])) == [1]
    assert await stored(database) == [1]
    assert upto(await ingest.store([batch(2, 3)])) == [7]
    assert await stored(database) == [1, 2, 3, 4, 5, 6, 7]


async def test_what_nobody_has_any_more_is_passed_over_loudly(
    database: Database, ingest: Ingest, metrics: Metrics
) -> None:
    await ingest.store([batch(1, 2)])
    # Central was set back to 2 by a restored copy; the edge was told 9 before, and has only what comes after.
    assert upto(await ingest.store([batch(10, 11, after=9, acked=9)])) == [11]
    assert await stored(database) == [1, 2, 10, 11]
    assert metrics.registry.get_sample_value("gatefleet_ingest_missing_entries_total", {"stream": "vital"}) == 7


async def test_a_hole_that_the_edge_can_still_fill_is_never_passed_over(
    database: Database, bus: Bus, metrics: Metrics
) -> None:
    """Central, overloaded, sheds the older of two batches again and again: that is no proof that it is lost."""
    ingest = Ingest(database, bus, metrics)
    ingest.queue = Queue(max_batches=1)
    for _ in range(9):
        ingest.offer(batch(1, 2, acked=0).inbound)
        ingest.offer(batch(3, 4, acked=0).inbound)
        waiting = ingest.read(ingest.queue.take())
        assert waiting is not None
        assert upto(await ingest.store([waiting])) == [0]
    assert await stored(database) == []
    ingest.queue = Queue()
    assert upto(await ingest.store([batch(1, 2, acked=0)])) == [4]
    assert await stored(database) == [1, 2, 3, 4]


async def test_a_hole_that_may_still_be_filled_is_waited_for(database: Database, ingest: Ingest) -> None:
    for seq in range(1, 30):
        await ingest.store([batch(2 * seq + 2)])
        await ingest.store([batch(2 * seq)])
        assert upto(await ingest.store([batch(2 * seq - 1)])) == [2 * seq]
    assert await stored(database) == list(range(1, 59))


async def test_what_the_edge_dropped_between_two_tries_is_no_hole(database: Database, ingest: Ingest) -> None:
    await ingest.store([batch(1, 2, 3)])
    # The edge did not hear the ack, dropped 3 to 5 meanwhile, and sends again.
    assert upto(await ingest.store([batch(1, 2, 6, 7)])) == [7]
    assert upto(await ingest.store([batch(9, after=7)])) == [9]
    assert await stored(database) == [1, 2, 3, 6, 7, 9]


async def test_streams_and_epochs_have_watermarks_of_their_own(database: Database, ingest: Ingest) -> None:
    other = read(inbound(entry(1, measured(1)), stream=Stream.TELEMETRY))
    newer = read(inbound(entry(1, operated(1), epoch="01J00000000000000000000000")))
    acks = await ingest.store([batch(1, 2), other, newer])
    assert sorted((ack.stream.value, ack.upto) for _, ack in acks) == [("telemetry", 1), ("vital", 1), ("vital", 2)]
    assert len(await stored(database)) == 4
    assert sorted(ack.upto for _, ack in await ingest.watermarks()) == [1, 1, 2]


async def test_positions_grow_in_the_order_of_storing(database: Database, ingest: Ingest) -> None:
    for first in range(1, 9001, 3000):
        await ingest.store([batch(*range(first, first + 3000))])
    pairs = await stored(database, "position", "seq")
    assert [seq for _, seq in pairs] == list(range(1, 9001))  # type: ignore[misc]
    assert len({position for position, _ in pairs}) == 9000  # type: ignore[misc]


@pytest.mark.parametrize(
    "entries",
    [
        [entry(1, operated(1), edge="south.gates")],
        [entry(1, measured(1))],
        [entry(1, operated(1)), entry(2, operated(2), epoch="01J00000000000000000000000")],
        [entry(1, operated(1)), entry(3, operated(3))],
        [entry(2, operated(2)), entry(1, operated(1))],
        [entry(3, operated(3), after=3)],
        [entry(1 << 62, operated(1))],
        [b'{"type":"no place"}'],
        [b"5"],
        [b"nonsense"],
        [],
    ],
    ids=["edge", "stream", "epochs", "chain", "backwards", "after", "huge", "placeless", "number", "json", "empty"],
)
def test_a_batch_that_is_not_the_edges_own_chain_is_refused(entries: list[bytes]) -> None:
    with pytest.raises(MessageInvalid):
        read(inbound(*entries))


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    stated = zstandard.ZstdCompressor().compress(bytes(9 * 1024 * 1024))
    unstated = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(9 * 1024 * 1024))
    for payload in (stated, unstated, b"", b"[]", stated[:20]):
        with pytest.raises(MessageInvalid):
            read(Inbound(EDGE, Stream.VITAL, payload))


async def test_what_is_not_understood_is_stored_raw_and_counted(
    database: Database, ingest: Ingest, metrics: Metrics
) -> None:
    whole = json.loads(entry(1, operated(1)))
    odd = [
        whole | {"type": "gatefleet.Newer.v9", "data": {"x": [1, {"y": "\0"}]}},
        whole | {"seq": "2", "data": {"lane": 5}},
        whole | {"seq": "3", "clocksource": "sundial"},
        whole | {"seq": "4", "time": "0001-01-01T00:00:00+14:00", "subject": "a\0b", "monotonic": str(1 << 80)},
        whole | {"seq": "5"},
    ]
    got = ingest.read(inbound(*(json.dumps(one).encode() for one in odd)))
    assert got is not None
    assert upto(await ingest.store([got])) == [5]
    assert await stored(database, "seq", "status") == [
        (1, "unknown"),
        (2, "invalid"),
        (3, "invalid"),
        (4, "ok"),
        (5, "ok"),
    ]
    data = [json.loads(str(text)) for text in await stored(database, "data")]
    assert data[0] == {"x": [1, {"y": "\0"}]}
    assert data[2]["entry"]["clocksource"] == "sundial"
    count = metrics.registry.get_sample_value
    assert count("gatefleet_ingest_events_total", {"outcome": "invalid"}) == 2
    assert count("gatefleet_ingest_events_total", {"outcome": "unknown"}) == 1


async def _note(conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
    for row in rows:
        one = {"edge": "seen.by", "epoch": str(row.seq), "stream": "x", "upto": 0, "changed_at": now()}
        await conn.execute(insert(watermarks), one)


async def _noted(database: Database) -> list[int]:
    async with database.read() as conn:
        got = await conn.execute(select(watermarks.c.epoch).where(watermarks.c.edge == "seen.by"))
        return sorted(int(one) for one in got.scalars())


async def test_projections_get_new_events_only_in_order_in_the_same_transaction(
    database: Database, bus: Bus, ingest: Ingest
) -> None:
    got: list[tuple[str, int]] = []

    async def take(conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        assert (await conn.execute(select(events.c.seq))).scalars().all()
        got.extend((type(row.event).__name__, row.seq) for row in rows)

    bus.project((LaneModeChanged, EdgeStarted), take)
    started = EdgeStarted(edge=EDGE, version="1", boot_id="b", config_digest="d")
    mixed = read(inbound(entry(1, operated(1)), entry(2, started), entry(3, operated(3))))
    await ingest.store([mixed])
    await ingest.store([mixed, batch(4)])
    assert got == [("LaneModeChanged", 1), ("EdgeStarted", 2), ("LaneModeChanged", 3), ("LaneModeChanged", 4)]


async def test_a_projection_that_raises_stops_no_stream_and_can_be_made_up(
    database: Database, bus: Bus, ingest: Ingest, metrics: Metrics
) -> None:
    broken = True

    async def fragile(conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await _note(conn, rows)
        if broken and any(row.seq in {2, 5} for row in rows):
            raise ValueError("a bug")

    bus.project(LaneModeChanged, fragile)
    assert upto(await ingest.store([batch(1, 2, 3), batch(4, 5, 6), batch(7, 8)])) == [3, 6, 8]
    assert await stored(database) == list(range(1, 9))
    assert await _noted(database) == [1, 3, 4, 6, 7, 8]
    failed = [seq for seq, status in await stored(database, "seq", "status") if status == "projection_failed"]  # type: ignore[misc]
    assert failed == [2, 5]
    assert metrics.registry.get_sample_value("gatefleet_ingest_events_total", {"outcome": "projection_failed"}) == 2
    assert await reproject(database, bus) == (0, 2)
    broken = False
    assert await reproject(database, bus) == (2, 0)
    assert await reproject(database, bus) == (0, 0)
    assert await _noted(database) == list(range(1, 9))


async def test_a_database_that_fails_stores_and_acks_nothing(database: Database, bus: Bus, ingest: Ingest) -> None:
    async def lose(_: AsyncConnection, rows: Sequence[Recorded]) -> None:
        if rows[0].seq == 1:
            raise OperationalError("SELECT", {}, ConnectionError("gone"))

    bus.project(LaneModeChanged, lose)
    with pytest.raises(OperationalError):
        await ingest.store([batch(1)])
    assert await stored(database) == []
    assert await ingest.watermarks() == []


def test_the_queue_is_bounded_and_vital_goes_first() -> None:
    queue = Queue(max_bytes=400, max_batches=3)
    telemetry = [Inbound(EDGE, Stream.TELEMETRY, bytes(100)) for _ in range(3)]
    vital = Inbound(EDGE, Stream.VITAL, bytes(100))
    assert [queue.put(one) for one in telemetry] == [0, 0, 0]
    assert queue.put(vital) == 1
    taken = [queue.take() for _ in range(len(queue))]
    assert taken[0] is vital
    assert all(one is other for one, other in zip(taken[1:], telemetry[1:], strict=True))
    assert queue.bytes == 0
    assert queue.put(Inbound(EDGE, Stream.VITAL, bytes(401))) == 1
    assert len(queue) == 0


@pytest.mark.real
async def test_partitions_are_made_ahead_and_take_over_from_the_default_one(database: Database, ingest: Ingest) -> None:
    if database.sqlite:
        pytest.skip("SQLite has one table")
    await ingest.store([batch(1, 2)])
    async with database.begin() as conn:
        made = await partitions.ensure(conn, partitions.EVENTS, now())
    assert len(made) == 4
    async with database.begin() as conn:
        assert await partitions.ensure(conn, partitions.EVENTS, now()) == []
        left = (await conn.exec_driver_sql("SELECT count(*) FROM event_default")).scalar_one()
    assert left == 0
    await ingest.store([batch(3)])
    assert await stored(database) == [1, 2, 3]
