"""Every captured row: read by the parser it belongs to, and by the offline decoder in every cut."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from drivers.base import Request
from drivers.digest import parse_digest
from drivers.gat1400 import DRIVER
from drivers.gat1400.answers import parse_response
from drivers.gat1400.codes import DETAILS
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.reading import parse_record
from drivers.gat1400.subscriptions import STATUSES, read_subscription, read_subscriptions

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "gat1400.jsonl").read_text("utf-8").splitlines()
]
CHINA = timezone(timedelta(hours=8))
AT = datetime(2020, 7, 10, 6, 14, 28, tzinfo=UTC)
NOT_MATCHED: dict[int, str] = {}
"""Row number -> why it cannot be matched. Nothing stands here."""
LIBRARY = ViewLibrary(LibraryMap(), LibrarySettings(subscriptions=True))


def pushed(path, body):
    return LIBRARY.receive(Request("POST", path, AT, body=body.encode()))


def register(given, expected):
    params = parse_digest(given["headers"]["Authorization"])
    assert expected["parsed_authorization"].items() <= params.items()
    (fact,) = pushed(given["path"], given["body"]).facts
    assert type(fact).__name__ == "SystemRegistered"
    assert fact.device_id == given["headers"]["User-Identify"] != params["username"]


def response(given, expected):
    (status,) = parse_response(given.encode(), CHINA)
    assert status.ok is expected["ok"]
    assert status.id == expected.get("id", status.id) != ""
    assert status.code == expected.get("status_code", 0)
    assert status.local_time is not None
    assert status.local_time.isoformat() == expected.get("local_time", status.local_time.isoformat())


def keepalive(given, expected):
    told = pushed(given["path"], given["body"])
    assert told.facts[0].device_id == expected["device_id"]
    ours = parse_record(told.answer.body).record("ResponseStatusObject")
    theirs = parse_record(expected["response"].encode()).record("ResponseStatusObject")
    for name in ("StatusCode", "Id", "LocalTime"):
        assert ours.value(name) == theirs.value(name)
    strict = ViewLibrary(LibraryMap(device_ids="20-digits"), LibrarySettings())
    refused = strict.receive(Request("POST", given["path"], AT, body=given["body"].encode()))
    assert (refused.answer.status, refused.facts) == (400, ())


def faces(given, expected):
    told = pushed("/VIID/Faces", given)
    assert len(told.facts) == expected["count"]
    fact = told.facts[0]
    assert fact.device_id == expected["device_id"]
    if "face_id" in expected:
        assert fact.object_id == expected["face_id"]
        assert list(fact.box) == expected["bbox"]
        assert fact.seen_at.isoformat() == expected["appear"]
        shown = [{"type": f"{one.kind} {one.role}", "w": one.width, "h": one.height} for one in fact.images]
        assert shown == expected["images"]
        assert [one.flaw for one in fact.images] == ["its Data is not Base64"] * 2
        assert len(told.rejected) == 2
    else:
        assert fact.images[0].path.endswith(".jpg")
        assert (fact.images[0].height, fact.images[0].image_id, told.rejected) == (None, "", ())
    (status,) = parse_response(told.answer.body, CHINA)
    assert (status.id, status.code) == (fact.object_id, 0)


def motor_vehicles(given, expected):
    told = pushed("/VIID/MotorVehicles", given)
    assert len(told.facts) == expected["count"]
    (fact,) = told.facts
    assert (fact.plate, fact.vehicle_colour) == (expected["plate"], "white")
    assert fact.object_id.startswith("made-")


def subscribes(given, expected):
    (one,) = read_subscriptions(parse_record(given.encode()))
    found = read_subscription(one, CHINA)
    assert len(found.subscription_id) == expected["subscribe_id_len"]
    assert [f"{code} {DETAILS[code]}" for code in found.details] == expected["detail"]
    assert found.resources == (expected["resource_uri"],)
    assert found.report_interval_s == expected["report_interval_s"]
    assert f"{int(found.cancels)} subscribe" == expected["operate"]
    assert f"{found.status} {STATUSES[found.status]}" == expected["status"]
    assert [type(fact).__name__ for fact in pushed("/VIID/Subscribes", given).facts] == ["SubscriptionAsked"]


CHECKS = {
    "gat1400-register": register,
    "gat1400-response": response,
    "gat1400-keepalive": keepalive,
    "gat1400-faces": faces,
    "gat1400-motorvehicles": motor_vehicles,
    "gat1400-subscribes": subscribes,
}
EXERCISED = [number for number, row in enumerate(ROWS) if row["protocol"] in CHECKS and number not in NOT_MATCHED]


@pytest.mark.parametrize("number", EXERCISED)
def test_row(number):
    row = ROWS[number]
    CHECKS[row["protocol"]](row["input"], row["expected"])


def test_no_row_is_left_out():
    assert sorted([*EXERCISED, *NOT_MATCHED]) == list(range(len(ROWS)))
    assert len(ROWS) >= 9


def body_of(row):
    return (row["input"] if isinstance(row["input"], str) else row["input"]["body"]).encode()


def http_of(row):
    given = row["input"] if isinstance(row["input"], dict) else {"method": "POST", "path": "", "headers": {}}
    path = given["path"] or {
        "gat1400-faces": "/VIID/Faces",
        "gat1400-motorvehicles": "/VIID/MotorVehicles",
        "gat1400-subscribes": "/VIID/Subscribes",
    }.get(row["protocol"], "")
    body = body_of(row)
    start = f"POST {path} HTTP/1.1" if path else "HTTP/1.1 200 OK"
    headers = "".join(f"{name}: {value}\r\n" for name, value in given.get("headers", {}).items())
    return f"{start}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def cuts(data):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 97] for i in range(0, len(data), 97)]


@pytest.mark.parametrize("form", [body_of, http_of])
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_the_decoder_tells_the_same_in_every_cut(number, form):
    row = ROWS[number]
    told = []
    for pieces in cuts(form(row)):
        decode = DRIVER.decoder(None)
        told.append([report for piece in [*pieces, b""] for report in decode(piece)])
    assert told[0] == told[1] == told[2]
    known = {
        "gat1400-register": ("fact", "SystemRegistered"),
        "gat1400-response": ("ok", True),
        "gat1400-keepalive": ("fact", "KeptAlive"),
        "gat1400-faces": ("fact", "FaceSeen"),
        "gat1400-motorvehicles": ("fact", "PlateRead"),
        "gat1400-subscribes": ("fact", "SubscriptionAsked"),
    }
    key, value = known[row["protocol"]]
    assert told[0][0][key] == value
    json.dumps(told[0])


def test_several_requests_of_one_connection_are_told_in_order():
    decode = DRIVER.decoder(None)
    told = decode(http_of(ROWS[0]) + http_of(ROWS[4]) + http_of(ROWS[7]))
    assert [one["fact"] for one in told] == ["SystemRegistered", "KeptAlive", "PlateRead"]
