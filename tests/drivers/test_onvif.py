"""ONVIF's words: every row of the vectors, the questions we ask, and answers that lie."""

import base64
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DeviceRefused, FrameInvalid, GatefleetError
from drivers import onvif
from drivers.digest import Login
from drivers.facts import DeviceSignal
from drivers.markup import find, local, text
from drivers.onvif_answers import (
    ActionNotSupported,
    LeaseRefused,
    NotAuthorized,
    SoapFault,
    SubscriptionGone,
    answer_of,
    described,
    device_clock,
    expected,
    instant,
    lease_s,
    media_uri,
    named_rows,
    probe_matches,
    reachable_at,
    services,
    stream_at,
    subscription,
    without_doubles,
)
from drivers.onvif_topics import ANY_TOPIC, facts_of, notified

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors" / "onvif.jsonl").read_text(encoding="utf-8").splitlines()
]
EXERCISED = set()
NOT_MATCHED: dict[int, str] = {}
"""Rows that cannot be matched, and why: there are none."""


def row_of(number):
    EXERCISED.add(number)
    return ROWS[number]


def of(op):
    found = [n for n, row in enumerate(ROWS) if isinstance(row["expected"], dict) and row["expected"].get("op") == op]
    EXERCISED.update(found)
    assert found
    return [pytest.param(ROWS[number], id=f"row{number}") for number in found]


@pytest.mark.parametrize("row", [row_of(0)])
def test_the_password_digest_of_the_programmers_guide(row):
    given_ = row["input"]
    login = Login("user", given_["password"])
    token = onvif.UsernameToken(login, base64.b64decode(given_["nonce_b64"]), given_["created"])
    assert token.password_digest == row["expected"]["password_digest"]


def whole(row):
    told = described(row["input"].encode())
    return {key: told[key] for key in row["expected"]}


@pytest.mark.parametrize(
    "row",
    [
        *of("GetDeviceInformation"),
        *of("GetScopes"),
        *of("CreatePullPointSubscription"),
        *of("GetSystemDateAndTime"),
        *of("GetStreamUri"),
    ],
)
def test_an_answer_as_it_was_captured(row):
    assert whole(row) == row["expected"]


@pytest.mark.parametrize("row", of("GetPresets"))
def test_presets_as_they_were_captured(row):
    wanted = row["expected"]["leaf_values"]
    assert whole(row)["leaf_values"][: len(wanted)] == wanted
    assert len(wanted) == 60, "the vector gives the first sixty"
    tokens = [words[2]["token"] for words in wanted if len(words) == 3]
    presets = named_rows(answer_of(row["input"].encode()))
    assert [preset.token for preset in presets][: len(tokens)] == tokens
    assert presets[-1].name == "Home"


@pytest.mark.parametrize("row", of("GetStreamUri"))
def test_a_stream_is_at_the_host_that_was_dialled(row):
    uri = media_uri(answer_of(row["input"].encode()))
    assert uri == "rtsp://192.168.68.111/h264main"
    login = Login("a@b", "p/w:ü")
    assert stream_at(uri, "http://[fd00::9]:80/x", login) == "rtsp://a%40b:p%2Fw%3A%C3%BC@[fd00::9]/h264main"


@pytest.mark.parametrize("row", of("PullMessages"))
def test_events_as_they_were_captured(row):
    wanted = row["expected"]
    told = notified(row["input"].encode())
    assert told.lease_s == wanted.get("lease_s")
    assert len(told.messages) == len(wanted["events"])
    for message, event in zip(told.messages, wanted["events"], strict=True):
        assert (message.topic, message.op) == (event["topic"], event["op"])
        (fact,) = facts_of(message, ANY_TOPIC)
        assert isinstance(fact, DeviceSignal)
        assert fact.baseline == (event["op"] == "Initialized")
        if isinstance(event["source"], str):
            assert (fact.source, fact.on) == (event["source"], event["state"])
        else:
            assert (message.source, message.data) == (event["source"], event["data"])
    assert told.dropped == (("tns1:Device/HeartBeat",) if "dropped" in wanted else ())


