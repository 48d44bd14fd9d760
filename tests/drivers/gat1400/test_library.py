"""The upper library: what each request means, what is tolerated, and where the caps are."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from drivers.base import Pushed, Request
from drivers.base import Settings as PlainSettings
from drivers.facts import PlateRead
from drivers.gat1400 import DRIVER
from drivers.gat1400.answers import parse_response
from drivers.gat1400.codes import FACES, MOTOR_VEHICLES
from drivers.gat1400.facts import (
    FaceSeen,
    KeptAlive,
    NonMotorVehicleSeen,
    PersonSeen,
    PictureSent,
    SubscriptionAsked,
    SubscriptionEnded,
    SystemLeft,
    SystemRegistered,
)
from drivers.gat1400.library import MAX_OBJECTS
from drivers.gat1400.objects import MAX_IMAGES
from drivers.gat1400.profile import LibrarySettings
from drivers.gat1400.reading import MAX_BODY, MAX_TOKENS
from drivers.profile import Profile, read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"
CHINA = timezone(timedelta(hours=8))
AT = datetime(2026, 5, 1, 0, 30, 5, tzinfo=UTC)
DEVICE = "44049900001190000007"
JPEG = b"\xff\xd8\xff\xe0picture"
VEHICLE = {
    "MotorVehicleID": DEVICE + "0220260501083000000010200001",
    "DeviceID": DEVICE,
    "TollgateID": "44049900001210000001",
    "PlateNo": "粤Z1234澳",
    "PlateColor": "1",
    "PlateReliability": "98",
    "VehicleColor": "2",
    "VehicleClass": "K33",
    "LaneNo": 3,
    "Speed": 12.5,
    "PassTime": "20260501083000",
    "SubImageList": {
        "SubImageInfoObject": [
            {
                "ImageID": "i1",
                "Type": "02",
                "FileFormat": "Jpeg",
                "Width": "640",
                "Height": 360,
                "Data": base64.b64encode(JPEG).decode(),
            }
        ]
    },
}


def library(name="generic/gat1400-camera", **changes):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert profile.name == name
    changed = profile.model_copy(update={"map": profile.map | changes})
    return DRIVER.make(changed, LibrarySettings(server_id=DEVICE, subscriptions=True))


def send(value, path="/VIID/MotorVehicles", *, method="POST", by=None, **kept):
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    kept.setdefault("headers", {"user-identify": DEVICE})
    return (by or library()).receive(Request(method, path, AT, body=body, **kept))


def vehicles(*objects, **changes):
    return {"MotorVehicleListObject": {"MotorVehicleObject": [{**one, **changes} for one in objects or (VEHICLE,)]}}


def statuses(told):
    return [(one.id, one.code) for one in parse_response(told.answer.body, CHINA)]


def test_a_motor_vehicle_becomes_a_plate_read_with_its_pictures():
    told = send(vehicles())
    (fact,) = told.facts
    assert fact == PlateRead(
        plate="粤Z1234澳",
        object_id=VEHICLE["MotorVehicleID"],
        confidence=0.98,
        colour="black",
        taken_at=datetime(2026, 5, 1, 8, 30, tzinfo=CHINA),
        camera_lane=3,
        vehicle_kind="passenger",
        vehicle_colour="white",
        speed_kmh=12.5,
        device_id=DEVICE,
        images=fact.images,
    )
    (image,) = fact.images
    assert (image.role, image.media_type, image.data, image.width, image.height) == (
        "plate",
        "image/jpeg",
        JPEG,
        640,
        360,
    )
    assert told.rejected == ()


def test_each_object_gets_a_status_by_its_id_with_our_time():
    told = send(vehicles(VEHICLE, {**VEHICLE, "MotorVehicleID": "b"}))
    assert told.answer.status == 200
    assert told.answer.media_type == "application/VIID+JSON"
    first, second = json.loads(told.answer.body)["ResponseStatusListObject"]["ResponseStatusObject"]
    assert first == {
        "RequestURL": "/VIID/MotorVehicles",
        "StatusCode": 0,
        "StatusString": "OK",
        "Id": VEHICLE["MotorVehicleID"],
        "LocalTime": "20260501083005",
    }
    assert second["Id"] == "b"


@pytest.mark.parametrize(
    ("path", "wrapper", "kind"),
    [
        ("/VIID/System/Register", "RegisterObject", SystemRegistered),
        ("/VIID/System/UnRegister", "UnRegisterObject", SystemLeft),
        ("/VIID/System/Keepalive", "KeepaliveObject", KeptAlive),
        ("/viid/system/keepalive/", "KeepaliveObject", KeptAlive),
        ("/System/Register", "RegisterObject", SystemRegistered),
    ],
)
def test_a_system_request_names_its_device(path, wrapper, kind):
    told = send({wrapper: {"DeviceID": DEVICE}}, path)
    assert told.facts == (kind(DEVICE),)
    status = json.loads(told.answer.body)["ResponseStatusObject"]
    assert (status["StatusCode"], status["Id"], status["LocalTime"]) == (0, DEVICE, "20260501083005")


def test_the_time_is_that_of_the_request():
    told = send(b"", "/VIID/System/Time", method="GET")
    assert json.loads(told.answer.body) == {
        "SystemTimeObject": {
            "VIIDServerID": DEVICE,
            "TimeMode": "1",
            "LocalTime": "20260501083005",
            "TimeZone": "GMT+8",
        }
    }


@pytest.mark.parametrize(
    ("path", "wrapper", "item", "key", "kind"),
    [
        ("/VIID/Faces", "FaceListObject", "FaceObject", "FaceID", FaceSeen),
        ("/VIID/Persons", "PersonListObject", "PersonObject", "PersonID", PersonSeen),
        (
            "/VIID/NonMotorVehicles",
            "NonMotorVehicleListObject",
            "NonMotorVehicleObject",
            "NonMotorVehicleID",
            NonMotorVehicleSeen,
        ),
    ],
)
def test_the_other_kinds(path, wrapper, item, key, kind):
    value = {
        key: "x1",
        "LeftTopX": 1,
        "LeftTopY": 2,
        "RightBtmX": 3,
        "RightBtmY": 4,
        item.removesuffix("Object") + "AppearTime": "20260501083000",
        "SubImageList": VEHICLE["SubImageList"],
    }
    told = send({wrapper: {item: [value]}}, path)
    (fact,) = told.facts
    assert type(fact) is kind
    assert (fact.object_id, fact.device_id, fact.box) == ("x1", DEVICE, (1, 2, 3, 4))
    assert fact.seen_at == datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
    assert fact.images[0].data == JPEG
    assert statuses(told) == [("x1", 0)]


def test_a_picture_by_itself():
    info = {"ImageID": "p1", "DeviceID": "d", "Type": "14", "FileFormat": "Jpeg", "ShotTime": "20260501083000"}
    value = {"ImageListObject": {"Image": [{"ImageInfoObject": info, "Data": base64.b64encode(JPEG).decode()}]}}
    told = send(value, "/VIID/Images")
    (fact,) = told.facts
    assert type(fact) is PictureSent
    assert (fact.object_id, fact.device_id, fact.picture.role, fact.picture.data) == ("p1", "d", "scene", JPEG)
    assert statuses(told) == [("p1", 0)]


def test_a_notification_has_its_lists_the_other_way_round_and_one_status():
    note = {
        "NotificationID": "n1",
        "SubscribeID": "s1",
        MOTOR_VEHICLES.notified_as: {"MotorVehicleObject": [VEHICLE]},
        FACES.notified_as: [{"FaceID": "f1"}],
    }
    empty = {"NotificationID": "n2", "DeviceList": {"APEObject": [{}]}}
    told = send(
        {"SubscribeNotificationListObject": {"SubscribeNotificationObject": [note, empty]}},
        "/VIID/SubscribeNotifications",
    )
    assert (MOTOR_VEHICLES.notified_as, MOTOR_VEHICLES.pushed_as) == (
        "MotorVehicleObjectList",
        "MotorVehicleListObject",
    )
    assert [type(fact) for fact in told.facts] == [PlateRead, FaceSeen]
    assert statuses(told) == [("n1", 0), ("n2", 8)]
    assert told.rejected == ("a notification of nothing that is taken here",)


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ({"LaneNo": "3"}, "camera_lane", 3),
        ({"LaneNo": ""}, "camera_lane", None),
        ({"Speed": "60.5"}, "speed_kmh", 60.5),
        ({"Speed": ""}, "speed_kmh", None),
        ({"Speed": 1e300}, "speed_kmh", None),
        ({"PlateReliability": 98}, "confidence", 0.98),
        ({"PlateReliability": "1e3"}, "confidence", None),
        ({"PlateReliability": 250}, "confidence", None),
        ({"PassTime": 1777595400000}, "taken_at", datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)),
        ({"PassTime": "1777595400"}, "taken_at", datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)),
        ({"PassTime": "2026-05-01 08:30:00"}, "taken_at", datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)),
        ({"PassTime": "2026-05-01T00:30:00+00:00"}, "taken_at", datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)),
        (
            {"PassTime": "20260501083000123"},
            "taken_at",
            datetime(2026, 5, 1, 8, 30, 0, 123000, tzinfo=CHINA),
        ),
        ({"PassTime": "20261301083000"}, "taken_at", None),
        ({"PassTime": "", "MarkTime": "20260501083000"}, "taken_at", datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)),
        ({"PlateNo": "无车牌", "HasPlate": "0"}, "plate", ""),
        ({"PlateColor": "77"}, "colour", "other"),
        ({"PlateColor": ""}, "colour", ""),
        ({"PlateColor": "5"}, "colour", "blue"),
        ({"PlateColor": 9}, "colour", "green"),
        ({"PlateColor": "Yellow-Green"}, "colour", "yellow_green"),
        ({"VehicleColor": "White"}, "vehicle_colour", "white"),
        ({"VehicleClass": "H11"}, "vehicle_kind", "truck"),
        ({"DeviceID": ""}, "device_id", DEVICE),
        ({"TollgateID": None}, "device_id", DEVICE),
        ({"SubImageList": None}, "images", ()),
        ({"PlateNo": "粤B\u0000\ud800123"}, "plate", "粤B123"),
    ],
)
def test_what_is_tolerated(change, name, expected):
    body = json.dumps(vehicles(**change)).encode()
    (fact,) = send(body).facts
    assert getattr(fact, name) == expected


def test_lower_camel_keys():
    def lowered(value):
        if isinstance(value, dict):
            return {key[0].lower() + key[1:]: lowered(inner) for key, inner in value.items()}
        return [lowered(one) for one in value] if isinstance(value, list) else value

    assert send(lowered(vehicles())).facts == send(vehicles()).facts
    assert send(lowered({"KeepaliveObject": {"DeviceID": DEVICE}}), "/VIID/System/Keepalive").facts == (
        KeptAlive(DEVICE),
    )


@pytest.mark.parametrize(
    "value",
    [
        {"MotorVehicleListObject": [VEHICLE]},
        {"MotorVehicleListObject": {"MotorVehicleObject": VEHICLE}},
        {"MotorVehicleObjectList": {"MotorVehicleObject": [VEHICLE]}},
        {"MotorVehicleObject": [VEHICLE]},
        {"MotorVehicleObject": VEHICLE},
        {"MotorVehicleListObject": VEHICLE},
    ],
)
def test_wrappers_of_the_field(value):
    assert send(value).facts == send(vehicles()).facts


def test_any_content_type_and_gb18030():
    text = json.dumps(vehicles(), ensure_ascii=False)
    expected = send(vehicles()).facts
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        headers = {"user-identify": DEVICE, "content-type": "text/plain"}
        assert send(text.encode(encoding), headers=headers).facts == expected


def test_a_missing_id_is_made_of_the_content_and_stays_the_same():
    nameless = {key: value for key, value in VEHICLE.items() if key != "MotorVehicleID"}
    first, again = send(vehicles(nameless)), send(vehicles(dict(reversed(nameless.items()))))
    other = send(vehicles(nameless, PassTime="20260501083001"))
    (name,) = (fact.object_id for fact in first.facts)
    assert name.startswith("made-")
    assert again.facts[0].object_id == name != other.facts[0].object_id
    assert statuses(first) == [(name, 0)]
    assert send(vehicles(MotorVehicleID="9" * 65)).facts[0].object_id.startswith("made-")


def test_without_id_time_and_picture_a_pass_of_another_minute_is_another():
    bare = vehicles({"PlateNo": "ABC123"})
    body = json.dumps(bare).encode()
    at = [AT, AT + timedelta(seconds=30), AT + timedelta(seconds=60)]
    ids = [library().receive(Request("POST", "/MotorVehicles", one, body=body)).facts[0].object_id for one in at]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("data", ["data:image/jpeg;base64," + base64.b64encode(JPEG).decode(), "/9j/4HBp\r\n Y3R1cmU="])
def test_base64_with_a_prefix_or_line_breaks(data):
    told = send(vehicles(SubImageList=[{"Type": 2, "Data": data}]))
    assert told.facts[0].images[0].data == JPEG
    assert told.facts[0].images[0].role == "plate"


@pytest.mark.parametrize("data", ["/9j/$$$$4HBpY3R1cmU=", "abc", "图片数据", "a-_b"])
def test_what_is_no_base64_is_told(data):
    told = send(vehicles(SubImageList=[{"Type": "02", "Data": data}]))
    assert (len(told.facts), told.facts[0].images, len(told.rejected)) == (1, (), 1)


def test_a_flawed_picture_is_told_and_does_not_lose_the_read():
    told = send(
        vehicles(SubImageList=[{"Type": "01", "Data": "图片数据"}, 7, *VEHICLE["SubImageList"]["SubImageInfoObject"]])
    )
    assert len(told.facts[0].images) == 1
    assert [text.rpartition(": ")[2] for text in told.rejected] == ["its Data is not Base64", "no object"]
    assert statuses(told)[0][1] == 0


def test_one_bad_object_does_not_lose_the_others():
    told = send({"MotorVehicleListObject": {"MotorVehicleObject": [VEHICLE, 5, {}]}})
    assert len(told.facts) == 1
    assert [code for _, code in statuses(told)] == [0, 8, 8]
    assert len(told.rejected) == 2


@pytest.mark.parametrize(
    ("body", "path", "method", "http", "code"),
    [
        (b"{", "/VIID/Faces", "POST", 400, 7),
        (b"[]", "/VIID/Faces", "POST", 400, 7),
        (b'{"a": NaN}', "/VIID/Faces", "POST", 400, 7),
        (b"[" * 100_000, "/VIID/Faces", "POST", 400, 7),
        (b'{"a":' + b"9" * 5000 + b"}", "/VIID/Faces", "POST", 400, 7),
        (b"\xff\xff\xff", "/VIID/Faces", "POST", 400, 7),
        (b"{}", "/VIID/Faces", "POST", 400, 8),
        (b'{"FaceListObject": {"FaceObject": []}}', "/VIID/Faces", "POST", 400, 8),
        (b"<?xml version='1.0'?>", "/VIID/Faces", "POST", 415, 5),
        (b"{}", "/VIID/VideoSlices", "POST", 200, 4),
        (b"{}", "/VIID/APEs", "GET", 200, 4),
        (b"{}", "/VIID/Subscribes/x", "POST", 405, 4),
        (b"{}", "/VIID/Subscribes", "DELETE", 400, 8),
        (b"{}", "/VIID/Faces", "PATCH", 405, 4),
        (b"{}", "/VIID/System/Reboot", "POST", 405, 4),
        (b"{}", "/elsewhere", "POST", 404, 4),
        (b"{}", "/", "GET", 404, 4),
        (b'{"RegisterObject": {"DeviceID": "666666"}}', "/VIID/System/Register", "POST", 400, 8),
        (b'{"SubscribeNotificationListObject": [1]}', "/VIID/SubscribeNotifications", "POST", 400, 8),
    ],
)
def test_what_is_refused(body, path, method, http, code):
    told = send(body, path, method=method)
    assert (told.facts, told.answer.status) == ((), http)
    assert statuses(told) == [(DEVICE, code)]
    assert len(told.rejected) == 1


def test_a_camera_may_not_subscribe():
    profile = read_profile((PROFILES / "generic/gat1400-camera.toml").read_text("utf-8"), "-")
    plain = DRIVER.make(profile, LibrarySettings())
    told = send({"SubscribeListObject": {"SubscribeObject": [{"SubscribeID": "s"}]}}, "/VIID/Subscribes", by=plain)
    assert (told.facts, statuses(told)) == ((), [(DEVICE, 4)])


def test_subscriptions_are_told_and_ended():
    asked = {
        "SubscribeListObject": {
            "SubscribeObject": [{"SubscribeID": "s1"}, {"SubscribeID": "s2", "OperateType": "1"}, {}]
        }
    }
    told = send(asked, "/VIID/Subscribes")
    assert [type(fact) for fact in told.facts] == [SubscriptionAsked, SubscriptionEnded]
    assert statuses(told) == [("s1", 0), ("s2", 0), ("", 8)]
    cancelled = send({"SubscribeObject": {"CancelReason": "done"}}, "/VIID/Subscribes/S1", method="PUT")
    assert cancelled.facts == (SubscriptionEnded("S1", "done"),)
    deleted = send(b"", "/VIID/Subscribes", method="DELETE", query={"IDList": "a,b"})
    assert [fact.subscription_id for fact in deleted.facts] == ["a", "b"]
    assert json.loads(send(b"", "/VIID/Subscribes", method="GET").answer.body) == {
        "SubscribeListObject": {"SubscribeObject": []}
    }


def test_the_caps():
    assert len(send(vehicles(*[{"PlateNo": f"A{n}"} for n in range(MAX_OBJECTS)])).facts) == MAX_OBJECTS
    many = send(vehicles(*[{"PlateNo": "A"}] * (MAX_OBJECTS + 1)))
    assert (many.answer.status, many.facts) == (413, ())
    spread = [{"NotificationID": str(n), "FaceObjectList": [{"FaceID": "f"}] * 600} for n in range(2)]
    notes = send({"SubscribeNotificationListObject": spread}, "/VIID/SubscribeNotifications")
    assert (notes.answer.status, notes.facts) == (413, ())
    images = send(vehicles(SubImageList=[{"Data": "AAAA"}] * (MAX_IMAGES + 1)))
    assert len(images.facts[0].images) == MAX_IMAGES
    assert images.rejected[0].endswith(f"1 pictures more than {MAX_IMAGES}")
    assert f"more than {MAX_BODY} bytes" in send(b" " * (MAX_BODY + 1)).rejected[0]
    assert "values" in send(b"[" + b"[]," * MAX_TOKENS + b"0]").rejected[0]
    assert len(send(vehicles(PlateNo="A" * 10_000)).facts[0].plate) == 256
    assert len(send(vehicles(*[{"SubImageList": [3]}] * 100)).rejected) == 21


def test_a_profile_changes_the_dialect():
    export = library("generic/gat1400-export-camera")
    told = send(vehicles(PlateReliability="0.5"), by=export)
    assert (told.facts[0].confidence, told.answer.media_type) == (0.5, "application/json")
    lab = send({"KeepaliveObject": {"DeviceID": "666666"}}, "/VIID/System/Keepalive", by=export)
    assert lab.facts == (KeptAlive("666666"),)
    approach = library(directions={"1": "approach"})
    assert send(vehicles(Direction=1), by=approach).facts[0].direction == "approach"


def test_a_profile_or_settings_with_mistakes():
    broken = Profile(name="a/b", driver="gat1400", vendor="a", model="b", source="-", map={"typo": 1})
    with pytest.raises(ConfigInvalid, match=r"map\.typo"):
        DRIVER.make(broken, LibrarySettings())
    with pytest.raises(Unsupported):
        DRIVER.make(broken, PlainSettings())


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /x HTTP/1.1\r\nnothing\r\n\r\n",
        b"x" * 20_000,
        b'{"FaceListObject": {"FaceObject": [7]}}',
        b'{"a": nonsense}',
        b'{"a": "b"',
        b'{"a": "b',
        b"[]",
        b"POST /VIID/Faces HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}",
    ],
)
def test_the_decoder_refuses(data):
    decode = DRIVER.decoder(None)
    with pytest.raises(FrameInvalid):
        decode(data), decode(b"")
    assert decode(b'{"KeepaliveObject": {"DeviceID": "1"}}')[0]["device_id"] == "1"


NAMES = st.sampled_from(
    [
        "MotorVehicleListObject",
        "MotorVehicleObject",
        "FaceListObject",
        "FaceObject",
        "SubImageList",
        "SubImageInfoObject",
        "Data",
        "PlateNo",
        "MotorVehicleID",
        "PassTime",
        "DeviceID",
        "RegisterObject",
        "Speed",
        "LaneNo",
        "SubscribeListObject",
        "SubscribeObject",
        "SubscribeID",
        "SubscribeNotificationListObject",
        "SubscribeNotificationObject",
        "MotorVehicleObjectList",
        "ImageListObject",
        "Image",
        "ImageInfoObject",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            NAMES,
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)
PATHS = st.sampled_from(
    ["MotorVehicles", "Faces", "Images", "Persons", "SubscribeNotifications", "Subscribes", "System/Register"]
)


@settings(max_examples=300)
@given(JSON | st.binary(max_size=300), PATHS)
def test_nothing_breaks_it_and_the_next_good_request_is_read(value, path):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    parser = library()
    told = send(body, f"/VIID/{path}", by=parser)
    assert isinstance(told, Pushed)
    json.loads(told.answer.body)
    for fact in told.facts:
        json.dumps(fact.as_dict(), ensure_ascii=False).encode()
    assert told.facts or told.rejected
    assert len(send(vehicles(), by=parser).facts) == 1


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_break_the_decoder(pieces):
    decode = DRIVER.decoder(None)
    for piece in [*pieces, b""]:
        try:
            decode(piece)
        except FrameInvalid:
            continue
    assert decode(b'{"KeepaliveObject": {"DeviceID": "1"}}')


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {
        PlateRead,
        FaceSeen,
        PersonSeen,
        NonMotorVehicleSeen,
        PictureSent,
        SystemRegistered,
        SystemLeft,
        KeptAlive,
        SubscriptionAsked,
        SubscriptionEnded,
    }
    assert DRIVER.body_cap == MAX_BODY == 8 << 20
