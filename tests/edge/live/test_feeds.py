"""One session for all who look: `edge.live.feeds` and `edge.live.stills`."""

import asyncio
import contextlib

import pytest

from core.errors import DeviceSilent, LinkLost, Unsupported
from drivers.onvif_camera.picture import read_picture
from edge.live.feeds import MOST_UNITS, Feed, Feeds, Watcher
from edge.live.h26x import AccessUnit
from edge.live.stills import Stills
from simulators.rtsp import Manners, RtspCamera, serve_rtsp

from .conftest import QUICK, Eye


@pytest.fixture
async def feeds():
    tasks = []

    def start(work, name):
        tasks.append(asyncio.create_task(work, name=name))
        return tasks[-1]

    yield Feeds(start, QUICK)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def eye(camera):
    return Eye(camera.url, camera.login)


async def test_two_who_look_share_one_session_which_is_given_back_when_the_last_leaves(feeds):
    async with serve_rtsp() as camera:
        async with feeds.watch("cam-1", eye(camera)) as first:
            seen = [await first.next() for _ in range(3)]
            async with feeds.watch("cam-1", eye(camera)) as second:
                assert (await second.next()).key, "who comes later begins with a key picture"
            assert camera.playing == 1
            seen += [await first.next() for _ in range(3)]
        assert seen[0].key
        await camera.until(lambda one: one.playing == 0)
        assert (camera.most, camera.asked["PLAY"], camera.asked["TEARDOWN"]) == (1, 1, 1)
        assert feeds.playing == {}
        assert feeds.units >= 6
        async with feeds.watch("cam-1", eye(camera)) as again:
            await again.next()
        assert camera.asked["PLAY"] == 2


def unit(time, *, key=False, size=10):
    return AccessUnit(time, key, bytes(size))


async def test_one_who_is_slow_loses_up_to_the_next_key_picture_and_hurts_nobody():
    feed = Feed("rtsp://x/", None, None)
    slow, quick = Watcher(feed), Watcher(feed)
    got = []
    for number in range(3 * MOST_UNITS):
        one = unit(number, key=number % 25 == 0)
        for watcher in (slow, quick):
            watcher.put(one)
        got.append((await quick.next()).time)
    assert got == list(range(3 * MOST_UNITS))
    assert (quick.dropped, len(slow._units) <= MOST_UNITS) == (0, True)
    late = [await slow.next() for _ in range(len(slow._units))]
    assert late[0].key
    assert [one.time for one in late] == list(range(late[0].time, 3 * MOST_UNITS))
    assert slow.dropped + len(late) == 3 * MOST_UNITS - 0 or slow.dropped > 0
    assert feed.dropped == slow.dropped > 0


async def test_what_waits_for_one_is_bounded_in_bytes_too():
    watcher = Watcher(Feed("rtsp://x/", None, None))
    for number in range(30):
        watcher.put(unit(number, key=True, size=1 << 20))
        assert watcher._bytes <= 8 << 20


@pytest.mark.parametrize(
    ("manners", "error"),
    [
        (Manners(codec="JPEG"), Unsupported),
        (Manners(mute=True), DeviceSilent),
        (Manners(stalls_after=3), DeviceSilent),
    ],
)
async def test_all_who_watch_hear_why_it_ended_and_the_next_begins_anew(feeds, manners, error):
    async with serve_rtsp(RtspCamera(manners=manners)) as camera:

        async def look():
            async with feeds.watch("cam-1", eye(camera)) as watcher:
                while True:
                    await watcher.next()

        ended = await asyncio.gather(look(), look(), return_exceptions=True)
        assert [type(one) for one in ended] == [error, error]
        assert feeds.playing == {}
        camera.manners = Manners()
        async with feeds.watch("cam-1", eye(camera)) as watcher:
            assert (await watcher.next()).key


async def test_one_who_leaves_before_it_begins_leaves_nothing_behind(feeds):
    async with serve_rtsp(RtspCamera(manners=Manners(mute=True))) as camera:

        async def look():
            async with feeds.watch("cam-1", eye(camera)):
                pass

        looking = asyncio.create_task(look())
        await asyncio.sleep(0.05)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        assert feeds.playing == {}


async def test_a_camera_that_is_not_connected_says_so_and_leaves_nothing_behind(feeds):
    class Away(Eye):
        def stream(self):
            raise LinkLost("not connected")

    with pytest.raises(LinkLost):
        async with feeds.watch("cam-1", Away()):
            pass
    assert feeds.playing == {}


# -- stills ----------------------------------------------------------------------------------------------------------


async def test_a_camera_is_asked_for_one_still_however_many_look(feeds):
    stills, camera = Stills(feeds, pace_s=0.1), Eye(stills=True)

    async def look(many):
        async with contextlib.aclosing(stills.pictures("cam-1", camera)) as found:
            return [await anext(found) for _ in range(many)]

    seen = await asyncio.gather(*(look(3) for _ in range(5)))
    assert camera.asked <= 4
    assert all(read_picture(one).width for some in seen for one in some)
    assert stills.kept == {}


async def test_a_camera_without_stills_gives_its_key_pictures_decoded_once(feeds, monkeypatch):
    import edge.live.stills as room

    decoded = []
    real = room._jpeg
    monkeypatch.setattr(room, "_jpeg", lambda data, codec: decoded.append(data) or real(data, codec))
    stills = Stills(feeds, pace_s=0.01)
    async with serve_rtsp() as camera:

        async def look():
            async with contextlib.aclosing(stills.pictures("cam-1", eye(camera))) as found:
                return [await anext(found) for _ in range(2)]

        first, second = await asyncio.gather(look(), look())
    assert first == second
    assert first[0] != first[1]
    assert len(decoded) == 2
    picture = read_picture(first[0])
    assert (picture.width, picture.height) == (320, 240)


async def test_a_camera_that_fails_to_give_a_still_is_told_as_it_is(feeds):
    stills = Stills(feeds, pace_s=0.01)
    with pytest.raises(DeviceSilent):
        await anext(stills.pictures("cam-1", Eye(stills=DeviceSilent("no answer"))))
