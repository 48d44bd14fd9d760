"""ITSAPI bodies as receivers and a simulator in public repositories show them; plates and ids are replaced.

Sources:
- SIMULATED: the body of a public ITSAPI camera simulator (a `Picture` with every name it knows, KeepAlive, DeviceInfo,
  AlarmInfo)
- NESTED, FAKE: test bodies of two public receivers (a Go one that checks `{"Result": true}`, a Python one for VIP
  cameras of the same firmware)
- TWO_PICTURES: a receiver's note that VehiclePic may hold two JPEG after another (CP Plus)
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Request
from drivers.dahua_anpr import DRIVER
from drivers.dahua_anpr.layout import ItsApiMap
from drivers.facts import DeviceDescribed, DeviceSignal, PlateRead
from drivers.profile import checked_map, read_profile

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/dahua/itsapi.toml").read_text(encoding="utf-8"), "test"
)
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
JPEG = bytes.fromhex("ffd8ffe00004aabbffc0000b080168028001012200ffd9")
TOLLGATE = "/NotificationInfo/TollgateInfo"


def b64(data):
    return base64.b64encode(data).decode()


SIMULATED = {
    "Picture": {
        "Plate": {
            "IsExist": True,
            "PlateNumber": "100XXX0000",
            "PlateColor": "White",
            "PlateType": "Normal",
            "Confidence": 90,
            "BoundingBox": [100, 200, 300, 260],
        },
        "Vehicle": {"VehicleColor": "White", "VehicleType": "PassengerCar"},
        "SnapInfo": {
            "Source": "Video",
            "SnapTime": "2026-05-13 14:32:15",
            "AccurateTime": "2026-05-13 14:32:15.250",
            "TimeZone": 2,
            "DSTTune": 0,
            "LanNo": 1,
            "Direction": "Obverse",
            "OpenStrobe": False,
            "AllowUser": False,
            "BlockUser": False,
            "DefenceCode": "SIM001",
            "DeviceID": "CAM-1",
        },
    }
}
NESTED = {
    "PicName": "20260513143215_1.jpg",
    "Picture": {
        "Plate": {"PlateNumber": "abc123", "Confidence": 87, "BoundingBox": [1000, 2000, 3000, 2500]},
        "CutoutPic": {"Content": b64(JPEG), "PicName": "20260513143215_1.jpg_cut"},
        "NormalPic": {"Content": b64(JPEG + b"scene"), "PicName": "20260513143215_1.jpg"},
        "SnapInfo": {"AccurateTime": "2026-05-13 14:32:15", "Direction": "Approach", "Lane": 1},
    },
}
FAKE = {
    "Picture": {
        "Plate": {"PlateNumber": "HRA1234", "PlateColor": "White", "Confidence": 95, "IsExist": True},
        "Vehicle": {"VehicleColor": "Black", "VehicleSeries": "Fake", "VehicleSign": "FakeBrand", "VehicleType": "Car"},
        "SnapInfo": {
            "AccurateTime": "2026-02-06T13:48:24",
            "DeviceID": "FakeDevice",
            "Direction": "Reverse",
            "SnapTime": "2026-02-06 13:48:24",
            "TriggerSource": "Video",
        },
    }
}
UNREAD = {
    "Picture": {
        "Plate": {"IsExist": False, "PlateNumber": "", "PlateColor": "", "Confidence": 0},
        "SnapInfo": {"SnapTime": "2026-05-13 14:32:15", "TimeZone": 13, "Direction": "Unknown"},
    }
}
TWO_PICTURES = {"Picture": {"Plate": {"PlateNumber": "A1"}, "VehiclePic": {"Content": b64(JPEG + JPEG)}}}


def post(value, path=TOLLGATE, method="POST"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DRIVER.make(PROFILE, DRIVER.settings()).receive(Request(method, path, AT, body=body))


def plate_of(pushed):
    (fact,) = pushed.facts
    assert isinstance(fact, PlateRead)
    return fact


@pytest.mark.parametrize(
    ("value", "expected", "taken_at"),
    [
        (SIMULATED, {"plate": "100XXX0000", "confidence": 0.9, "colour": "white", "direction": "approach", "camera_lane": 1,
            "vehicle_kind": "car", "vehicle_colour": "white", "device_id": "CAM-1", "country": ""}, "2026-05-13T14:32:15.250000+08:00"),
        (NESTED, {"plate": "abc123", "confidence": 0.87, "colour": "", "direction": "approach", "camera_lane": 1}, "2026-05-13T14:32:15+08:00"),
        (FAKE, {"plate": "HRA1234", "confidence": 0.95, "direction": "depart", "vehicle_colour": "black", "vehicle_kind": "car"}, "2026-02-06T13:48:24+08:00"),
        (UNREAD, {"plate": "", "confidence": 0.0, "colour": "", "direction": ""}, "2026-05-13T14:32:15+08:00"),
    ],
)  # fmt: skip
def test_a_public_body_becomes_one_plate(value, expected, taken_at):
    pushed = post(value)
    assert (pushed.answer.status, json.loads(pushed.answer.body), pushed.rejected) == (200, {"Result": True}, ())
    fact = plate_of(pushed)
    assert {key: getattr(fact, key) for key in expected} == expected
    assert fact.taken_at.isoformat() == taken_at


def test_pictures_come_with_their_role():
    fact = plate_of(post(NESTED))
    assert [(image.role, image.data, image.width) for image in fact.images] == [
        ("scene", JPEG + b"scene", 640),
        ("plate", JPEG, 640),
    ]
    (image,) = plate_of(post(TWO_PICTURES)).images
    assert (image.role, image.data) == ("vehicle", JPEG + JPEG)


@pytest.mark.parametrize("content", ["%%%", b64(b"GIF89a"), "YQ", "é" * 8])
def test_a_picture_that_is_none_is_counted_and_the_plate_stays(content):
    pushed = post({"Picture": {"Plate": {"PlateNumber": "A1"}, "NormalPic": {"Content": content}}})
    assert (plate_of(pushed).plate, plate_of(pushed).images) == ("A1", ())
    assert pushed.rejected[0].startswith("Picture.NormalPic")
    assert pushed.answer.status == 200


def test_the_same_read_again_has_the_same_object_id_and_another_has_not():
    names = {plate_of(post(value)).object_id for value in (NESTED, NESTED, FAKE, SIMULATED)}
    assert len(names) == 3
    later = json.loads(json.dumps(NESTED).replace("14:32:15", "14:32:16"))
    assert plate_of(post(later)).object_id not in names
    assert "abc123" not in plate_of(post(NESTED)).object_id


def test_a_read_without_a_time_has_no_name():
    assert plate_of(post({"Picture": {"Plate": {"PlateNumber": "A1"}, "SnapInfo": {"DeviceID": "x"}}})).object_id == ""


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("/NotificationInfo/KeepAlive", {"Active": "keepAlive", "DeviceID": "CAM-1"}, ()),
        ("/NotificationInfo/KeepAlive", b"", ()),
        ("/cam7/notificationinfo/keepalive/", {}, ()),
        (
            "/NotificationInfo/DeviceInfo",
            {
                "DeviceName": "n",
                "DeviceModel": "VIP-5460-LPR-IA",
                "DeviceType": "t",
                "Manufacturer": "m",
                "DeviceID": "CAM-1",
            },
            (DeviceDescribed(vendor="m", model="VIP-5460-LPR-IA", serial="CAM-1"),),
        ),
        (
            "/NotificationInfo/AlarmInfo",
            {"AlarmInfo": {"Time": "2026-05-13 14:32:15", "Type": 0, "State": "Pluse"}, "DeviceID": "CAM-1"},
            (DeviceSignal("alarm:0", on=True, source="CAM-1"),),
        ),
        ("/", {"AlarmInfo": {"Type": 3, "State": "Stop"}}, (DeviceSignal("alarm:3", on=False),)),
        ("/", {"Active": "keepAlive", "DeviceID": "CAM-1"}, ()),
        ("/", {"DeviceModel": "x"}, (DeviceDescribed(model="x"),)),
    ],
)
def test_other_notifications(path, value, expected):
    pushed = post(value, path)
    assert (pushed.facts, pushed.answer.status, pushed.rejected) == (expected, 200, ())


def test_a_plate_is_known_by_its_body_where_the_path_tells_nothing():
    assert plate_of(post(FAKE, "/")).plate == "HRA1234"


@pytest.mark.parametrize(
    ("value", "path", "status"),
    [
        (b"{", TOLLGATE, 400),
        (b"[]", TOLLGATE, 400),
        (b"<a/>", TOLLGATE, 400),
        (b"", TOLLGATE, 400),
        ({"Picture": []}, TOLLGATE, 400),
        ({"Picture": {"Plate": {"PlateNumber": "A" * 41}}}, TOLLGATE, 400),
        ({"Picture": {"Plate": {"PlateNumber": "A\x07"}}}, TOLLGATE, 400),
        (b'{"Picture":' * 9000, TOLLGATE, 400),
        ({"AlarmInfo": {}}, "/NotificationInfo/AlarmInfo", 400),
        (FAKE, "/elsewhere", 404),
    ],
)
def test_a_hostile_body_is_refused_with_a_reason(value, path, status):
    pushed = post(value, path)
    assert (pushed.answer.status, pushed.facts) == (status, ())
    assert pushed.rejected


def test_only_posts_are_taken():
    assert post(FAKE, method="DELETE").answer.status == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Picture", "Plate", "PlateNumber", "SnapInfo", "SnapTime", "LanNo", "Confidence", "NormalPic", "Content", "AlarmInfo", "Type"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(
    JSON | st.binary(max_size=200),
    st.sampled_from([TOLLGATE, "/", "/NotificationInfo/DeviceInfo", "/NotificationInfo/AlarmInfo"]),
)
def test_no_body_breaks_it_and_the_next_plate_is_read(value, path):
    parser = DRIVER.make(PROFILE, DRIVER.settings())
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    pushed = parser.receive(Request("POST", path, AT, body=body))
    assert (pushed.answer.status == 200) or (pushed.rejected and not pushed.facts)
    good = parser.receive(Request("POST", TOLLGATE, AT, body=json.dumps(FAKE).encode()))
    assert plate_of(good).plate == "HRA1234"


def test_recordings_are_decoded_offline():
    body = json.dumps(NESTED).encode()
    head = f"POST {TOLLGATE} HTTP/1.1\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    for decode in (DRIVER.decoder(None), DRIVER.decoder(PROFILE)):
        for data in (head.encode() + body, body):
            (row,) = decode(data)
            assert (row["fact"], row["plate"]) == ("PlateRead", "abc123")
            assert [(image["role"], image["bytes"]) for image in row["images"]] == [("scene", 28), ("plate", 23)]
        with pytest.raises(FrameInvalid):
            decode(b"{")


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert checked_map(PROFILE, ItsApiMap) == ItsApiMap()


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {PlateRead, DeviceDescribed, DeviceSignal}
    assert DRIVER.body_cap == 8 << 20
