"""A daemon with a view library above it: what its cameras see arrives there, whatever is killed in between."""

import asyncio
import contextlib
import json
import signal
import sys
import tomllib
import urllib.request
from collections import Counter, deque

import aiohttp
import pytest
import tomli_w

from core.errors import BufferUnavailable, ConfigInvalid
from core.messages.event import Stream
from drivers.facts import PlateRead
from drivers.gat1400.bodies import subscribe
from drivers.gat1400.codes import PERSONS
from drivers.gat1400.facts import FaceSeen, PersonSeen
from drivers.gat1400.subscriptions import Subscription
from edge.cli.sentences import told
from edge.config import parse_config
from edge.upward.ground import Ground, Standing
from edge.upward.platforms import build_platforms, findings
from simulators.gat1400 import camera as view_camera
from simulators.hik_anpr import PlateCamera
from simulators.onvif_camera import serve_camera
from simulators.pushing import pushing

from .test_all_devices import PUSHES, device, running, site, stored, until_stored, unused_port
from .upward.test_gat1400 import CAMERA, CHINA, DEVICE, upper_level

pytestmark = pytest.mark.slow
GATE = "44049900001210000001"
OTHER = "44049900001190000008"


def config(folder, port, upper, **changes):
    (folder / "viid.key").write_text("right", encoding="utf-8")
    access = {"users": {"camera": f"file:{folder / 'push.key'}"}}
    push = f"http-server://127.0.0.1:{port}"
    devices = [
        device("ANPR", "hik-anpr", "hikvision/isapi-anpr", f"{push}/plate", None, access),
        device("VIEW", "gat1400", "generic/gat1400-camera", push, None, access),
    ]
    platform = {
        "id": "CITY",
        "kind": "gat1400",
        "url": upper.url,
        "own_id": DEVICE,
        "username": "account",
        "password": f"file:{folder / 'viid.key'}",
        "cameras": {"ANPR": OTHER, "VIEW": CAMERA},
        "tollgates": {"ANPR": GATE},
        "keepalive_s": 0.3,
        "timeout_s": 0.5,
        "batch": 3,
    }
    return tomli_w.dumps(tomllib.loads(site(folder, devices)) | {"platform": [platform | changes]})


async def until(true, patience_s=20):
    async with asyncio.timeout(patience_s):
        while not true():
            await asyncio.sleep(0.02)


def seen(upper, kind):
    return {fact.object_id for fact in upper.facts if isinstance(fact, kind)}


async def see_person(camera):
    at = camera.now()
    from drivers.gat1400 import bodies
    from drivers.gat1400.ids import ObjectKind

    image, name = camera._names(ObjectKind.PERSON, at)
    picture = bodies.OutImage(image, "person", b"\xff\xd8\xff person", at)
    body = bodies.pushed(PERSONS, [bodies.OutPerson(name, camera.device_id, at, (1, 2, 3, 4), (picture,))], CHINA)
    return await camera._push(PERSONS.path, body)


