"""A daemon that registers with a video platform above it, on real sockets."""

import pytest
import tomli_w

from core.errors import ConfigInvalid
from edge.config import parse_config
from simulators.gb28181 import serve_platform
from simulators.onvif_camera import serve_camera

from .test_all_devices import device, running, site

pytestmark = pytest.mark.slow
UPPER, OWN, PASSWORD = "34020000002000000001", "44040000002000000009", "Open-Sesame-7"
CAMERA = "44040000001320000001"


def with_platform(text, folder, port, **changes):
    import tomllib

    (folder / "gb.key").write_text(PASSWORD, encoding="utf-8")
    platform = {"id": "UP", "kind": "gb28181", "host": "127.0.0.1", "port": port, "upper_id": UPPER, "own_id": OWN}
    platform |= {"password": f"file:{folder / 'gb.key'}", "cameras": {"CAM": CAMERA}, "keepalive_s": 0.3}
    return tomli_w.dumps(tomllib.loads(text) | {"platform": [platform | changes]})


async def test_the_platform_above_knows_us_and_our_cameras_as_they_are(nook):
    async with serve_platform(UPPER, {OWN: PASSWORD}) as upper, serve_camera() as camera:
        login = {"username": "operator", "password": f"file:{nook / 'camera.key'}", "look_s": 0.2}
        text = site(nook, [device("CAM", "onvif-camera", "onvif/camera", camera.url, login)])
        async with running(with_platform(text, nook, upper.ports["udp"])) as parts:
            await upper.until(lambda: OWN in upper.guests)
            await upper.until(lambda: any(one.cmd == "Keepalive" for one in upper.heard))
            record = parts.board.record("CAM")
            while record.health.value != "ok":
                await upper.query(OWN, "DeviceStatus")
            (answer,) = await upper.query(OWN, "Catalog")
            ((item,),) = (answer.items,)
            assert (item["DeviceID"], item["Name"], item["Status"]) == (CAMERA, "CAM", "ON")
        await upper.until(lambda: OWN not in upper.guests)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cameras": {"NONE": CAMERA}}, "there is no device 'NONE'"),
        ({"cameras": {"CAM": "12"}}, "not an id of 20 digits"),
        ({"password": "Open-Sesame-7"}, "env:NAME"),
        ({"upper_id": "x"}, "upper_id"),
        ({"kind": "other"}, "gb28181"),
    ],
)
def test_mistakes_are_told_with_their_place(nook, changes, says):
    login = {"username": "operator", "password": f"file:{nook / 'camera.key'}"}
    text = site(nook, [device("CAM", "onvif-camera", "onvif/camera", "http://127.0.0.1:1/x", login)])
    with pytest.raises(ConfigInvalid, match=says):
        parse_config(with_platform(text, nook, 5060, **changes).encode(), "x.toml")
