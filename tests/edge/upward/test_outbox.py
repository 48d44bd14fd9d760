"""What waits for an upper library outlives us, is bounded, and leaves only when it was taken."""

import asyncio
import contextlib
from datetime import datetime, timedelta, timezone

import pytest

from core.crypto import suite
from core.errors import BufferUnavailable
from core.messages.event import Stream
from drivers.facts import Image, PlateRead
from drivers.gat1400.answers import Status
from drivers.gat1400.bodies import OutVehicle
from drivers.gat1400.facts import FaceSeen, KeptAlive, PersonSeen
from drivers.gat1400.ids import is_object_id
from edge.clock import Clock
from edge.files import PLAIN, Vault
from edge.upward.level import UpperLevel
from edge.upward.objects import Naming, as_row, from_row, out_object
from edge.upward.outbox import MAX_ASIDE, open_outbox

from .test_gat1400 import upper_level

CHINA = timezone(timedelta(hours=8))
AT = datetime(2026, 5, 1, 8, 30, 15, tzinfo=CHINA)
CAMERA, GATE = "44049900001190000007", "44049900001210000001"
NAMING = Naming(CAMERA, GATE, CHINA)
REFUSAL = Status("x", 8, "Invalid JSON Content")
MB = 1_000_000


def read(number, *, size=100, at=AT, **changes):
    images = tuple(
        Image(role, "image/jpeg", b"\xff\xd8\xff" + f"{number} {role}".encode().ljust(size, b"\0"))
        for role in ("scene", "plate")
    )
    return PlateRead(
        f"粤B{number:05d}",
        **({"object_id": f"uuid-{number}", "taken_at": at, "images": images, "colour": "blue"} | changes),
    )


def vehicle(number, **changes):
    return out_object(read(number, **changes), NAMING, AT)


@contextlib.asynccontextmanager
async def opened(folder, *, quota=20 * MB, vault=PLAIN, most_bytes=MB):
    async with open_outbox(folder, quota, vault, Clock().stamp, most_bytes=most_bytes) as outbox:
        yield outbox


async def peeked(outbox, limit):
    async with asyncio.timeout(5):
        return await outbox.peek(limit)


async def plates(outbox, limit=100):
    return [item.what.plate[-1] for item in await peeked(outbox, limit)]


def pictures(folder):
    return len(list((folder / "pictures").iterdir())) if (folder / "pictures").exists() else 0


async def until(true):
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_restart_loses_nothing_and_renames_nothing(tmp_path):
    async with opened(tmp_path) as outbox:
        for number in range(3):
            await outbox.put(vehicle(number))
        before = [item.what for item in await peeked(outbox, 10)]
        await outbox.acknowledge((await peeked(outbox, 10))[0])
    async with opened(tmp_path) as outbox:
        assert [item.what for item in await peeked(outbox, 10)] == before[1:]
        assert (outbox.waiting, outbox.oldest is not None, pictures(tmp_path)) == (2, True, 4)


async def test_the_same_again_is_nothing_new_but_more_pictures_are(tmp_path):
    async with opened(tmp_path) as outbox:
        await outbox.put(vehicle(1, images=()))
        await outbox.put(vehicle(1, images=()))
        assert (outbox.waiting, outbox.counts.repeats) == (1, 1)
        await outbox.put(vehicle(1))
        assert outbox.waiting == 2
        for item in await peeked(outbox, 10):
            await outbox.acknowledge(item)
        await outbox.put(vehicle(1))
        assert (outbox.waiting, outbox.counts.repeats, outbox.counts.delivered) == (0, 2, 2)


async def test_what_is_taken_leaves_the_disk_with_its_pictures_and_what_others_need_stays(tmp_path):
    async with opened(tmp_path) as outbox:
        shared = Image("scene", "image/jpeg", b"\xff\xd8\xff one for two")
        await outbox.put(vehicle(1, images=(shared,)))
        await outbox.put(vehicle(2, images=(shared,)))
        assert pictures(tmp_path) == 1
        first, second = await peeked(outbox, 10)
        await outbox.acknowledge(first)
        looking = asyncio.create_task(outbox.peek(10))
        assert [item.key for item in await looking] == [second.key]
        assert pictures(tmp_path) == 1
        await outbox.acknowledge(second)
        waiting = asyncio.create_task(outbox.peek(10))
        await until(lambda: pictures(tmp_path) == 0)
        assert outbox.buffer.depth(Stream.TELEMETRY).entries == 0
        waiting.cancel()