async def test_plates_faces_and_persons_go_up_and_their_pictures_stay_with_us_no_longer_than_needed(nook):
    port = unused_port()
    async with upper_level() as upper, running(config(nook, port, upper)) as parts:
        async with pushing(f"http://127.0.0.1:{port}/plate", login=PUSHES, seed=1) as pusher:
            assert await PlateCamera(pusher).vehicle("粤B12345") == 200
        await until(lambda: seen(upper, PlateRead))
        read = next(fact for fact in upper.facts if isinstance(fact, PlateRead))
        assert (read.plate, read.colour, read.device_id, {image.role for image in read.images}) == (
            "粤B12345", "blue", OTHER, {"plate", "scene"},
        )  # fmt: skip
        body = upper.bodies[0]["MotorVehicleListObject"]["MotorVehicleObject"][0]
        assert (body["TollgateID"], body["MotorVehicleID"][:20]) == (GATE, OTHER)

        async with view_camera(f"http://127.0.0.1:{port}", CAMERA, PUSHES) as lower:
            assert await lower.register()
            lower.session._middlewares = (aiohttp.DigestAuthMiddleware(PUSHES.username, PUSHES.password),)
            for see in (lower.see_face, lambda: lower.see_vehicle("粤C00001"), lambda: see_person(lower)):
                http, statuses = await see()
                assert (http, [one.ok for one in statuses]) == (200, [True])
            named = {statuses[0].id for _, statuses in lower.answers}
        await until(lambda: len(upper.facts) == 4)
        assert seen(upper, FaceSeen) | seen(upper, PersonSeen) | seen(upper, PlateRead) >= named
        assert len(seen(upper, FaceSeen)) == len(seen(upper, PersonSeen)) == 1

        pictures = await stored(parts, Stream.TELEMETRY, "PictureTaken")
        assert {one["what"] for one in pictures} == {"face", "person", "vehicle"}
        assert {one["object_id"] for one in pictures} == named
        kept = {path.stem for path in (nook / "buffer.db-media").iterdir()}
        assert {image["digest"].removeprefix("sha256:") for one in pictures for image in one["images"]} == kept
        assert len(await stored(parts, Stream.TELEMETRY, "RoadPlateSeen")) == 2

        waiting = nook / "buffer.db-platforms" / "CITY" / "pictures"
        await until(lambda: not list(waiting.iterdir()))
        (words,) = parts.devices.platforms.words()
        assert (words["state"], words["waiting"], words["delivered"], words["set_aside"]) == ("up", 0, 4, 0)
        assert parts.devices.platforms.why("CITY")["findings"][0]["code"] == "platform_ok"
        shown = [await gatefleet(nook, words) for words in ("status", "why CITY", "why CITY --lang zh_CN")]
        assert ["CITY", "gat1400", "up", "0", "4", "0", "0"] in [line.split() for line in shown[0].splitlines()]
        assert "The platform above has registered us" in shown[1]
        assert "上级平台已接受注册" in shown[2]
        text = await asyncio.to_thread(scraped, parts.metrics_port)
        assert 'gatefleet_platform_registered{platform="CITY"} 1.0' in text
        assert 'gatefleet_platform_delivered_objects_total{platform="CITY"} 4.0' in text
        assert 'gatefleet_platform_waiting_objects{platform="CITY"} 0.0' in text
        assert 'gatefleet_platform_oldest_seconds{platform="CITY"} 0.0' in text
        assert 'gatefleet_facts_untold_total{fact="SystemRegistered"} 1.0' in text
        assert f"gatefleet_media_files_total {float(len(kept))}" in text
        *_, reported = await until_stored(parts, Stream.STATE, "PlatformReported")
        assert (reported["platform"], reported["kind"]) == ("CITY", "gat1400")


async def gatefleet(folder, words):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.cli.main", *words.split(), "--socket", str(folder / "control.sock"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


