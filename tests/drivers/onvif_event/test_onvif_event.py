"""Notify bodies -> facts, in every cut; topic tables; what is hostile."""

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid, GatefleetError
from drivers.base import Request, Settings
from drivers.facts import DeviceSignal, PeopleCounted, PlateRead
from drivers.onvif_event import DRIVER, NotifyParser
from drivers.onvif_topics import ANY_TOPIC, MAX_MESSAGES, Notification, TopicTable, facts_of
from drivers.profile import read_profile

ROOT = Path(__file__).parents[3]
PROFILE = read_profile((ROOT / "firmware_profiles/onvif/notify.toml").read_text("utf-8"), "notify.toml")
VECTORS = [
    row
    for row in map(json.loads, (ROOT / "tests/vectors/onvif.jsonl").read_text("utf-8").splitlines())
    if "events" in row["expected"]
]
AT = datetime(2026, 8, 24, 10, tzinfo=UTC)


def message(topic, op="Changed", source=None, data=None, utc="2026-08-24T10:00:00Z", more=""):
    def items(values):
        return "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in (values or {}).items())

    return (
        f"<w:NotificationMessage><w:Topic>{topic}</w:Topic><w:Message>"
        f'<tt:Message UtcTime="{utc}" PropertyOperation="{op}"><tt:Source>{items(source)}</tt:Source>'
        f"<tt:Data>{items(data)}{more}</tt:Data></tt:Message></w:Message></w:NotificationMessage>"
    )


def notify(*messages):
    spaces = 'xmlns:w="http://docs.oasis-open.org/wsn/b-2" xmlns:tt="http://www.onvif.org/ver10/schema"'
    space = "http://www.w3.org/2003/05/soap-envelope"
    return (
        f'<s:Envelope xmlns:s="{space}" {spaces}><s:Body><w:Notify>{"".join(messages)}</w:Notify></s:Body></s:Envelope>'
    ).encode()


def push(data, method="POST"):
    parser = DRIVER.make(PROFILE, Settings())
    return parser.receive(Request(method, "/", AT, body=data))


def test_a_plate():
    data = {"LicensePlate": "粤Z1234澳", "Confidence": "87", "Country": "CN", "ObjectId": "12"}
    pushed = push(notify(message("tns1:RuleEngine/LicensePlateDetector/Plate", data=data)))
    assert pushed.facts == (PlateRead("粤Z1234澳", object_id="12", confidence=0.87, country="CN", taken_at=AT),)
    assert (pushed.answer.status, pushed.answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("data", "confidence"),
    [
        ({"PlateNumber": "A", "Likelihood": "0.5"}, 0.5),
        ({"PlateNumber": "A", "Confidence": "100"}, 1.0),
        ({"PlateNumber": "A", "Confidence": "101"}, None),
        ({"PlateNumber": "A", "Confidence": "nan"}, None),
        ({"PlateNumber": "A", "Confidence": "-1", "Likelihood": "1"}, 1.0),
        ({"PlateNumber": "A"}, None),
    ],
)
def test_confidence_has_two_scales(data, confidence):
    (fact,) = push(notify(message("tnsx:VideoAnalytics/tnsx:LicensePlateRecognition", data=data))).facts
    assert (fact.plate, fact.confidence) == ("A", confidence)


def test_a_plate_in_an_element_of_the_schema():
    inner = '<tt:Object ObjectId="7"><tt:LicensePlateInfo><tt:PlateNumber Likelihood="0.9">MA1234</tt:PlateNumber><tt:CountryCode>MO</tt:CountryCode></tt:LicensePlateInfo></tt:Object>'
    more = f'<tt:ElementItem Name="Object">{inner}</tt:ElementItem>'
    (fact,) = push(notify(message("tns1:RuleEngine/LicensePlateRecognition/Recognized", more=more))).facts
    assert (fact.plate, fact.confidence, fact.country, fact.object_id) == ("MA1234", 0.9, "MO", "7")


def test_the_last_plate_told_to_a_new_subscriber_is_no_new_read():
    data = {"PlateNumber": "A"}
    assert push(notify(message("tns1:RuleEngine/PlateDetector", "Initialized", data=data))).facts == ()
    assert push(notify(message("tns1:RuleEngine/PlateDetector", "Deleted", data=data))).facts == ()
    assert len(push(notify(message("tns1:RuleEngine/PlateDetector", data=data))).facts) == 1


def test_counts():
    source = {"VideoSource": "1", "Rule": "hall-in"}
    counter = message("tns1:RuleEngine/CountAggregation/Counter", source=source, data={"Count": "41"})
    occupancy = message("tns1:RuleEngine/CountAggregation/OccupancyCounter", source=source, data={"Count": "7"})
    broken = message("tns1:RuleEngine/CountAggregation/Counter", source=source, data={"Count": "many"})
    assert push(notify(counter, occupancy, broken)).facts == (
        PeopleCounted(41, 0, cumulative=True, until=AT, region="hall-in"),
        PeopleCounted(0, 0, cumulative=True, until=AT, region="hall-in", inside=7),
    )


@pytest.mark.parametrize(
    ("topic", "op", "data", "wanted"),
    [
        ("tns1:Device/Trigger/DigitalInput", "Changed", {"LogicalState": "true"}, (True, False)),
        ("tns1:Device/Trigger/DigitalInput", "Changed", {"LogicalState": "1"}, (True, False)),
        ("ns7:Device/Trigger/DigitalInput", "Initialized", {"LogicalState": "false"}, (False, True)),
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", "Changed", {"State": "true"}, (True, False)),
        ("tns1:VideoSource/MotionAlarm", "Changed", {"State": "perhaps"}, None),
        ("tns1:VideoSource/MotionAlarm", "Changed", {"Other": "true"}, None),
        ("tns1:UserAlarm/IVA", "Changed", {"State": "true"}, None),
    ],
)
def test_signals(topic, op, data, wanted):
    facts = push(notify(message(topic, op, {"InputToken": "in-1"}, data))).facts
    assert facts == (() if wanted is None else (DeviceSignal(topic, wanted[0], "in-1", wanted[1]),))


