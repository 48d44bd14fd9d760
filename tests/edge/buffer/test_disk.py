"""Disk full never stops the daemon: appends are refused with a cure, and it goes on by itself when space returns."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from core.errors import BufferUnavailable
from core.messages.envelope import Packed
from core.messages.event import Stream
from edge.buffer import Buffer

MB = 1024 * 1024
VITAL, STATE, TELEMETRY = Stream
Make = Callable[..., list[Packed]]
Open = Callable[..., AbstractAsyncContextManager[Buffer]]


class Tmpfs:
    """A file system of 8 MB, filled by a file beside the buffer's."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        filler = os.open(self.root / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        os.write(filler, bytes(size))
                except OSError:
                    continue
        finally:
            os.close(filler)

    def free(self) -> None:
        (self.root / "filler").unlink()


class FileLimit:
    """A limit on how long any file of this process may grow: writes fail as they do on a full disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


Disk = Tmpfs | FileLimit


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Tmpfs]:
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root], check=False, capture_output=True, timeout=10
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield Tmpfs(root)
    subprocess.run(["umount", root], check=True, timeout=10)


@pytest.fixture
def file_limit(tmp_path: Path) -> Iterator[FileLimit]:
    disk = FileLimit(tmp_path)
    yield disk
    disk.free()


@pytest.fixture(params=["tmpfs", "file_limit"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return request.getfixturevalue(request.param)


async def refused(buffer: Buffer, made: list[Packed]) -> BufferUnavailable:
    """Append until the disk says no: the log may have room within what it has."""
    for _ in range(1000):
        try:
            await buffer.append(made)
        except BufferUnavailable as error:
            return error
    pytest.fail("the disk is not full")


async def healthy_again(buffer: Buffer) -> None:
    async with asyncio.timeout(10):
        while not buffer.healthy:
            await buffer._changed.wait()


async def test_a_full_disk_refuses_appends_and_all_goes_on_by_itself(opened: Open, entries: Make, disk: Disk) -> None:
    async with opened(at=disk.root / "gates.buffer") as buffer:
        kept = await buffer.append(entries(VITAL, 100), {"lane/1": b"idle"})
        disk.fill()
        error = await refused(buffer, entries(VITAL, 100))
        assert (error.retriable, error.place) == (True, str(buffer.path))
        assert not buffer.healthy
        assert buffer.trouble
        assert (await buffer.read(VITAL, 0, entries=1, bytes_=1))[0].seq == 1
        assert buffer.memo("lane/1") == b"idle"
        disk.free()
        await healthy_again(buffer)
        newest = buffer.newest(VITAL)
        assert await buffer.append(entries(VITAL, 1)) == (newest + 1,)
        assert newest >= kept[-1]
        assert buffer.counts.repairs == 0
    async with opened(at=disk.root / "gates.buffer") as buffer:
        assert buffer.newest(VITAL) == newest + 1


async def test_an_append_right_after_space_returned_goes_through(opened: Open, entries: Make, disk: Disk) -> None:
    async with opened(at=disk.root / "gates.buffer") as buffer:
        await buffer.append(entries(VITAL, 100))
        disk.fill()
        await refused(buffer, entries(VITAL, 100))
        disk.free()
        await buffer.append(entries(VITAL, 100))
        assert buffer.healthy


async def test_a_full_disk_at_the_start_stops_nothing(opened: Open, entries: Make, disk: Disk) -> None:
    async with opened(at=disk.root / "gates.buffer") as buffer:
        epoch = buffer.epoch
        await buffer.append(entries(VITAL, 10), {"lane/1": b"idle"})
    disk.fill()
    async with opened(at=disk.root / "gates.buffer") as buffer:
        assert (buffer.epoch, buffer.memo("lane/1")) == (epoch, b"idle")
        assert buffer.depth(VITAL).entries == 10
        await refused(buffer, entries(VITAL, 100))
        disk.free()
        await healthy_again(buffer)
        assert len(await buffer.read(VITAL, 0, entries=99, bytes_=MB)) >= 10


async def test_a_full_disk_and_no_file_yet(opened: Open, entries: Make, disk: Disk) -> None:
    disk.fill()
    async with opened(at=disk.root / "gates.buffer") as buffer:
        epoch = buffer.epoch
        await refused(buffer, entries(VITAL, 1))
        with pytest.raises(BufferUnavailable):
            await buffer.read(VITAL, 0, entries=99, bytes_=MB)
        disk.free()
        await healthy_again(buffer)
        assert await buffer.append(entries(VITAL, 1)) == (1,)
        assert buffer.epoch == epoch