def scraped(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


async def test_the_upper_library_subscribes_and_is_notified_also_after_our_restart(nook):
    port = unused_port()
    async with upper_level() as upper:
        places = {"subscribes": f"http-server://127.0.0.1:{port}/VIID/Subscribes", "unwanted": "hold"}
        text = config(nook, port, upper, access={"auth": "none", "peers": ["127.0.0.1"]}, **places)
        name = "440499000000032026050108300000001"
        wanted = Subscription(name, details=("13",), receive_url=f"{upper.url}/VIID/SubscribeNotifications")
        url = f"http://127.0.0.1:{port}/VIID/Subscribes"
        async with running(text):
            body = json.dumps(subscribe([wanted], CHINA))
            async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
                assert b'"StatusCode":0' in await answer.read()
            async with pushing(f"http://127.0.0.1:{port}/plate", login=PUSHES, seed=1) as pusher:
                assert await PlateCamera(pusher).vehicle("粤B00001") == 200
                await until(lambda: len(upper.bodies) == 1)
        async with running(text), pushing(f"http://127.0.0.1:{port}/plate", login=PUSHES, seed=2) as pusher:
            assert await PlateCamera(pusher).vehicle("粤B00002") == 200
            await until(lambda: len(upper.bodies) == 2)
            async with aiohttp.ClientSession() as session, session.delete(f"{url}?IDList={name}") as answer:
                assert b'"StatusCode":0' in await answer.read()
        notes = [one["SubscribeNotificationListObject"]["SubscribeNotificationObject"][0] for one in upper.bodies]
        assert [note["SubscribeID"] for note in notes] == [name, name]
        assert [fact.plate for fact in upper.facts] == ["粤B00001", "粤B00002"]
        async with running(text) as parts:
            (platform,) = parts.devices.platforms.all.values()
            assert platform._client.desk.held == ()


async def test_a_plate_that_an_onvif_camera_tells_is_seen_on_the_road_and_goes_up(nook):
    async with upper_level() as upper, serve_camera() as camera:
        login = {"username": "operator", "password": f"file:{nook / 'camera.key'}", "look_s": 60}
        table = tomllib.loads(config(nook, unused_port(), upper, cameras={"CAM": OTHER}, tollgates={}))
        table["device"].append(device("CAM", "onvif-camera", "onvif/camera", camera.url, login))
        async with running(tomli_w.dumps(table)) as parts:
            await parts.devices.sessions["CAM"]._told(PlateRead("粤B12345", "7", taken_at=parts.clock.wall()))
            await until(lambda: seen(upper, PlateRead))
            assert len(await stored(parts, Stream.TELEMETRY, "RoadPlateSeen")) == 1
        assert [fact.device_id for fact in upper.facts] == [OTHER]


class Kept:
    """Keeps the body that a camera would post, so that it can be posted again as it was."""

    def __init__(self, pusher):
        self._pusher = pusher
        self.random = pusher.random
        self.is_bad, self.stamp, self.name, self.picture = pusher.is_bad, pusher.stamp, pusher.name, pusher.picture
        self.bodies = []

    async def post(self, body, content_type):
        self.bodies.append((body, content_type))
        return 0


@contextlib.asynccontextmanager
async def daemon(path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.cli.main", "edge", "run", "-c", str(path),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def test_killed_in_the_middle_of_a_push_everything_arrives_and_each_under_one_id(nook):
    port, count = unused_port(), 60
    async with upper_level() as upper, pushing(f"http://127.0.0.1:{port}/plate", login=PUSHES, seed=9) as pusher:
        path = nook / "site.toml"
        path.write_text(config(nook, port, upper), encoding="utf-8")
        kept = Kept(pusher)
        camera = PlateCamera(kept)
        for number in range(count):
            await camera.vehicle(f"粤B{number:05d}")
        # Answers are lost: the upper library has the objects, and we do not know it.
        upper.manners.extend(["well", "cuts", "busy", "well", "cuts", "well", "well"] * 2)
        bodies, kills = iter(kept.bodies), 0
        done = []
        body = next(bodies)
        while body is not None:
            async with daemon(path) as process:
                confirmed = 0
                again = deque(done[-5:])  # as if our answers to these had been lost
                while body is not None:
                    if await pusher.post(*(again[0] if again else body)) == 200 and again:
                        again.popleft()
                    elif pusher.answers[-1][0] == 200:
                        done.append(body)
                        body, confirmed = next(bodies, None), confirmed + 1
                    else:
                        await asyncio.sleep(0.05)
                    if confirmed >= count // 4 and kills < 3:
                        upper_had = len(upper.bodies)
                        await until(lambda had=upper_had: len(upper.bodies) > had or not upper.manners)
                        kills += 1
                        process.send_signal(signal.SIGKILL)
                        await process.wait()
                        break
                if body is None:
                    await until(lambda: len(seen(upper, PlateRead)) >= count, 60)
        assert kills == 3
        read = [fact for fact in upper.facts if isinstance(fact, PlateRead)]
        assert {fact.plate for fact in read} == {f"粤B{number:05d}" for number in range(count)}
        assert len({fact.object_id for fact in read}) == count
        once = Counter(fact.plate for fact in read)
        assert max(once.values()) > 1, "no answer was lost: the test shows nothing"
        assert len({(fact.plate, fact.object_id) for fact in read}) == count
        assert all(len(fact.images) == 2 for fact in read)


async def test_until_the_outbox_is_open_nothing_is_taken(nook, clock):
    async with upper_level() as upper:
        file = parse_config(config(nook, 1, upper).encode(), "x.toml").file
        made = build_platforms(file.platform, Ground(None, clock.wall, clock.stamp, nook, lambda _: None))
        (feed,) = made.feeds("ANPR")
        assert made.feeds("OTHER") == []
        with pytest.raises(BufferUnavailable):
            await feed(PlateRead("粤B12345"))
        with pytest.raises(BufferUnavailable):
            await made.all["CITY"].run()
        assert made.why("CITY")["health"] == "offline"


async def test_central_hears_when_something_has_changed_and_not_else(nook, clock):
    events = []
    async with upper_level() as upper, contextlib.AsyncExitStack() as stack:
        file = parse_config(config(nook, 1, upper).encode(), "x.toml").file
        made = build_platforms(file.platform, Ground(None, clock.wall, clock.stamp, nook, events.append))
        await made.open(stack)
        made.look()
        made.look()
        assert [(one.registered, one.waiting) for one in events] == [(False, 0)]
        (feed,) = made.feeds("VIEW")
        await feed(PlateRead("粤B12345", taken_at=clock.wall()))
        made.look()
        assert len(events) == 1
        made.all["CITY"].outbox.counts.set_aside += 1
        made.look()
        assert (events[-1].set_aside, events[-1].waiting) == (1, 1)


@pytest.mark.parametrize(
    ("standing", "code", "says"),
    [
        (Standing(last_error="x"), "platform_not_registered", "http://u"),
        (Standing(registered=True, trouble="no space"), "platform_not_durable", "no space"),
        (Standing(registered=True, set_aside=3, last_refusal="8 bad"), "platform_refuses", "8 bad"),
        (Standing(registered=True, pictures_dropped=4), "platform_dropped", "4"),
    ],
)
def test_each_finding_is_a_sentence_with_a_cure(standing, code, says):
    (finding,) = findings(standing, "http://u")
    assert finding.code == code
    why, cure = told({"code": code, "args": dict(finding.args)})
    assert says in why
    assert cure
    assert "?" not in why
    assert findings(Standing(registered=True), "http://u") == []
    assert told({"code": "platform_ok", "args": {}})[0].endswith(".")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "ftp://x"}, "platform.0.url"),
        ({"cameras": {"NONE": CAMERA}}, "there is no device 'NONE'"),
        ({"tollgates": {"NONE": GATE}}, "stands not in cameras"),
        ({"tollgates": {"ANPR": "7"}}, "not an id of 20 digits"),
        ({"password": "right"}, "env:NAME"),
        ({"subscribes": "http-server://127.0.0.1:1/x"}, "belong together"),
        ({"typo": 1}, "platform.0.typo"),
        ({"kind": "other"}, "gat1400"),
    ],
)
async def test_mistakes_are_told_with_their_place(nook, changes, says):
    async with upper_level() as upper:
        with pytest.raises(ConfigInvalid, match=says):
            parse_config(config(nook, 1, upper, **changes).encode(), "x.toml")


async def test_a_place_that_a_camera_has_already_is_refused(nook):
    async with upper_level() as upper:
        taken = {"subscribes": "http-server://127.0.0.1:7/plate", "access": {"users": {"camera": "env:X"}}}
        with pytest.raises(ConfigInvalid, match="cannot be told apart"):
            parse_config(config(nook, 7, upper, **taken).encode(), "x.toml")