def test_every_row_is_exercised_or_listed():
    assert EXERCISED | set(NOT_MATCHED) == set(range(len(ROWS)))


CALLS = [
    onvif.get_system_date_and_time(),
    onvif.get_services(),
    onvif.get_capabilities(),
    onvif.get_device_information(),
    onvif.get_profiles(onvif.MEDIA),
    onvif.get_stream_uri(onvif.MEDIA, "a&b"),
    onvif.get_stream_uri(onvif.MEDIA2, "a&b"),
    onvif.get_snapshot_uri(onvif.MEDIA, "a&b"),
    onvif.create_pull_point_subscription(60),
    onvif.pull_messages(20, 100),
    onvif.renew(60),
    onvif.unsubscribe(),
    onvif.get_presets("a&b"),
    onvif.goto_preset("a&b", '"<'),
    onvif.continuous_move("a&b", pan=-0.5, tilt=0.25, zoom=1, timeout_ms=1500),
    onvif.stop("a&b"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.op}-{call.service[-12:]}")
def test_a_question_is_whole_whatever_is_in_it(call):
    token = onvif.UsernameToken(Login("<&>", "p"), b"nonce", "2010-09-16T07:50:45Z")
    addressed = onvif.Addressed("http://a/?x=1&y=2", "urn:uuid:1", (("{urn:x&y}Id", "<7>"),))
    root = fromstring(onvif.envelope(call, token=token, addressed=addressed))
    assert root.find(f"{{{onvif.SOAP}}}Body")[0].tag == f"{{{call.service}}}{call.op}"
    assert text(root, "Header", "Security", "UsernameToken", "Username") == "<&>"
    assert text(root, "Header", "To") == "http://a/?x=1&y=2"
    assert text(root, "Header", "Action") == call.action
    assert root.find(f"{{{onvif.SOAP}}}Header/{{urn:x&y}}Id").text == "<7>"
    assert call.op in call.media_type


def test_what_the_questions_say():
    move = fromstring(CALLS[14].body)
    assert find(move, "Velocity", "PanTilt").attrib == {"x": "-0.500", "y": "0.250"}
    assert text(move, "Timeout") == "PT1.500S"
    assert text(fromstring(CALLS[5].body), "StreamSetup", "Transport", "Protocol") == "RTSP"
    assert text(fromstring(CALLS[6].body), "Protocol") == "RTSP"
    assert text(fromstring(CALLS[9].body), "Timeout") == "PT20S"
    assert CALLS[9].action.endswith("/PullPointSubscription/PullMessagesRequest")
    assert CALLS[10].action.endswith("/bw-2/SubscriptionManager/RenewRequest")
    assert [text(fromstring(CALLS[15].body), name) for name in ("PanTilt", "Zoom")] == ["true", "true"]


def test_no_secret_is_shown():
    token = onvif.UsernameToken(Login("operator", "s3cret"), b"n0nce", "2010-09-16T07:50:45Z")
    assert "s3cret" not in repr(token)
    assert "n0nce" not in repr(token)
    assert b"s3cret" not in onvif.envelope(CALLS[0], token=token)


def soap(body, space="http://www.w3.org/2003/05/soap-envelope"):
    return f'<s:Envelope xmlns:s="{space}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def fault(subcode, reason="no", detail=""):
    return soap(
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f"<s:Reason><s:Text>{reason}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>"
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (fault("ter:NotAuthorized"), NotAuthorized),
        (fault("wsse:FailedAuthentication"), NotAuthorized),
        (fault("ter:Sender", "Sender not Authorized"), NotAuthorized),
        (fault("ter:ActionNotSupported"), ActionNotSupported),
        (fault("wsrf-rw:ResourceUnknownFault"), SubscriptionGone),
        (fault("x:y", detail="<w:ResourceUnknownFault xmlns:w='urn:w'/>"), SubscriptionGone),
        (fault("wsnt:UnacceptableTerminationTimeFault"), LeaseRefused),
        (fault("ter:InvalidArgVal"), SoapFault),
        (
            soap(
                "<s:Fault><faultcode>ter:NotAuthorized</faultcode><faultstring>x</faultstring></s:Fault>",
                "http://schemas.xmlsoap.org/soap/envelope/",
            ),
            NotAuthorized,
        ),
    ],
)
def test_faults_have_types(data, kind):
    with pytest.raises(DeviceRefused) as caught:
        expected(data, "GetServices")
    assert type(caught.value) is kind
    assert caught.value.code == "device_refused"