async def test_a_picture_stays_as_long_as_an_older_object_keeps_its_row_there(tmp_path):
    """Were it removed at once, a restart would send the object again without it."""
    async with opened(tmp_path) as outbox:
        for number in (1, 2):
            await outbox.put(vehicle(number))
        await outbox.acknowledge((await peeked(outbox, 10))[1])
        await asyncio.sleep(0.6)
        await outbox._tidy()
        assert pictures(tmp_path) == 4
    async with opened(tmp_path) as outbox:
        assert [len(item.what.images) for item in await peeked(outbox, 10)] == [2, 2]


async def test_what_is_refused_is_set_aside_counted_and_not_sent_again(tmp_path):
    async with opened(tmp_path) as outbox:
        for number in (1, 2):
            await outbox.put(vehicle(number))
        first = (await peeked(outbox, 1))[0]
        await outbox.refused(first, REFUSAL)
        assert (outbox.counts.set_aside, outbox.last_refusal, await plates(outbox)) == (
            1,
            "8 Invalid JSON Content",
            ["2"],
        )
        (entry,) = await outbox.buffer.read(Stream.STATE, 0, entries=10, bytes_=MB)
        aside = outbox._opened(entry.body)
        assert (aside["id"], aside["why"], aside["images"]) == (first.what.object_id, "8 Invalid JSON Content", [])
    async with opened(tmp_path) as outbox:
        assert await plates(outbox) == ["2"]
        assert pictures(tmp_path) == 2


async def test_no_more_than_so_many_are_kept_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.upward.outbox.MAX_ASIDE", 3)
    assert MAX_ASIDE == 1000
    async with opened(tmp_path) as outbox:
        for number in range(6):
            await outbox.put(vehicle(number, images=()))
            await outbox.refused((await peeked(outbox, 1))[0], REFUSAL)
    async with opened(tmp_path) as outbox:
        assert outbox.buffer.depth(Stream.STATE).entries == 3


async def test_the_oldest_pictures_give_way_before_any_object_does(tmp_path):
    async with opened(tmp_path, quota=9 * MB) as outbox:
        for number in range(9):
            await outbox.put(vehicle(number, size=600_000))
        assert (outbox.waiting, outbox.files.counts.dropped > 0) == (9, True)
        assert outbox.files.bytes <= 9 * MB // 2
        found = {}
        while outbox.waiting:
            for item in await peeked(outbox, 100):
                found[item.what.plate[-1]] = len(item.what.images)
                await outbox.acknowledge(item)
        assert sorted(found) == [str(number) for number in range(9)]
        assert found["0"] == 0
        assert found["8"] == 2


async def test_then_the_oldest_objects_give_way_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.upward.outbox._LEAST_ROWS_BYTES", MB)
    async with opened(tmp_path, quota=MB) as outbox:
        for number in range(2000):
            await outbox.put(vehicle(number, images=()))
        assert outbox.counts.lost > 0
        assert outbox.waiting == 2000 - outbox.counts.lost
        first = (await peeked(outbox, 1))[0]
        assert int(first.what.plate[2:]) == outbox.counts.lost
    async with opened(tmp_path, quota=MB) as again:
        assert again.waiting == 2000 - outbox.counts.lost


async def test_one_request_takes_no_more_memory_than_it_may(tmp_path):
    async with opened(tmp_path, most_bytes=250_000) as outbox:
        for number in range(5):
            await outbox.put(vehicle(number, size=100_000))
        assert len(await peeked(outbox, 100)) == 2


async def test_plates_and_faces_are_sealed_where_they_wait(tmp_path):
    crypto = suite("sm")
    key = crypto.generate_seal_key()
    vault = Vault(lambda data: crypto.seal(key, data), lambda sealed: crypto.open(key, sealed))
    async with opened(tmp_path, vault=vault) as outbox:
        await outbox.put(vehicle(12345))
    raw = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "粤B12345".encode() not in raw
    assert b"12345 plate" not in raw
    assert b"\\u7ca4B12345" not in raw
    async with opened(tmp_path, vault=vault) as outbox:
        assert await plates(outbox) == ["5"]
    async with opened(tmp_path) as outbox:  # with another key: told and counted, in nobody's way
        await outbox.put(vehicle(7))
        assert await plates(outbox) == ["7"]
        assert outbox.counts.lost == 1


