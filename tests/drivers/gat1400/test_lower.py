"""The lower side's words: ids, bodies, answers, subscriptions and the desk that holds them."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from drivers.base import Request
from drivers.gat1400 import bodies
from drivers.gat1400.answers import MAX_STATUSES, Status, one_status, parse_response, status_list
from drivers.gat1400.codes import FACES, MOTOR_VEHICLES, StatusCode
from drivers.gat1400.desk import SubscriptionDesk
from drivers.gat1400.facts import SubscriptionAsked, SubscriptionEnded
from drivers.gat1400.ids import (
    DeviceKind,
    MediaKind,
    ObjectKind,
    is_device_id,
    is_object_id,
    make_device_id,
    make_image_id,
    make_notification_id,
    make_object_id,
    make_subscription_id,
)
from drivers.gat1400.reading import read_moment
from drivers.gat1400.subscriptions import MAX_SUBSCRIPTIONS, Subscription, checked_receiver, read_subscription

CHINA = timezone(timedelta(hours=8))
NOW = datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
HOSTS = frozenset({"10.0.0.1"})
RECEIVER = "http://10.0.0.1:8120/VIID/SubscribeNotifications"
VECTORS = Path(__file__).parents[2] / "vectors" / "gat1400.jsonl"


def captured(protocol):
    rows = map(json.loads, VECTORS.read_text("utf-8").splitlines())
    return next(row["input"] for row in rows if row["protocol"] == protocol)


def test_ids_are_made_of_their_parts():
    device = make_device_id("4404990000", DeviceKind.CAMERA, 7)
    image = make_image_id(device, MediaKind.IMAGE, NOW, 12, CHINA)
    name = make_object_id(image, ObjectKind.MOTOR_VEHICLE, 3)
    assert device == "44049900001190000007"
    assert image == device + "022026050108300000012"
    assert name == image + "0200003"
    assert [len(one) for one in (device, image, name)] == [20, 41, 48]
    assert is_device_id(device)
    assert is_object_id(name, CHINA)
    assert make_notification_id("440499000000", NOW, 5, CHINA) == "440499000000042026050108300000005"


def test_a_captured_subscription_id_has_the_same_parts():
    given_ = json.loads(captured("gat1400-subscribes"))["SubscribeListObject"]["SubscribeObject"][0]["SubscribeID"]
    at = read_moment(given_[14:28], CHINA)
    assert at == datetime(2024, 2, 28, 16, 19, 42, tzinfo=CHINA)
    assert make_subscription_id(given_[:12], at, int(given_[28:]), CHINA) == given_


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_device_id("44049900", DeviceKind.CAMERA, 7),
        lambda: make_device_id("440499000x", DeviceKind.CAMERA, 7),
        lambda: make_device_id("４４０４９９００００", DeviceKind.CAMERA, 7),
        lambda: make_device_id("4404990000", DeviceKind.CAMERA, 10_000_000),
        lambda: make_device_id("4404990000", DeviceKind.CAMERA, -1),
        lambda: make_image_id("1", MediaKind.IMAGE, NOW, 1, CHINA),
        lambda: make_object_id("1" * 40, ObjectKind.FACE, 1),
        lambda: make_notification_id("1" * 12, NOW, 100_000, CHINA),
    ],
)
def test_parts_that_do_not_fit_make_no_id(make):
    with pytest.raises(ConfigInvalid):
        make()


@pytest.mark.parametrize(
    "text", ["", "1" * 48, "1" * 47, "x" * 48, "4" * 20 + "02" + "20261301083000" + "000010200001"]
)
def test_what_is_no_object_id(text):
    assert not is_object_id(text, CHINA)


def test_a_push_and_a_notification_have_their_wrappers():
    image = bodies.OutImage("i", "plate", b"x", NOW)
    car = bodies.OutVehicle("m", "d", "t", NOW, "", images=(image,))
    face = bodies.OutFace("f", "d", NOW)
    body = bodies.pushed(MOTOR_VEHICLES, [car], CHINA)
    (vehicle,) = body["MotorVehicleListObject"]["MotorVehicleObject"]
    assert (vehicle["PlateNo"], vehicle["HasPlate"], vehicle["PlateColor"], vehicle["SourceID"]) == (
        "无车牌",
        "0",
        "99",
        "i",
    )
    assert vehicle["TollgateID"] == "t"
    assert vehicle["SubImageList"]["SubImageInfoObject"][0]["Data"] == "eA=="
    assert "LaneNo" not in vehicle
    assert list(bodies.pushed(FACES, [face], CHINA)) == ["FaceListObject"]
    wanted = Subscription("s", title="t", image_kinds="-1")
    (note,) = bodies.notification(wanted, "n", NOW, [car, face], CHINA)["SubscribeNotificationListObject"][
        "SubscribeNotificationObject"
    ]
    assert (note["NotificationID"], note["SubscribeID"], note["InfoIDs"]) == ("n", "s", "m,f")
    assert "SubImageList" not in note["MotorVehicleObjectList"]["MotorVehicleObject"][0]
    assert note["FaceObjectList"]["FaceObject"][0]["FaceID"] == "f"
    assert bodies.register("d") == {"RegisterObject": {"DeviceID": "d"}}
    assert bodies.unregister("d") == {"UnRegisterObject": {"DeviceID": "d"}}
    assert bodies.keepalive("d") == {"KeepaliveObject": {"DeviceID": "d"}}


STATUS = {"StatusCode": "2", "Id": "x", "StatusString": "busy", "LocalTime": "20260501083000"}


@pytest.mark.parametrize(
    "value",
    [
        {"ResponseStatusObject": STATUS},
        {"ResponseStatusObject": [STATUS]},
        {"ResponseStatusListObject": {"ResponseStatusObject": [STATUS]}},
        {"ResponseStatusListObject": {"ResponseStatusObject": STATUS}},
        {"ResponseStatusListObject": [STATUS]},
        {"ResponseStatusList": [STATUS]},
        {"ResponseStatusList": {"ResponseStatusObject": [STATUS]}},
        {
            "responseStatusListObject": {
                "responseStatusObject": [
                    {"statusCode": 2, "id": "x", "statusString": "busy", "localTime": "20260501083000"}
                ]
            }
        },
        [STATUS],
        STATUS,
    ],
)
def test_an_answer_is_read_whatever_its_wrapper(value):
    (status,) = parse_response(json.dumps(value).encode(), CHINA)
    assert status == Status("x", 2, "busy", "", NOW)
    assert not status.ok
    assert status.passing


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"[]",
        b"3",
        b"{}",
        b'{"ResponseStatusObject": {}}',
        b'{"ResponseStatusObject": {"StatusCode": ""}}',
        b'{"ResponseStatusObject": {"StatusCode": true}}',
        b'{"ResponseStatusObject": {"StatusCode": 0.5}}',
        b'{"ResponseStatusList": [0]}',
        b'{"ResponseStatusList": [' + b'{"StatusCode":0},' * MAX_STATUSES + b'{"StatusCode":0}]}',
    ],
)
def test_an_answer_without_a_status_is_refused(body):
    with pytest.raises(FrameInvalid):
        parse_response(body, CHINA)


def test_what_we_answer_is_what_we_read():
    status = Status("x", StatusCode.REBOOTING, url="/VIID/Faces", local_time=NOW)
    for value in (one_status(status, CHINA), status_list([status], CHINA)):
        (read,) = parse_response(json.dumps(value).encode(), CHINA)
        assert read == Status("x", 9, "Reboot", "/VIID/Faces", NOW)


@pytest.mark.parametrize(
    ("code", "passing"),
    [(0, False), (1, True), (2, True), (4, False), (7, False), (8, False), (9, True), (77, True), (-1, True)],
)
def test_which_answers_may_pass(code, passing):
    assert Status("", code).passing is passing


def wanted(name="s1", **changes):
    return Subscription(name, details=("13",), receive_url=RECEIVER, **changes)


def test_a_subscription_survives_being_written_down():
    one = wanted(
        title="过车",
        resources=("a", "b"),
        applicant="p",
        organisation="o",
        begin_at=NOW,
        end_at=NOW + timedelta(days=1),
        report_interval_s=3,
        resource_class=4,
        image_kinds="01,02",
    )
    assert read_subscription(one.as_object(CHINA), CHINA) == one
    assert read_subscription(wanted().as_object(CHINA), CHINA) == wanted()


@pytest.mark.parametrize(
    "value",
    [
        3,
        {},
        {"SubscribeID": "s", "SubscribeDetail": ",".join("1" * 33)},
        {"SubscribeID": "s", "ResourceURI": ",".join("1" * 1001)},
    ],
)
def test_a_subscription_that_cannot_be(value):
    with pytest.raises(FrameInvalid):
        read_subscription(value, CHINA)


@pytest.mark.parametrize(
    ("kinds", "kind", "comes"),
    [("", "99", True), ("-1", "01", False), ("01,2", "02", True), ("14", "02", False), ("-1,01", "01", False)],
)
def test_which_pictures_a_subscription_wants(kinds, kind, comes):
    assert wanted(image_kinds=kinds).wants_image(kind) is comes


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://10.0.0.1/",
        "file:///etc/passwd",
        "http://10.0.0.2/",
        "http://10.0.0.1@10.0.0.2/",
        "http://10.0.0.2\\@10.0.0.1/",
        "http://10.0.0.1.evil/",
        "http://user:x@10.0.0.1/",
        "http://10.0.0.1:99999/",
        "http://10.0.0.1:0/",
        "http://[10.0.0.1/",
        "//10.0.0.1/",
        "10.0.0.1",
        "http:///VIID",
        "http://10.0.0.1 /",
        "http://10.0.0.1/a b",
        "http://10.0.0.1/\\10.0.0.2",
    ],
)
def test_where_nothing_may_be_sent(url):
    with pytest.raises(Unsupported):
        checked_receiver(Subscription("s", receive_url=url), HOSTS)


@given(st.text(max_size=60))
def test_no_address_breaks_the_check(text):
    with pytest.raises(Unsupported):
        checked_receiver(Subscription("s", receive_url=f"http://{text}.invalid/"), HOSTS)


@given(st.text(max_size=20) | st.integers().map(str))
def test_no_text_breaks_a_time(text):
    found = read_moment(text, CHINA)
    assert found is None or found.tzinfo is not None


def ask(desk, *objects, at=NOW):
    body = json.dumps({"SubscribeListObject": {"SubscribeObject": list(objects)}}).encode()
    told = desk.receive(Request("POST", "/VIID/Subscribes", at, body=body))
    return told, [one.code for one in parse_response(told.answer.body, CHINA)]


def test_the_desk_holds_replaces_lists_and_lets_go():
    changes = []
    desk = SubscriptionDesk(HOSTS, changed=changes.append)
    told, codes = ask(desk, wanted().as_object(CHINA), wanted("s2").as_object(CHINA))
    assert (codes, [type(fact) for fact in told.facts]) == ([0, 0], [SubscriptionAsked, SubscriptionAsked])
    ask(desk, wanted(title="new").as_object(CHINA))
    assert [one.title for one in desk.held] == ["new", ""]
    listed = json.loads(desk.receive(Request("GET", "/VIID/Subscribes/", NOW)).answer.body)
    assert [one["SubscribeID"] for one in listed["SubscribeListObject"]["SubscribeObject"]] == ["s1", "s2"]
    assert len(desk.wanting(MOTOR_VEHICLES, frozenset({"d"}), NOW)) == 2
    assert desk.wanting(FACES, frozenset({"d"}), NOW) == ()
    gone = desk.receive(Request("DELETE", "/VIID/Subscribes", NOW, query={"IDList": "s1,s9"}))
    assert gone.facts == (SubscriptionEnded("s1", "deleted"),)
    assert [one.code for one in parse_response(gone.answer.body, CHINA)] == [0, 4]
    told, codes = ask(desk, wanted("s2", cancels=True).as_object(CHINA))
    assert (codes, desk.held) == ([0], ())
    assert [len(held) for held in changes] == [2, 2, 1, 0]


def test_the_desk_refuses_what_it_cannot_serve():
    desk = SubscriptionDesk(HOSTS)
    elsewhere = Subscription("s1", details=("13",), receive_url="http://10.0.0.9/")
    unoffered = Subscription("s2", details=("3",), receive_url=RECEIVER)
    told, codes = ask(desk, elsewhere.as_object(CHINA), unoffered.as_object(CHINA), wanted("s3").as_object(CHINA), {})
    assert codes == [4, 4, 0, 8]
    assert [one.subscription_id for one in desk.held] == ["s3"]
    assert len(told.facts) == 1
    assert "10.0.0.9" in told.rejected[1]
    assert desk.receive(Request("POST", "/VIID/Subscribes", NOW, body=b"{")).answer.status == 400


def test_the_desk_is_bounded_and_lets_the_expired_go_first():
    desk = SubscriptionDesk(HOSTS, held=[wanted(f"h{n}") for n in range(MAX_SUBSCRIPTIONS - 1)])
    ends = wanted("short", end_at=NOW + timedelta(hours=1)).as_object(CHINA)
    assert ask(desk, ends)[1] == [0]
    assert ask(desk, wanted("more").as_object(CHINA))[1] == [4]
    assert ask(desk, wanted("h0", title="again").as_object(CHINA))[1] == [0]
    assert ask(desk, wanted("more").as_object(CHINA), at=NOW + timedelta(hours=2))[1] == [0]
    assert len(desk.held) == MAX_SUBSCRIPTIONS
    assert ask(desk, *[{"SubscribeID": str(n)} for n in range(MAX_SUBSCRIPTIONS + 1)])[0].answer.status == 400


def test_what_was_kept_is_checked_again_when_it_is_given_back():
    elsewhere = Subscription("s1", details=("13",), receive_url="http://10.0.0.9/")
    assert SubscriptionDesk(HOSTS, held=[elsewhere, wanted("s2")]).held == (wanted("s2"),)
