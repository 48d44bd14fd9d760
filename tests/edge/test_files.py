"""Files named by their digest: durable, once, bounded, and gone when nobody needs them."""

import asyncio
import contextlib
import hashlib
import os
import threading
from pathlib import Path

import pytest

from core.crypto import suite
from core.errors import BufferUnavailable
from edge.files import FileStore, Vault, name_of

JPEG = b"\xff\xd8\xff" + b"p" * 97


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def picture(number):
    return JPEG[:-1] + bytes([number])


@pytest.fixture
def vault():
    crypto = suite("sm")
    key = crypto.generate_seal_key()
    return Vault(lambda data: crypto.seal(key, data), lambda sealed: crypto.open(key, sealed))


async def test_a_content_is_on_the_disk_with_its_name_when_put_returns(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: (synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name), real(descriptor)),
    )
    files = FileStore(tmp_path / "x", 1000)
    name = await files.put(JPEG, "image/jpeg")
    assert name == hashlib.sha256(JPEG).hexdigest() + ".jpg"
    assert (tmp_path / "x" / name).read_bytes() == JPEG
    assert synced == [tmp_path.name, f"{name}.part", "x"]
    assert (tmp_path / "x" / name).stat().st_mode & 0o777 == 0o600


async def test_the_same_content_is_kept_once_until_it_is_released_as_often_as_it_was_put(tmp_path):
    files = FileStore(tmp_path, 1000)
    name = await files.put(JPEG, "image/jpeg")
    assert await files.put(JPEG, "image/jpeg") == name
    assert (files.counts.put, files.bytes) == (1, 100)
    await files.release([name])
    assert await files.read(name) == JPEG
    await files.release([name])
    assert (await files.read(name), files.bytes, listed(tmp_path)) == (b"", 0, [])


async def test_the_oldest_give_way_and_are_counted(tmp_path):
    files = FileStore(tmp_path, 250)
    names = [await files.put(picture(number), "image/jpeg") for number in range(4)]
    assert [bool(await files.read(name)) for name in names] == [False, False, True, True]
    assert (files.counts.dropped, files.counts.dropped_bytes, files.bytes) == (2, 200, 200)
    assert listed(tmp_path) == sorted(names[2:])
    again = FileStore(tmp_path, 250)
    await again.open()
    assert (again.bytes, len(again)) == (200, 2)


async def test_one_that_is_larger_than_the_bound_is_kept_alone(tmp_path):
    files = FileStore(tmp_path, 50)
    await files.put(picture(1), "image/jpeg")
    name = await files.put(picture(2), "image/jpeg")
    assert listed(tmp_path) == [name]


async def test_what_nobody_uses_any_more_and_what_was_not_finished_goes_at_the_start(tmp_path):
    files = FileStore(tmp_path, 1000)
    names = [await files.put(picture(number), "image/jpeg") for number in range(2)]
    (tmp_path / f"{names[0]}.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours", encoding="utf-8")
    again = FileStore(tmp_path, 1000)
    await again.open({names[1]: 1})
    assert listed(tmp_path) == sorted([names[1], "notes.txt"])
    await again.release([names[1]])
    assert listed(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"other"), lambda path: path.unlink()])
async def test_a_content_that_does_not_fit_its_name_is_as_if_it_were_not_there(tmp_path, vault, harm):
    for kept in (FileStore(tmp_path / "plain", 1000), FileStore(tmp_path / "sealed", 1000, vault)):
        name = await kept.put(JPEG, "image/jpeg")
        harm(next((tmp_path / ("plain" if kept._vault is not vault else "sealed")).iterdir()))
        assert await kept.read(name) == b""


async def test_nobody_reads_it_without_the_key(tmp_path, vault):
    files = FileStore(tmp_path, 1000, vault)
    name = await files.put(JPEG, "image/jpeg")
    assert b"pppp" not in (tmp_path / name).read_bytes()
    assert await files.read(name) == JPEG
    assert await FileStore(tmp_path, 1000).read(name) == b""


async def test_a_disk_that_fails_is_told_and_keeps_nothing(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("in the way", encoding="utf-8")
    files = FileStore(folder, 1000)
    with pytest.raises(BufferUnavailable):
        await files.put(JPEG, "image/jpeg")
    assert (len(files), files.bytes, name_of(JPEG, "x/y")[-4:]) == (0, 0, ".bin")
    folder.unlink()
    assert await files.read(await files.put(JPEG, "image/jpeg")) == JPEG


async def test_what_has_given_way_and_what_could_not_be_kept_is_forgotten_whole(tmp_path, monkeypatch):
    """Where nobody counts uses, as for a daemon's own media, a name of each picture ever taken stayed in memory."""
    files = FileStore(tmp_path, 250)
    await files.open()
    for number in range(20):
        await files.put(picture(number), "image/jpeg")
    assert len(files._uses) <= len(files) == 2

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.files._write", full)
    for number in range(20, 40):
        with pytest.raises(BufferUnavailable):
            await files.put(picture(number), "image/jpeg")
    assert len(files._uses) <= 2


async def test_a_put_that_is_given_up_is_brought_to_its_end_and_counted(tmp_path, monkeypatch):
    """A terminal that hangs up while its picture is written, and sends it again at once, over another connection."""
    files = FileStore(tmp_path, 1000)
    await files.open()
    from edge import files as module

    real, writes, goes_on = module._write, [], threading.Event()

    def slow(path, data):
        writes.append(path.name)
        goes_on.wait(5)
        real(path, data)

    monkeypatch.setattr(module, "_write", slow)
    first = asyncio.create_task(files.put(JPEG, "image/jpeg"))
    async with asyncio.timeout(5):
        while not writes:
            await asyncio.sleep(0.001)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(files.put(JPEG, "image/jpeg"))
    await asyncio.sleep(0)
    goes_on.set()
    name = await second
    assert (writes, files.bytes, listed(tmp_path)) == ([name], 100, [name])
