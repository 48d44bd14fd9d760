"""The durable buffer beside the disk it stands on: `python bench/buffer.py [--dir DIR] [--seconds 5]`.

Each row is measured in turns with a raw write + fdatasync of as many bytes on the same file system, so that a busy disk
slows both. Rates are of one caller that waits for each append.
"""

import argparse
import asyncio
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from core.messages.envelope import ClockSource, Packed, Stamp, pack
from core.messages.event import Stream
from core.messages.events import DeviceMeasured
from edge.buffer import Buffer, open_buffer

MB = 1024 * 1024


def stamp() -> Stamp:
    return Stamp(datetime.now(UTC), time.monotonic_ns() // 10**6, "5d1c8a0e-boot", ClockSource.NTP, 12, 3)


def reading() -> Packed:
    readings = {f"channel_{n}_c": 20.0 + n / 7 for n in range(6)}
    return pack(DeviceMeasured(device="hengqin.gates/gate-07", readings=readings), stamp())


class Raw:
    """A file that is written and synced without any database."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.posix_fallocate(self._file, 0, 8 * MB)
        os.fsync(self._file)
        self._at = 0

    def write(self, size: int) -> float:
        """Write and sync; return the seconds it took."""
        begun = time.perf_counter()
        os.pwrite(self._file, bytes(size), self._at % (7 * MB))
        os.fdatasync(self._file)
        self._at += size
        return time.perf_counter() - begun


async def appends(buffer: Buffer, raw: Raw, many: int, seconds: float) -> None:
    group = [reading() for _ in range(many)]
    size = sum(len(item.body) for item in group)
    ours: list[float] = []
    theirs: list[float] = []
    cpu = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            busy, begun = time.process_time(), time.perf_counter()
            await buffer.append(group)
            ours.append(time.perf_counter() - begun)
            cpu += time.process_time() - busy
        theirs += [raw.write(size + 4096) for _ in range(20)]
    rate = many * len(ours) / sum(ours)
    print(
        f"append x {many:<5} {rate:>9,.0f} rows/s  {cpu / len(ours) / many * 1e6:>6.1f} us CPU/row"
        f"  p50 {_ms(statistics.median(ours))}  p99 {_ms(_p99(ours))}"
        f"  | raw fdatasync p50 {_ms(statistics.median(theirs))}  p99 {_ms(_p99(theirs))}"
    )


async def crowd(buffer: Buffer, callers: int, seconds: float) -> None:
    """Many callers with one entry each: how group commit shares an fsync."""
    done = 0
    end = time.monotonic() + seconds

    async def caller() -> None:
        nonlocal done
        item = reading()
        while time.monotonic() < end:
            await buffer.append([item])
            done += 1

    begun, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    rate = done / (time.perf_counter() - begun)
    print(f"{callers} callers x 1 {rate:>8,.0f} rows/s  {(time.process_time() - busy) / done * 1e6:>6.1f} us CPU/row")


async def reads_and_acks(buffer: Buffer) -> None:
    stream = Stream.TELEMETRY
    begun, busy, count, after = time.perf_counter(), time.process_time(), 0, buffer.depth(stream).acked
    while entries := await buffer.read(stream, after, entries=500, bytes_=MB):
        after = entries[-1].seq
        count += len(entries)
    spent = time.perf_counter() - begun
    cpu = (time.process_time() - busy) / count * 1e6
    print(f"read x 500   {count / spent:>9,.0f} rows/s  {cpu:>6.1f} us CPU/row")
    begun = time.perf_counter()
    for upto in range(500, after, 500):
        await buffer.acked(stream, upto)
    await buffer.acked(stream, after)
    while buffer.depth(stream).entries:  # noqa: ASYNC110  a buffer has no event for acks
        await asyncio.sleep(0.01)
    print(f"ack x 500    {count / (time.perf_counter() - begun):>9,.0f} rows/s")


async def opening(path: Path, size: int) -> None:
    async with open_buffer(path, 2 * size, stamp) as buffer:
        group = [reading() for _ in range(1000)]
        while buffer.used_bytes < size:
            await buffer.append(group)
    begun = time.perf_counter()
    async with open_buffer(path, 2 * size, stamp) as buffer:
        spent = time.perf_counter() - begun
        entries = buffer.depth(Stream.TELEMETRY).entries
    print(f"open         {size // MB} MB, {entries:,} entries, after a clean end: {_ms(spent)}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


async def run(folder: Path, seconds: float) -> None:
    raw = Raw(folder / "raw")
    print(f"bodies of {len(reading().body)} bytes")
    async with open_buffer(folder / "buffer", 512 * MB, stamp) as buffer:
        for many in (1, 10, 100, 1000):
            await appends(buffer, raw, many, seconds)
        await crowd(buffer, 100, seconds)
        await reads_and_acks(buffer)
    await opening(folder / "big", 512 * MB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, help="where the disk is that counts (default: the temporary directory)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of the table")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.dir) as folder:
        asyncio.run(run(Path(folder), options.seconds))


if __name__ == "__main__":
    main()
