"""Nothing acked is lost: the commit and its fsync come first, and a process that is killed has kept its word."""

import random
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from core.messages.event import Stream
from edge.buffer import Buffer, Entry

Open = Callable[..., AbstractAsyncContextManager[Buffer]]
ROOT = Path(__file__).parents[3]
VITAL, STATE, TELEMETRY = Stream

CHILD = """
    import asyncio, itertools, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from core.messages.envelope import ClockSource, Packed, Stamp
    from core.messages.event import Stream
    from edge.buffer import open_buffer

    async def main():
        stamp = lambda: Stamp(datetime.now(UTC), 0, "boot", ClockSource.NTP, 0, 0)
        rounds = int(sys.argv[2])
        async with open_buffer(Path(sys.argv[1]), 4 << 20, stamp) as buffer:
            start = buffer.newest(Stream.VITAL)
            for number in itertools.count(start + 1) if not rounds else range(start + 1, start + 1 + rounds):
                body = b'{"n":%d,"x":"%s"}' % (number, b"x" * (number * 37 % 900))
                entries = [Packed(Stream.VITAL, "k", body), Packed(Stream.TELEMETRY, "k", body)]
                await buffer.append(entries, {"last": b"%d" % number})
                os.write(1, b"acked %d\\n" % number)
                if number % 50 == 0:
                    await buffer.acked(Stream.TELEMETRY, number - 10)

    asyncio.run(main())
"""


def child(path: Path, rounds: int, *before: str) -> "subprocess.Popen[str]":
    command = [*before, sys.executable, "-c", textwrap.dedent(CHILD), str(path), str(rounds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


CALL = re.compile(r"^(\d+) +[\d.]+ (?:(\w+)\((?:\d+<([^>]*)>)?(.*)|<\.\.\. (\w+) resumed>(.*))$")


def syscalls(trace: str) -> list[tuple[str, str, str]]:
    """Return (call, path, rest) in the order in which the calls came to their end."""
    begun: dict[str, tuple[str, str, str]] = {}
    done = []
    for line in trace.splitlines():
        match = CALL.match(line)
        if not match:
            continue
        process, call, path, rest, resumed, result = match.groups()
        if resumed:
            call, path, rest = begun.pop(process)
            done.append((call, path, rest + result))
        elif rest.endswith("<unfinished ...>"):
            begun[process] = call, path or "", rest
        else:
            done.append((call, path or "", rest))
    return done


@pytest.mark.real
@pytest.mark.slow
def test_the_log_is_on_the_disk_before_an_append_returns(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    tracing = ["strace", "-f", "-y", "-ttt", "-s", "16", "-o", str(trace)]
    process = child(tmp_path / "b", 30, *tracing, "-e", "trace=fsync,fdatasync,write,pwrite64")
    output, _ = process.communicate(timeout=60)
    assert output.count("acked") == 30
    synced, dirty, acked = False, False, 0
    for call, path, rest in syscalls(trace.read_text()):
        if call == "pwrite64" and path.endswith("/b-wal"):
            synced, dirty = False, True
        elif call in ("fsync", "fdatasync") and path.endswith("/b-wal") and rest.rstrip().endswith("= 0"):
            synced = dirty
        elif call == "write" and rest.startswith(', "acked'):
            acked += 1
            assert synced, f"append {acked} returned before its log was synced"
            synced = dirty = False
    assert acked == 30


async def everything(buffer: Buffer, stream: Stream) -> list[Entry]:
    found: list[Entry] = []
    while part := await buffer.read(stream, found[-1].seq if found else 0, entries=2000, bytes_=1 << 20):
        found += part
    return found


@pytest.mark.slow
async def test_a_killed_process_has_lost_nothing_that_was_acked(opened: Open, path: Path) -> None:
    chance = random.Random(7)
    acked = 0
    for _ in range(5):
        with child(path, 0) as process:
            assert process.stdout
            stop_at = acked + chance.randrange(1, 400)
            while acked < stop_at:
                acked = int(process.stdout.readline().split()[1])
            process.kill()
            acked = max([acked, *(int(line.split()[1]) for line in process.stdout if line.endswith("\n"))])
    async with opened() as buffer:
        read = await everything(buffer, VITAL)
        assert [entry.seq for entry in read] == list(range(1, len(read) + 1))
        assert [entry.body.split(b",")[0] for entry in read] == [b'{"n":%d' % entry.seq for entry in read]
        assert acked <= len(read) <= acked + 1
        assert buffer.memo("last") == b"%d" % len(read)
        assert buffer.newest(TELEMETRY) == len(read)
        assert buffer.counts.repairs == 0
