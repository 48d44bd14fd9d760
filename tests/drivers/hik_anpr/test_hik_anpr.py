"""Bodies that cameras post, whole and broken. In captured rows the plate, the serial and the MAC address are replaced.

Sources:
- `ipc_*.xml`: iDS-2CD7A46G0/P-IZHSY, github.com/maciej-or/hikvision_next, tests/fixtures/ISAPI/EventNotificationAlert;
  part heads: issue 117 there
- `tcg405.xml`: DS-TCG405-E, the body that a public receiver's mock camera sends, a few lists of `unknown` left out
- DEEPINVIEW, OLD, PREFIXED: firmware V5.8, V5.4 and an NVR that passes on, fixtures of a public ANPR parser
- HEARTBEAT: github.com/Supergiovane/node-red-contrib-hikvision-ultimate, issue 88
- IO: DS-2CD2346G2-ISU, hikvision_next, tests/fixtures/ISAPI/EventNotificationAlert
- GUIDE rows: value lists of XML_EventNotificationAlert_ANPR in the maker's guide
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid
from core.identity.plates import parse_plate
from drivers.base import Request
from drivers.facts import DeviceSignal, PlateRead
from drivers.hik_anpr import DRIVER
from drivers.hik_anpr.layout import AnprMap
from drivers.profile import Profile, checked_map, read_profile

HERE = Path(__file__).parent
PROFILE = read_profile(
    (HERE.parents[2] / "firmware_profiles/hikvision/isapi-anpr.toml").read_text(encoding="utf-8"), "test"
)
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
# SOI, APP0 of 2 bytes, SOF0 of a picture 640 x 360, EOI (ITU-T T.81)
JPEG = bytes.fromhex("ffd8ffe00004aabbffc0000b080168028001012200ffd9")
PLATE, UNKNOWN, TCG405 = (
    (HERE / f"{name}.xml").read_text(encoding="utf-8") for name in ("ipc_plate", "ipc_unknown", "tcg405")
)
DEEPINVIEW = """<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<ipAddress>192.168.1.64</ipAddress><portNo>4000</portNo><channelID>1</channelID>
<dateTime>2026-07-05T20:44:40+01:00</dateTime><eventType>ANPR</eventType><eventState>active</eventState>
<ANPR><country>7</country><licensePlate>WX1234A</licensePlate><line>1</line><direction>reverse</direction>
<confidenceLevel>92</confidenceLevel><plateColor>unknown</plateColor><licenseBright>79</licenseBright>
<vehicleType>SUVMPV</vehicleType><vehicleInfo><index>3301</index><color>black</color></vehicleInfo>
<originalLicensePlate>WX1234A</originalLicensePlate></ANPR><UUID>x</UUID></EventNotificationAlert>"""
OLD = """<EventNotificationAlert version="1.0" xmlns="http://www.std-cgi.com/ver10/XMLSchema">
<channelID>1</channelID><dateTime>2020-03-10T09:12:00+01:00</dateTime><eventType>ANPR</eventType>
<eventState>active</eventState><ANPR><licensePlate>EL123AB</licensePlate><line>1</line><direction>forward</direction>
<confidenceLevel>85</confidenceLevel><plateType>92wex</plateType><plateColor>white</plateColor></ANPR>
</EventNotificationAlert>"""
PREFIXED = """<?xml version="1.0" encoding="UTF-8"?>
<ns1:EventNotificationAlert xmlns:ns1="http://www.hikvision.com/ver20/XMLSchema" version="2.0">
<ns1:eventType>ANPR</ns1:eventType><ns1:ANPR><ns1:licensePlate>WA99999</ns1:licensePlate>
<ns1:confidenceLevel>90</ns1:confidenceLevel><ns1:direction>forward</ns1:direction></ns1:ANPR>
</ns1:EventNotificationAlert>"""
HEARTBEAT = """<EventNotificationAlert version="1.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<ipAddress>192.168.0.45</ipAddress>
<portNo>80</portNo>
<protocol>HTTP</protocol>
<macAddress>02:00:00:00:00:c0</macAddress>
<channelID>0</channelID>
<dateTime>2025-11-04T22:06:44+01:00</dateTime>
<activePostCount>0</activePostCount>
<eventType>videoloss</eventType>
<eventState>inactive</eventState>
<eventDescription>videoloss alarm</eventDescription>
</EventNotificationAlert>"""
IO = """<EventNotificationAlert version="2.0"
xmlns="http://www.hikvision.com/ver20/XMLSchema">
<channelID>1</channelID>
<dateTime>2024-11-19T16:53:28+01:00</dateTime>
<eventType>IO</eventType>
<eventState>active</eventState>
<eventDescription>IO alarm</eventDescription>
<inputIOPortID>1</inputIOPortID>
</EventNotificationAlert>"""


def alert(anpr="", event="ANPR", rest=""):
    return f"<EventNotificationAlert><eventType>{event}</eventType><ANPR>{anpr}</ANPR>{rest}</EventNotificationAlert>"


def part(name, data, kind="image/jpeg", filename="", length=True):
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename or name}"\r\nContent-Type: {kind}\r\n'
    head += f"Content-Length: {len(data)}\r\n" if length else ""
    return head.encode() + b"\r\n" + data + b"\r\n"


def multipart(*parts, end=b"--boundary--\r\n"):
    return b"".join(b"--boundary\r\n" + one for one in parts) + end


def post(body, kind='application/xml; charset="UTF-8"', method="POST"):
    body = body.encode() if isinstance(body, str) else body
    parser = DRIVER.make(PROFILE, DRIVER.settings())
    return parser.receive(Request(method, "/", AT, headers={"content-type": kind}, body=body))


def post_parts(*parts, **end):
    return post(multipart(*parts, **end), "multipart/form-data; boundary=boundary")


def plate_of(pushed):
    (fact,) = pushed.facts
    assert isinstance(fact, PlateRead)
    return fact


CAPTURED = [
    ("iDS-2CD7A46G0", PLATE, {"plate": "XX00000", "confidence": 1.0, "colour": "", "country": "5", "direction": "approach",
        "camera_lane": 1, "vehicle_kind": "car", "vehicle_colour": "white", "device_id": "02:00:00:00:00:5c",
        "object_id": "20230811134901822007gWpiNIuI14ikdwfKR5eDCzuV45RubEmi88qaD5w0YTq", "speed_kmh": None},
        "2023-08-11T13:49:00+01:00"),
    ("no plate read", UNKNOWN, {"plate": "", "confidence": 0.0, "country": "", "vehicle_kind": "car"}, "2023-08-11T14:02:35+01:00"),
    ("DS-TCG405-E", TCG405, {"plate": "AA0000", "confidence": 0.98, "country": "64", "speed_kmh": None, "vehicle_colour": "",
        "object_id": "a0fe72d4-3652-464a-aebd-3f9190010236", "device_id": "DS-TCG405-E 20220323AI00000000"},
        "2024-05-07T17:48:03.847000+07:00"),
    ("V5.8", DEEPINVIEW, {"plate": "WX1234A", "confidence": 0.92, "direction": "depart", "vehicle_colour": "black"}, "2026-07-05T20:44:40+01:00"),
    ("V5.4, std-cgi", OLD, {"plate": "EL123AB", "confidence": 0.85, "colour": "white", "vehicle_colour": "", "object_id": ""}, "2020-03-10T09:12:00+01:00"),
    ("prefixed", PREFIXED, {"plate": "WA99999", "confidence": 0.9, "direction": "approach", "taken_at": None}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "expected", "taken_at"), CAPTURED, ids=[row[0] for row in CAPTURED])
def test_a_captured_body_becomes_one_plate(name, body, expected, taken_at):
    pushed = post(body)
    assert (pushed.answer.status, pushed.rejected) == (200, ())
    fact = plate_of(pushed)
    assert {key: getattr(fact, key) for key in expected} == expected
    assert (fact.taken_at.isoformat() if fact.taken_at else None) == taken_at


GUIDE = [
    ("<licensePlate>蓝浙AX2P12</licensePlate><plateColor>blue</plateColor>", {"plate": "浙AX2P12", "colour": "blue"}),
    ("<licensePlate>黄绿粤BD12345</licensePlate>", {"plate": "粤BD12345", "colour": "yellow_green"}),
    ("<licensePlate>黑粤Z1234澳</licensePlate>", {"plate": "粤Z1234澳", "colour": "black"}),
    ("<licensePlate>黑A12345</licensePlate><plateColor>blue</plateColor>", {"plate": "黑A12345", "colour": "blue"}),
    ("<licensePlate>MX-12-34</licensePlate><CRIndex>258</CRIndex><country>253</country>", {"plate": "MX-12-34", "country": "MO"}),
    ("<licensePlate>AB1234</licensePlate><CRIndex>257</CRIndex>", {"country": "HK"}),
    ("<licensePlate>AB1234</licensePlate><CRIndex>59</CRIndex><ISO-CR>CN</ISO-CR>", {"country": "CN"}),
    ("<licensePlate>noPlate</licensePlate><line>3</line>", {"plate": "", "camera_lane": 3}),
    ("<licensePlate>无车牌</licensePlate>", {"plate": ""}),
    ("<licensePlate>A1</licensePlate><plateColor>newEnergyYellowGreen</plateColor>", {"colour": "yellow_green"}),
    ("<licensePlate>A1</licensePlate><plateColor>golden</plateColor>", {"colour": "other"}),
    ("<plateNumber>DW222</plateNumber>", {"plate": "DW222"}),
    ("<originalLicensePlate>DW333</originalLicensePlate>", {"plate": "DW333"}),
    ("<licensePlate>PO55X</licensePlate><confidenceLevel>92.5</confidenceLevel>", {"confidence": 0.925}),
    ("<licensePlate>A1</licensePlate><vehicleInfo><speed>62</speed><color>deepGray</color></vehicleInfo>",
        {"speed_kmh": 62.0, "vehicle_colour": "gray"}),
    ("<licensePlate>A1</licensePlate><vehicleType>containerTruck</vehicleType>", {"vehicle_kind": "truck"}),
    ("<licensePlate>A1</licensePlate><vehicleType>crane</vehicleType>", {"vehicle_kind": "crane"}),
]  # fmt: skip


@pytest.mark.parametrize(("anpr", "expected"), GUIDE)
def test_the_words_of_the_guide(anpr, expected):
    pushed = post(alert(anpr))
    assert pushed.rejected == ()
    fact = plate_of(pushed)
    assert {key: getattr(fact, key) for key in expected} == expected


def test_a_mainland_plate_is_one_to_the_edge_once_its_colour_is_off():
    fact = plate_of(post(alert("<licensePlate>黑粤Z1234澳</licensePlate>")))
    assert parse_plate(fact.plate).valid
    assert not parse_plate("黑粤Z1234澳").valid


@pytest.mark.parametrize(
    ("anpr", "field", "reason"),
    [
        ("<confidenceLevel>150</confidenceLevel>", "confidence", "confidence"),
        ("<confidenceLevel>nan</confidenceLevel>", "confidence", "confidence"),
        ("<line>1.5</line>", "camera_lane", "lane"),
        ("<line>99999</line>", "camera_lane", "lane"),
        ("<vehicleInfo><speed>fast</speed></vehicleInfo>", "speed_kmh", "speed"),
    ],
)
def test_a_value_that_cannot_be_is_counted_and_the_plate_stays(anpr, field, reason):
    pushed = post(alert(f"<licensePlate>A1</licensePlate>{anpr}"))
    assert plate_of(pushed).plate == "A1"
    assert getattr(plate_of(pushed), field) is None
    assert len(pushed.rejected) == 1
    assert pushed.rejected[0].startswith(reason)


def test_a_time_without_zone_is_of_the_profile_and_an_impossible_one_is_none():
    told = {
        time: plate_of(post(alert("<licensePlate>A1</licensePlate>", rest=f"<dateTime>{time}</dateTime>"))).taken_at
        for time in ("2026-11-21T08:00:00", "2026-13-21T08:00:00", "20261121080000123")
    }
    assert told["2026-11-21T08:00:00"].isoformat() == "2026-11-21T08:00:00+08:00"
    assert told["2026-13-21T08:00:00"] is None
    assert told["20261121080000123"].isoformat() == "2026-11-21T08:00:00.123000+08:00"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (HEARTBEAT, (DeviceSignal("videoloss", on=False, source="0", baseline=True),)),
        (HEARTBEAT.replace("inactive", "active"), (DeviceSignal("videoloss", on=True, source="0"),)),
        (IO, (DeviceSignal("IO", on=True, source="1"),)),
        (alert(event="heartBeat"), ()),
        (json.dumps({"EventNotificationAlert": {"eventType": "heartBeat", "eventState": "active"}}), ()),
        (
            json.dumps({"eventType": "tamperDetection", "eventState": "inactive", "channelID": 2}),
            (DeviceSignal("tamperDetection", on=False, source="2"),),
        ),
    ],
)
def test_other_events_are_signals_and_heartbeats_are_not_changes(body, expected):
    pushed = post(body)
    assert (pushed.facts, pushed.answer.status, pushed.rejected) == (expected, 200, ())


@pytest.mark.parametrize(
    ("name", "filename", "role"),
    [
        ("licensePlatePicture.jpg", "", "plate"),
        ("vehiclePicture.jpg", "2023081113490182400EgqBZCXSSOD9V.jpg", "vehicle"),
        ("image_file", "detectionPicture.jpg", "scene"),
        ("detectionPicture_2.jpg", "", "scene"),
        ("2023081113490182400fSXqc8CQHtdNG", "x", "plate"),
        ("pilotPicture.jpg", "", "person"),
        ("picture", "new.jpg", "other"),
    ],
)
@pytest.mark.parametrize("length", [True, False])
def test_pictures_come_with_their_role_and_size(name, filename, role, length):
    pushed = post_parts(
        part("anpr.xml", PLATE.encode(), "text/xml"),
        part(name, JPEG, "application/octet-stream", filename, length=length),
    )
    (image,) = plate_of(pushed).images
    assert (image.role, image.media_type, image.width, image.height) == (role, "image/jpeg", 640, 360)
    assert image.data == JPEG
    assert pushed.rejected == ()


def test_a_picture_that_holds_the_boundary_is_whole_by_its_length():
    data = JPEG + b"\r\n--boundary\r\nContent-Type: text/xml\r\n\r\n" + JPEG
    pushed = post_parts(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", data))
    assert [image.data for image in plate_of(pushed).images] == [data]


def test_what_is_no_picture_is_counted_and_the_plate_stays():
    pushed = post_parts(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", b"GIF89a"))
    assert plate_of(pushed).images == ()
    assert "neither JPEG nor PNG" in pushed.rejected[0]


def test_a_body_cut_within_a_picture_still_tells_the_plate():
    whole = multipart(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", JPEG * 10))
    pushed = post(whole[:-60], "multipart/form-data; boundary=boundary")
    assert plate_of(pushed).plate == "XX00000"
    assert "cut" in pushed.rejected[0]


def test_the_closing_boundary_may_be_missing_where_lengths_are_told():
    body = multipart(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", JPEG), end=b"")
    pushed = post(body, "multipart/form-data; boundary=boundary")
    assert (len(plate_of(pushed).images), pushed.rejected) == (1, ())


def test_the_same_read_again_has_the_same_object_id():
    early = post(PLATE)
    late = post_parts(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", JPEG))
    assert plate_of(early).object_id == plate_of(late).object_id != ""


DTD = '<!DOCTYPE a [<!ENTITY x "1">]>' + alert("<licensePlate>&x;</licensePlate>")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/xml"),
        (b"\x00\xff", "application/octet-stream"),
        (DTD.encode(), "application/xml"),
        (b"<a/>", "application/xml"),
        (b"{}", "application/json"),
        (b'{"eventType": "ANPR"}', "application/json"),
        (b'{"a":' * 5000, "application/json"),
        (b'{"eventType": "IO", "a": %s1%s}' % (b'{"a":' * 70, b"}" * 70), "application/json"),
        (b'{"eventType": "IO", "a": [%s1]}' % (b"1," * 10_001), "application/json"),
        (b'{"eventType": "IO"%s}' % (b" " * (1 << 20)), "application/json"),
        (PLATE.encode()[:700], "application/xml"),
        (alert("", event="").encode(), "application/xml"),
        (alert("", event="x" * 100).encode(), "application/xml"),
        (alert(f"<licensePlate>{'A' * 41}</licensePlate>").encode(), "application/xml"),
        (b"<EventNotificationAlert><eventType>ANPR</eventType></EventNotificationAlert>", "application/xml"),
        (multipart(part("vehiclePicture.jpg", JPEG)), "multipart/form-data; boundary=boundary"),
        (multipart(part("anpr.xml", DTD.encode(), "text/xml")), "multipart/form-data; boundary=boundary"),
        (b"nothing", "multipart/form-data; boundary=boundary"),
        (b"nothing", "multipart/form-data"),
    ],
)
def test_a_hostile_body_is_refused_with_a_reason(body, kind):
    pushed = post(body, kind)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected
    assert "error" in json.loads(pushed.answer.body)


def test_only_posts_are_taken():
    assert post(PLATE, method="GET").answer.status == 405


@given(st.binary(max_size=400), st.sampled_from(["multipart/form-data; boundary=b", "application/xml", ""]))
def test_no_bytes_break_it(data, kind):
    for body in (data, b"--b\r\n\r\n" + data + b"\r\n--b--", PLATE.encode()[:600] + data):
        pushed = post(body, kind)
        assert pushed.answer.status in {200, 400}
        assert (pushed.answer.status == 200) == (not pushed.rejected or bool(pushed.facts))


def test_a_recorded_request_and_a_bare_body_are_decoded_offline():
    body = multipart(part("anpr.xml", PLATE.encode(), "text/xml"), part("vehiclePicture.jpg", JPEG))
    head = f"POST /anpr HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=boundary\r\nContent-Length: {len(body)}\r\n\r\n"
    decode = DRIVER.decoder(PROFILE)
    expected = {
        "plate": "XX00000",
        "taken_at": "2023-08-11T13:49:00+01:00",
        "images": [{"role": "vehicle", "media_type": "image/jpeg", "bytes": len(JPEG), "width": 640, "height": 360}],
    }
    for data, count in ((head.encode() + body, 1), ((head.encode() + body) * 2, 2), (body, 1)):
        rows = decode(data)
        assert len(rows) == count
        assert {key: rows[-1][key] for key in expected} == expected
    assert DRIVER.decoder(None)(PLATE.encode())[0]["camera_lane"] == 1
    assert json.dumps(decode(body))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a/>",
        b"POST / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n<a/>",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_refused_online_is_refused_offline(data):
    with pytest.raises(FrameInvalid):
        DRIVER.decoder(None)(data)


def test_another_firmware_is_one_profile():
    profile = Profile(
        name="a/b",
        driver="hik-anpr",
        vendor="a",
        model="b",
        source="-",
        map={"spelling": {"plate": ["Vehicle/Number"]}, "directions": {"in": "approach"}, "zone": "+00:00"},
    )
    body = "<EventNotificationAlert><eventType>anpr</eventType><Vehicle><Number>A1</Number></Vehicle></EventNotificationAlert>"
    pushed = DRIVER.make(profile, DRIVER.settings()).receive(Request("POST", "/", AT, body=body.encode()))
    assert plate_of(pushed).plate == "A1"
    with pytest.raises(ConfigInvalid, match=r"map\.typo"):
        DRIVER.make(profile.model_copy(update={"map": {"typo": 1}}), DRIVER.settings())


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert checked_map(PROFILE, AnprMap) == AnprMap()


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {PlateRead, DeviceSignal}
    assert DRIVER.body_cap == 8 << 20
