"""PeopleCounting alerts that cameras sent; MAC addresses are replaced.

Sources: FRESH a FastAPI tutorial's Postman body (isapi.org namespace, 2024); REALTIME a Go receiver's test (psialliance
namespace, 2020); FIRST a 2017 handler's comment (no namespace, with `pass`); RANGE a counter service's README (2020);
REGION a cloud decoder's test (2021). All in public repositories.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Request
from drivers.facts import DeviceSignal, PeopleCounted
from drivers.hik_counting import DRIVER, CountingMap
from drivers.profile import checked_map, read_profile

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/hikvision/isapi-counting.toml").read_text(encoding="utf-8"), "test"
)
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
FRESH = """<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"> <ipAddress>192.168.2.64</ipAddress>
<portNo>8080</portNo>
<protocol>HTTP</protocol>
<macAddress>02:00:00:00:00:6d</macAddress>
<channelID>1</channelID>
<dateTime>2024-07-08T12:27:24+08:00</dateTime> <activePostCount>1</activePostCount>
<eventType>PeopleCounting</eventType>
<eventState>active</eventState>
<eventDescription>PeopleCounting alarm</eventDescription> <channelName>Camera 01</channelName>
<peopleCounting>
<statisticalMethods>realTime</statisticalMethods>
<RealTime>
<time>2024-07-08T12:27:24+08:00</time>
</RealTime>
<enter>15</enter>
<exit>14</exit>
<duplicatePeople>4</duplicatePeople> <countingSceneMode>entrance</countingSceneMode>
</peopleCounting>
<isDataRetransmission>false</isDataRetransmission>
</EventNotificationAlert>"""
REALTIME = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="1.0" xmlns="urn:psialliance-org">
<ipAddress>192.168.1.64</ipAddress>
<protocolType>HTTP</protocolType>
<macAddress>02:00:00:00:00:6d</macAddress>
<channelID>1</channelID>
<dateTime>2020-07-09T12:07:07+08:00</dateTime>
<activePostCount>1</activePostCount>
<eventType>PeopleCounting</eventType>
<eventState>active</eventState>
<eventDescription>peopleCounting alarm</eventDescription>
<channelName>Camera 01</channelName>
<peopleCounting>
<statisticalMethods>realTime</statisticalMethods>
<RealTime>
<time>2020-07-09T12:07:07+08:00</time>
</RealTime>
<enter>70</enter>
<exit>75</exit>
<regionsID>1</regionsID>
</peopleCounting>
<childCounting>
<enter>0</enter>
<exit>0</exit>
</childCounting>
</EventNotificationAlert>"""
FIRST = """<?xml version="1.0" encoding="UTF-8"?><EventNotificationAlert ><ipAddress>192.168.60.221</ipAddress><protocolType>HTTP</protocolType><macAddress>02:00:00:00:00:87</macAddress><channelID>1</channelID><dateTime>2017-09-01T11:57:40+08:00</dateTime><activePostCount>74</activePostCount><eventType>PeopleCounting</eventType><eventState>active</eventState><eventDescription>peopleCounting alarm</eventDescription><channelName>Camera 01</channelName><peopleCounting><statisticalMethods>realTime</statisticalMethods><RealTime><time>2017-09-03T13:57:35+08:00</time></RealTime><enter>167</enter><exit>454</exit><pass>9729</pass></peopleCounting></EventNotificationAlert>"""
RANGE = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="1.0" xmlns="urn:psialliance-org">
<ipAddress>10.60.108.22</ipAddress>
<protocolType>HTTP</protocolType>
<macAddress>02:00:00:00:00:c1</macAddress>
<channelID>1</channelID>
<dateTime>2020-04-19T19:35:00+02:00</dateTime>
<activePostCount>1560</activePostCount>
<eventType>PeopleCounting</eventType>
<eventState>active</eventState>
<eventDescription>peopleCounting alarm</eventDescription>
<channelName>Camera 01</channelName>
<peopleCounting>
<statisticalMethods>timeRange</statisticalMethods>
<TimeRange>
<startTime>2020-04-19T19:33:00+02:00</startTime>
<endTime>2020-04-19T19:35:00+02:00</endTime>
</TimeRange>
<enter>0</enter>
<exit>0</exit><pass>0</pass>
</peopleCounting>
</EventNotificationAlert>"""
REGION = '<?xml version="1.0" encoding="UTF-8"?>\r\n<EventNotificationAlert version="1.0" xmlns="urn:psialliance-org">\r\n<ipAddress>192.168.10.32</ipAddress>\r\n<protocolType>HTTP</protocolType>\r\n<macAddress>02:00:00:00:00:11</macAddress>\r\n<channelID>1</channelID>\r\n<dateTime>2021-10-12T19:15:00+08:00</dateTime>\r\n<activePostCount>1</activePostCount>\r\n<eventType>PeopleCounting</eventType>\r\n<eventState>active</eventState>\r\n<eventDescription>peopleCounting alarm</eventDescription>\r\n<channelName>Camera 01</channelName>\r\n<peopleCounting>\r\n<statisticalMethods>timeRange</statisticalMethods>\r\n<TimeRange>\r\n<startTime>2021-10-12T19:00:00+08:00</startTime>\r\n<endTime>2021-10-12T19:15:00+08:00</endTime>\r\n</TimeRange>\r\n<enter>0</enter>\r\n<exit>1</exit>\r\n<regionsID>1</regionsID>\r\n</peopleCounting>\r\n<childCounting>\r\n<enter>0</enter>\r\n<exit>0</exit>\r\n</childCounting>\r\n</EventNotificationAlert>\r\n'


def at(text):
    return datetime.fromisoformat(text)


def post(body, kind="application/xml", method="POST"):
    body = body.encode() if isinstance(body, str) else body
    parser = DRIVER.make(PROFILE, DRIVER.settings())
    return parser.receive(Request(method, "/", AT, headers={"content-type": kind}, body=body))


CAPTURED = [
    ("fresh", FRESH, PeopleCounted(15, 14, cumulative=True, until=at("2024-07-08T12:27:24+08:00"))),
    ("realtime", REALTIME, PeopleCounted(70, 75, cumulative=True, until=at("2020-07-09T12:07:07+08:00"), region="1")),
    ("first", FIRST, PeopleCounted(167, 454, cumulative=True, until=at("2017-09-03T13:57:35+08:00"))),
    ("range", RANGE, PeopleCounted(0, 0, since=at("2020-04-19T19:33:00+02:00"), until=at("2020-04-19T19:35:00+02:00"))),
    ("region", REGION, PeopleCounted(0, 1, since=at("2021-10-12T19:00:00+08:00"), until=at("2021-10-12T19:15:00+08:00"), region="1")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "expected"), CAPTURED, ids=[row[0] for row in CAPTURED])
def test_a_captured_body_becomes_one_count(name, body, expected):
    multipart = f"--MIME_boundary\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}\r\n--MIME_boundary--\r\n"
    for told, kind in ((body, "application/xml"), (multipart, "multipart/form-data; boundary=MIME_boundary")):
        pushed = post(told, kind)
        assert (pushed.facts, pushed.answer.status, pushed.rejected) == ((expected,), 200, ())


def test_the_same_names_in_json_are_read():
    value = {
        "dateTime": "2026-11-21T08:00:00+08:00",
        "eventType": "PeopleCounting",
        "peopleCounting": {"statisticalMethods": "realTime", "enter": 3, "exit": 0, "regionsID": 2},
    }
    (fact,) = post(json.dumps(value), "application/json").facts
    assert fact == PeopleCounted(3, 0, cumulative=True, until=at("2026-11-21T08:00:00+08:00"), region="2")


def test_without_a_method_an_interval_tells_what_it_is():
    (ranged,) = post(RANGE.replace("<statisticalMethods>timeRange</statisticalMethods>", "")).facts
    (total,) = post(FIRST.replace("<statisticalMethods>realTime</statisticalMethods>", "")).facts
    assert (ranged.cumulative, total.cumulative) == (False, True)


def test_times_without_zone_are_of_the_profile():
    (fact,) = post(RANGE.replace("+02:00", "")).facts
    assert fact.since.isoformat() == "2020-04-19T19:33:00+08:00"


def test_other_events_are_signals():
    body = "<EventNotificationAlert><channelID>1</channelID><eventType>videoloss</eventType><eventState>{}</eventState></EventNotificationAlert>"
    assert post(body.format("inactive")).facts == (DeviceSignal("videoloss", on=False, source="1", baseline=True),)
    assert post(body.format("active")).facts == (DeviceSignal("videoloss", on=True, source="1"),)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "<!DOCTYPE a><EventNotificationAlert/>",
        REALTIME.replace("<enter>70</enter>", ""),
        REALTIME.replace("<enter>70</enter>", "<enter>-1</enter>"),
        REALTIME.replace("<enter>70</enter>", "<enter>1e99</enter>"),
        REALTIME.replace("<exit>75</exit>", "<exit>7.5</exit>"),
        REALTIME.replace("realTime", "perhaps"),
        RANGE.replace("19:33", "19:36"),
        RANGE.replace("<endTime>2020-04-19T19:35:00+02:00</endTime>", ""),
        RANGE.replace("2020-04-19T19:33:00+02:00", "then"),
        REALTIME[:-40],
    ],
)  # fmt: skip
def test_a_count_that_cannot_be_is_refused(body):
    pushed = post(body)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected


def test_only_posts_are_taken():
    assert post(RANGE, method="GET").answer.status == 405


@given(st.binary(max_size=300), st.integers(0, len(REALTIME)))
def test_no_bytes_break_it_and_the_next_count_is_read(data, cut):
    parser = DRIVER.make(PROFILE, DRIVER.settings())
    pushed = parser.receive(Request("POST", "/", AT, body=REALTIME.encode()[:cut] + data))
    assert pushed.answer.status == 200 or (pushed.rejected and not pushed.facts)
    assert len(parser.receive(Request("POST", "/", AT, body=RANGE.encode())).facts) == 1


def test_recordings_are_decoded_offline():
    for decode in (DRIVER.decoder(None), DRIVER.decoder(PROFILE)):
        (row,) = decode(RANGE.encode())
        assert (row["fact"], row["since"], row["cumulative"]) == ("PeopleCounted", "2020-04-19T19:33:00+02:00", False)
        with pytest.raises(FrameInvalid):
            decode(b"<a/>")


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert checked_map(PROFILE, CountingMap) == CountingMap()


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {PeopleCounted, DeviceSignal}