def test_a_new_model_is_one_table():
    text = """
name = "x/y"
driver = "onvif-event"
vendor = "x"
model = "y"
source = "a manual"
[[map.plates]]
topics = ["Vendor/Anpr"]
plate = ["Text"]
colour = ["PlateColor"]
colours = { "1" = "blue" }
direction = ["Dir"]
directions = { towards = "approach" }
lane = ["Lane"]
speed_kmh = ["Speed"]
[[map.counts]]
topics = ["Vendor/Gate"]
entered = ["In"]
left = ["Out"]
cumulative = false
"""
    parser = DRIVER.make(read_profile(text, "x.toml"), Settings())
    data = {"Text": "MA1234", "PlateColor": "1", "Dir": "towards", "Lane": "2", "Speed": "31.5"}
    body = notify(
        message("v:Vendor/v:Anpr", data=data),
        message("v:Vendor/v:Gate", data={"In": "3", "Out": "1"}),
        message("v:Vendor/v:Gate", "Initialized", data={"In": "3", "Out": "1"}),
    )
    plate, count = parser.receive(Request("POST", "/", AT, body=body)).facts
    assert (plate.colour, plate.direction, plate.camera_lane, plate.speed_kmh) == ("blue", "approach", 2, 31.5)
    assert (count.entered, count.left, count.cumulative) == (3, 1, False)


def test_a_table_with_a_mistake_is_refused():
    with pytest.raises(ConfigInvalid, match="plates"):
        DRIVER.make(PROFILE.model_copy(update={"map": {"plates": [{"topics": []}]}}), Settings())


@pytest.mark.parametrize(
    ("body", "method", "status"),
    [
        (b"", "POST", 400),
        (b"{}", "POST", 400),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "POST", 400),
        (notify()[:-4], "POST", 400),
        (notify().replace(b"Notify", b"Other"), "POST", 400),
        (notify(), "GET", 405),
    ],
)
def test_a_request_that_is_none_is_refused_with_a_reason(body, method, status):
    pushed = push(body, method)
    assert pushed.answer.status == status
    assert pushed.rejected
    assert not pushed.facts


def test_no_more_messages_than_the_cap():
    one = message("tns1:VideoSource/MotionAlarm", data={"State": "true"})
    assert len(push(notify(*[one] * (MAX_MESSAGES + 5))).facts) == MAX_MESSAGES


def cuts(data):
    yield [data]
    yield [data[n : n + 1] for n in range(len(data))]
    yield [data[n : n + 7] for n in range(0, len(data), 7)]


@pytest.mark.parametrize("row", VECTORS, ids=range(len(VECTORS)))
def test_offline_decoding_in_every_cut(row):
    data = row["input"].encode()
    for pieces in cuts(data + b"\n" + data):
        decode = DRIVER.decoder(None)
        reports = [report for piece in pieces for report in decode(piece)]
        assert len(reports) == 2 * len(row["expected"]["events"])
        for report, event in zip(reports, row["expected"]["events"] * 2, strict=True):
            assert (report["topic"], report["op"]) == (event["topic"], event["op"])
            assert report["baseline"] == (event["op"] == "Initialized")
            if isinstance(event["source"], str):
                assert (next(iter(report["source"].values())), report["state"]) == (event["source"], event["state"])
            else:
                assert (report["source"], report["data"]) == (event["source"], event["data"])
        assert json.dumps(reports)


def test_a_report_tells_the_cameras_time():
    (report,) = DRIVER.decoder(PROFILE)(notify(message("a:VideoSource/MotionAlarm", data={"State": "1"})))
    assert report["utc_time"] == "2026-08-24T10:00:00Z"
    assert report["facts"][0]["fact"] == "DeviceSignal"


@pytest.mark.parametrize("data", [b"hello", notify(), b"<" + b"x" * (1 << 21), notify()[:-1] + b" >"])
def test_offline_decoding_refuses(data):
    with pytest.raises(FrameInvalid):
        DRIVER.decoder(None)(data)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_no_bytes_break_it_and_the_next_envelope_is_read(pieces):
    decode = DRIVER.decoder(None)
    good = notify(message("tns1:VideoSource/MotionAlarm", data={"State": "true"}))
    for piece in pieces:
        assert push(piece).answer.status == 400
        try:
            decode(piece)
        except GatefleetError:
            continue
    with contextlib.suppress(GatefleetError):
        decode(b"</Envelope>")
    assert len(push(good).facts) == 1
    assert [report["state"] for report in decode(good)] == [True]


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)), st.text(max_size=30), st.text(max_size=10))
def test_no_message_breaks_a_table(data, topic, op):
    facts_of(Notification(topic, op, None, data, data), ANY_TOPIC)
    facts_of(Notification("RuleEngine/PlateX", op, None, {}, {"PlateNumber": topic, "Confidence": op}), ANY_TOPIC)


def test_what_is_declared_is_tested():
    assert DRIVER.facts == {PlateRead, PeopleCounted, DeviceSignal}
    assert DRIVER.commands == frozenset()
    assert isinstance(DRIVER.make(PROFILE, Settings()), NotifyParser)
    assert TopicTable() == NotifyParser(TopicTable()).table