@pytest.mark.parametrize(
    "data",
    [b"", b"<html/>", soap(""), soap("<x:GetProfilesResponse xmlns:x='urn:x'/>"), b"<!DOCTYPE x><x/>", fault("x")[:-9]],
)
def test_what_is_no_answer(data):
    with pytest.raises(FrameInvalid):
        expected(data, "GetServices")


@pytest.mark.parametrize(
    ("told", "dialled", "wanted"),
    [
        ("http://192.168.168.168/onvif/events", "http://10.0.0.9:8080/d", "http://10.0.0.9:8080/onvif/events"),
        ("http://10.0.0.9:9000/e?Idx=7", "http://10.0.0.9/d", "http://10.0.0.9:9000/e?Idx=7"),
        ("http://[fe80::1]/e", "http://10.0.0.9/d", "http://10.0.0.9/e"),
        ("http://10.0.0.9/e", "https://10.0.0.9:8443/d", "https://10.0.0.9:8443/e"),
        ("http://user:pw@evil/e#f", "http://[fd00::9]:81/d", "http://[fd00::9]:81/e"),
        ("/onvif/e", "http://10.0.0.9:81/d", "http://10.0.0.9:81/onvif/e"),
        ("", "http://10.0.0.9/d", "http://10.0.0.9/"),
    ],
)
def test_an_address_is_at_the_host_that_was_dialled(told, dialled, wanted):
    assert reachable_at(told, dialled) == wanted


@pytest.mark.parametrize("told", ["http://[::1", "http://10.0.0.9:x/", "http://10.0.0.9/a b", "/ü", "/" + "a" * 2000])
def test_an_address_that_cannot_be(told):
    with pytest.raises(FrameInvalid):
        reachable_at(told, "http://10.0.0.9/d")


@given(st.text(max_size=60))
def test_no_address_leads_elsewhere(told):
    with contextlib.suppress(FrameInvalid):
        assert reachable_at(told, "http://10.0.0.9:81/d").startswith(("http://10.0.0.9:", "http://10.0.0.9/"))