async def test_where_it_cannot_be_durable_it_is_said_and_nothing_is_kept(tmp_path):
    async with opened(tmp_path) as outbox:
        (tmp_path / "pictures").write_text("in the way", encoding="utf-8")
        with pytest.raises(BufferUnavailable):
            await outbox.put(vehicle(1))
        assert (outbox.waiting, outbox.counts.put) == (0, 0)
        (tmp_path / "pictures").unlink()
        await outbox.put(vehicle(1))
        assert await plates(outbox) == ["1"]


async def test_subscriptions_are_there_again_and_ended_ones_are_not(tmp_path):
    async with opened(tmp_path) as outbox:
        await outbox.keep({"s1": {"SubscribeID": "s1"}, "s2": {"SubscribeID": "s2"}})
        await outbox.keep({"s2": {"SubscribeID": "s2", "Title": "过车"}})
    async with opened(tmp_path) as outbox:
        assert outbox.memo() == {"s2": {"SubscribeID": "s2", "Title": "过车"}}


async def test_one_poisoned_object_is_set_aside_and_all_the_others_arrive(tmp_path):
    """An upper library that breaks down over one object is not asked to take it for ever."""
    from drivers.digest import Login
    from edge.supervisor import Supervisor
    from edge.upward.gat1400 import UpwardClient

    async with upper_level() as upper, opened(tmp_path) as outbox:
        poisoned = vehicle(0)
        real = upper.of_data

        async def breaks(request, asked):
            if poisoned.object_id.encode() in asked.body:
                upper.manners.appendleft("fails")
            return await real(request, asked)

        upper.of_data = breaks
        for number in range(16):
            await outbox.put(vehicle(number, images=()))
        level = UpperLevel(
            url=upper.url,
            device_id="44049900005030000001",
            organisation="440499000000",
            timeout_s=1,
            batch=4,
            first_pause_s=0.01,
        )
        client = UpwardClient(level, Login("account", "right"), outbox, now=lambda: AT)
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, first_s=0.01, longest_s=0.02)
            supervisor.keep("upward", client.run)
            await until(lambda: not outbox.waiting)
            await supervisor.stop()
        assert (outbox.counts.delivered, outbox.counts.set_aside) == (15, 1)
        assert poisoned.object_id not in {fact.object_id for fact in upper.facts}


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        (read(1), "02"),
        (FaceSeen("f1", seen_at=AT, box=(1, 2, 3, 4), images=read(1).images), "06"),
        (PersonSeen("p1", seen_at=AT, images=()), "01"),
        (PlateRead(""), "02"),
    ],
)
def test_an_object_has_an_id_of_the_standard_which_is_always_the_same(fact, kind):
    what = out_object(fact, NAMING, AT)
    assert is_object_id(what.object_id, CHINA)
    assert (what.object_id[:20], what.object_id[41:43]) == (CAMERA, kind)
    assert out_object(fact, NAMING, AT).object_id == what.object_id
    assert len({image.image_id for image in what.images} | {what.object_id[:41]}) <= 2
    bare, files = from_row(as_row(what, tuple(f"f{n}" for n, _ in enumerate(what.images))))
    assert (bare.object_id, len(files), type(bare)) == (what.object_id, len(what.images), type(what))


def test_reads_that_differ_have_different_ids_and_a_cameras_own_id_is_kept():
    names = {vehicle(number).object_id for number in range(1000)} | {vehicle(1, at=AT + timedelta(seconds=1)).object_id}
    assert len(names) == 1001
    own = f"{CAMERA}0220260501083000000010200001"
    assert vehicle(1, object_id=own).object_id == own
    assert vehicle(1, object_id="9" * 20 + own[20:]).object_id.startswith(CAMERA)
    assert out_object(KeptAlive("x"), NAMING, AT) is None
    assert isinstance(vehicle(1), OutVehicle)
