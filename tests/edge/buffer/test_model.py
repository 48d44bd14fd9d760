"""Random life of a buffer's file against a model of ten lines: append, ack, read, fill, fail, crash, reopen."""

import shutil
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic_core import from_json

from core.errors import BufferFull
from core.messages.envelope import ClockSource, Packed, Stamp
from core.messages.event import Stream
from edge.buffer.opening import open_store
from edge.buffer.quota import Quota
from edge.buffer.reader import Reader
from edge.buffer.store import Append, Store

VITAL, STATE, TELEMETRY = Stream
STREAMS = st.sampled_from(list(Stream))


class Model:
    """What was committed and not acked, in order; what may have been dropped is found out by looking."""

    def __init__(self) -> None:
        self.entries: dict[Stream, dict[int, tuple[str, bytes]]] = {stream: {} for stream in Stream}
        self.memos: dict[str, bytes] = {}
        self.acked: Counter[Stream] = Counter()
        self.newest: Counter[Stream] = Counter()

    def append(self, packed: list[Packed], seqs: tuple[int, ...]) -> None:
        for item, seq in zip(packed, seqs, strict=True):
            assert seq > self.newest[item.stream]
            self.newest[item.stream] = seq
            self.entries[item.stream][seq] = item.key, item.body

    def ack(self, stream: Stream, upto: int) -> None:
        self.acked[stream] = max(upto, self.acked[stream])
        self.entries[stream] = {seq: entry for seq, entry in self.entries[stream].items() if seq > upto}


class BufferLife(RuleBasedStateMachine):
    """The machine."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.model = Model()
        self.told: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.number = 0
        self.lives = 0

    @initialize()
    def first(self) -> None:
        self.path = self.root / "0" / "b"
        self.path.parent.mkdir()
        self.open()
        self.epoch = self.store.epoch

    def open(self) -> None:
        stamp = Stamp(datetime(2026, 1, 1, tzinfo=UTC), 0, "boot", ClockSource.NTP, 0, 0)
        self.store: Store = open_store(self.path, Quota(1024 * 1024), lambda: stamp)
        self.dropped_before = self.dropped.copy()
        self.reader = Reader(self.path)

    def close(self) -> None:
        self.reader.close()
        self.store.close()

    def made(self, stream: Stream, many: int, size: int) -> list[Packed]:
        self.number += many
        return [
            Packed(stream, f"k{n % 3}", b'{"n":%d,"type":"t","x":"%s"}' % (n, b"x" * size))
            for n in range(self.number - many, self.number)
        ]

    @rule(stream=STREAMS, many=st.integers(1, 12), size=st.integers(0, 30_000), key=st.sampled_from("ab"))
    def append(self, stream: Stream, many: int, size: int, key: str) -> None:
        packed, memo = self.made(stream, many, size), {key: b"%d" % self.number}
        ((result,), _) = self.store.commit([Append(packed, memo)])
        if isinstance(result, BufferFull):
            assert stream is VITAL
        else:
            self.model.append(packed, result)
            self.model.memos |= memo

    @rule(stream=STREAMS, turns=st.integers(1, 25))
    def fill(self, stream: Stream, turns: int) -> None:
        for _ in range(turns):
            self.append(stream, 2, 20_000, "a")

    @rule(key=st.sampled_from("ab"))
    def forget(self, key: str) -> None:
        self.store.commit([Append([], {key: None})])
        self.model.memos.pop(key, None)

    @rule(stream=STREAMS, part=st.floats(0, 1))
    def ack(self, stream: Stream, part: float) -> None:
        self.look()
        upto = int(self.store.depths[stream].newest * part)
        self.store.commit(acks={stream: upto})
        self.model.ack(stream, upto)

    @rule(stream=STREAMS)
    def fail(self, stream: Stream) -> None:
        self.store.sql.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_INSERT else sqlite3.SQLITE_OK
        )
        with pytest.raises(sqlite3.DatabaseError):
            self.store.commit([Append(self.made(stream, 3, 20_000), {"a": b"never"})], {TELEMETRY: 10**9})
        self.store.sql.set_authorizer(None)

    @rule()
    def reopen(self) -> None:
        self.close()
        self.open()

    @rule()
    def crash(self) -> None:
        self.lives += 1
        copy = self.root / str(self.lives) / "b"
        copy.parent.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(self.path.with_name("b" + suffix), copy.with_name("b" + suffix))
        self.close()
        shutil.rmtree(self.path.parent)
        self.path = copy
        self.open()

    @invariant()
    def look(self) -> None:
        """Compare; take what the buffer says it dropped out of the model, if it was allowed to go."""
        found = {stream: self.read(stream) for stream in Stream}
        for stream in Stream:
            self.missing_may_go(stream, set(self.model.entries[stream]) - set(found[stream]))
            own = set(found[stream]) - set(self.model.entries[stream])
            for seq in sorted(own):
                self.learn(found[stream][seq])
                self.model.entries[stream][seq] = "", found[stream][seq]
                self.model.newest[stream] = max(seq, self.model.newest[stream])
            self.model.entries[stream] = {
                seq: entry for seq, entry in self.model.entries[stream].items() if seq in found[stream]
            }
            assert found[stream] == {seq: body for seq, (_, body) in self.model.entries[stream].items()}
            assert self.store.depths[stream].entries == len(found[stream])
            assert self.store.depths[stream].bytes == sum(map(len, found[stream].values()))
            assert self.store.depths[stream].acked == self.model.acked[stream]
        pending = Counter({stream.value: title.gap_count for stream, title in self.store.titles.items()})
        assert self.dropped == self.told + pending
        assert self.dropped - self.dropped_before == Counter(
            {stream.value: count for stream, count in self.store.counts.dropped.items()}
        )
        if self.store.used_bytes < 512 * 1024:
            self.store.commit([Append([])])
            assert not any(title.gap_count for title in self.store.titles.values())
        assert self.store.memos.values == self.model.memos
        assert (self.store.epoch, self.store.counts.repairs) == (self.epoch, 0)
        assert self.path.stat().st_size <= 1024 * 1024

    def missing_may_go(self, stream: Stream, missing: set[int]) -> None:
        self.dropped[stream.value] += len(missing)
        assert not (missing and stream is VITAL)
        if stream is STATE:
            newest = {key: seq for seq, (key, _) in self.model.entries[STATE].items()}
            skipped = self.store.titles[STATE].gap_count
            assert len([seq for seq in missing if newest[self.model.entries[STATE][seq][0]] == seq]) <= skipped

    def learn(self, body: bytes) -> None:
        event = from_json(body)
        assert event["type"] == "gatefleet.EntriesDropped.v1"
        self.told[event["data"]["stream"]] += event["data"]["count"]

    def read(self, stream: Stream) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        before = self.model.acked[stream]
        while part := self.reader.read(stream, before, 7, 100_000, self.model.acked[stream]).entries:
            for entry in part:
                assert entry.after == before
                before = entry.seq
                found[entry.seq] = entry.body
        return found

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.close()
        shutil.rmtree(self.root)


BufferLife.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBufferLife = pytest.mark.slow(BufferLife.TestCase)