def test_only_rtsp_is_a_stream():
    with pytest.raises(FrameInvalid):
        stream_at("file:///etc/passwd", "http://10.0.0.9/d")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("2026-08-24T10:00:00Z", datetime(2026, 8, 24, 10, tzinfo=UTC)),
        ("2026-08-24T18:00:00+08:00", datetime(2026, 8, 24, 10, tzinfo=UTC)),
        ("2026-08-24T10:00:00", datetime(2026, 8, 24, 10, tzinfo=UTC)),
        (" 2026-08-24T10:00:00.1234567Z ", datetime(2026, 8, 24, 10, 0, 0, 123456, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_instants(words, wanted):
    assert instant(words) == wanted


def test_a_lease_is_by_the_cameras_own_clock():
    times = "<CurrentTime>1970-01-01T00:00:10Z</CurrentTime><TerminationTime>1970-01-01T00:01:10Z</TerminationTime>"
    assert lease_s(answer_of(soap(f"<R>{times}</R>"))) == 60
    assert lease_s(answer_of(soap("<R><CurrentTime>1970-01-01T00:00:10Z</CurrentTime></R>"))) is None


@pytest.mark.parametrize("second", ["60", "59"])
def test_a_clock_with_a_leap_second(second):
    stamp = f"<Time><Hour>23</Hour><Minute>59</Minute><Second>{second}</Second></Time>"
    stamp += "<Date><Year>2016</Year><Month>12</Month><Day>31</Day></Date>"
    answer = answer_of(soap(f"<R><SystemDateAndTime><UTCDateTime>{stamp}</UTCDateTime></SystemDateAndTime></R>"))
    assert device_clock(answer).utc == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("inner", ["", "<UTCDateTime/>", "<UTCDateTime><Time><Hour>99</Hour></Time></UTCDateTime>"])
def test_a_clock_that_cannot_be(inner):
    with pytest.raises(FrameInvalid):
        device_clock(answer_of(soap(f"<R><SystemDateAndTime>{inner}</SystemDateAndTime></R>")))


def test_a_subscription_bears_its_reference_parameters():
    reference = "<Address>http://a/s</Address><ReferenceParameters><x:Id xmlns:x='urn:x'>7</x:Id></ReferenceParameters>"
    made = subscription(answer_of(soap(f"<R><SubscriptionReference>{reference}</SubscriptionReference></R>")))
    assert (made.address, made.lease_s, made.parameters) == ("http://a/s", None, (("{urn:x}Id", "7"),))
    with pytest.raises(FrameInvalid):
        subscription(answer_of(soap("<R><SubscriptionReference/></R>")))


def test_services_of_old_and_new_cameras():
    new = f"<GetServicesResponse><Service><Namespace>{onvif.MEDIA2}</Namespace><XAddr>http://a/m</XAddr></Service></GetServicesResponse>"
    assert services(answer_of(soap(new))) == {onvif.MEDIA2: "http://a/m"}
    old = "<GetCapabilitiesResponse><Capabilities><Events><XAddr>http://a/e</XAddr></Events><PTZ/></Capabilities></GetCapabilitiesResponse>"
    assert services(answer_of(soap(old))) == {onvif.EVENTS: "http://a/e"}


def match(uuid, addresses):
    row = f"<EndpointReference><Address>{uuid}</Address></EndpointReference><Types>dn:NetworkVideoTransmitter</Types>"
    return f"<ProbeMatch>{row}<Scopes>onvif://www.onvif.org/name/x</Scopes><XAddrs>{addresses}</XAddrs></ProbeMatch>"


def test_neighbours_are_told_once():
    first = probe_matches(
        soap(f"<ProbeMatches>{match('urn:uuid:AB-1', 'http://10.0.0.9/d http://[fe80::1]/d')}</ProbeMatches>")
    )
    again = probe_matches(
        soap(f"<ProbeMatches>{match('uuid:ab-1', 'http://10.0.0.9/d http://10.1.0.9/d')}</ProbeMatches>")
    )
    other = probe_matches(soap(f"<ProbeMatches>{match('cd-2', '')}{match('', 'http://x/')}</ProbeMatches>"))
    found = without_doubles([*first, *again, *other])
    assert [one.uuid for one in found] == ["ab-1", "cd-2"]
    assert found[0].addresses == ("http://10.0.0.9/d", "http://[fe80::1]/d", "http://10.1.0.9/d")
    assert found[0].types == ("dn:NetworkVideoTransmitter",)
    with pytest.raises(FrameInvalid):
        probe_matches(soap("<Hello/>"))


def test_a_probe_asks_for_cameras():
    root = fromstring(onvif.probe("urn:uuid:1"))
    assert local(root.find(f"{{{onvif.SOAP}}}Body")[0].tag) == "Probe"
    assert text(root, "Body", "Probe", "Types") == "dn:NetworkVideoTransmitter"
    assert text(root, "Header", "MessageID") == "urn:uuid:1"


def test_what_a_camera_tells_is_bounded():
    rows = "".join(f"<Preset token='{n}'><Name>{'x' * 5000}</Name></Preset>" for n in range(100))
    presets = named_rows(answer_of(soap(f"<R>{rows}</R>")))
    assert max(len(preset.name) for preset in presets) == 1024
    many = "".join(f"<Preset token='{n}'/>" for n in range(5000))
    assert len(named_rows(answer_of(soap(f"<R>{many}</R>")))) == 512
    assert len(described(soap(f"<R>{many}</R>"))["leaf_values"]) < 4096


@given(st.binary(max_size=400), st.integers(0, 5000), st.sampled_from(ROWS[1:]))
def test_no_bytes_break_it(junk, at, row):
    data = row["input"].encode()
    for hostile in (junk, data[:at] + junk + data[at:], data[: at % len(data)]):
        for read in (described, notified, probe_matches):
            with contextlib.suppress(GatefleetError):
                read(hostile)
    assert described(data)["op"]
