"""docs/asyncapi.yaml tells the messages as they are, and says the same as docs/wire.md."""

import importlib.util
import inspect
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest

from core.crypto import suite
from core.crypto.signing import SigningKey
from core.messages import topics
from core.messages.commands import OpenLane, Order
from core.messages.envelope import ClockSource, Stamp, pack, place
from core.messages.event import Event, Stream
from core.messages.events import DeviceMeasured, EdgeStarted
from core.messages.locator_events import PositionReported
from core.messages.signed import Signed
from core.messages.wire import Ack, Announced, ListAnnouncement, Presence

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
EDGE = "north.gates"
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("asyncapi_maker", ROOT / ".ci" / "asyncapi.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def written():
    return json.loads((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wire():
    return (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")


def mistakes(document, message, value):
    """Validate what is really sent, by a library that others wrote."""
    payload = document["components"]["messages"][message]["payload"]
    validator = jsonschema_rs.Draft202012Validator({"components": document["components"], **payload})
    return [error.message for error in validator.iter_errors(value)]


def addresses(document):
    return {one["address"] for one in document["channels"].values()}


def test_the_file_is_what_the_messages_make_of_it(maker, written):
    assert written == maker.document(), "run `make asyncapi`"
    assert (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8") == maker.text()


def test_every_topic_is_in_it_and_in_the_page_and_no_other(written, wire):
    stream = SimpleNamespace(value="{stream}")
    made = set()
    for _, function in inspect.getmembers(topics, inspect.isfunction):
        parameters = list(inspect.signature(function).parameters)
        if function.__module__ == topics.__name__ and parameters[0] == "edge":
            made.add(function("{edge}", stream) if parameters[1:] else function("{edge}"))
    assert len(made) >= 5
    assert addresses(written) == made
    assert set(re.findall(r"^\| `(gf/v1/[^`]+)` \|", wire, re.MULTILINE)) == made


def test_what_is_retained_and_who_sends_it_is_as_the_page_says(written, wire):
    for operation in written["operations"].values():
        address = written["channels"][operation["channel"]["$ref"].rpartition("/")[2]]["address"]
        (who,) = re.findall(rf"^\| `{re.escape(address)}` \| ([^|]+) \|", wire, re.MULTILINE)
        assert operation["bindings"]["mqtt"]["qos"] == 1
        assert operation["bindings"]["mqtt"]["retain"] == ("retained" in who)
        assert operation["action"] == ("receive" if who.startswith("edge") else "send")
    assert len(written["operations"]) == len(written["channels"])


def test_every_event_is_in_it_in_its_stream(written):
    schemas = written["components"]["schemas"]
    batch = written["components"]["messages"]["batch"]["payload"]["items"]["oneOf"]
    assert {one["$ref"].rpartition("/")[2] for one in batch} == set(Event.KNOWN)
    for kind, event in Event.KNOWN.items():
        own = schemas[kind]["allOf"][1]["properties"]
        assert (own["type"]["const"], own["stream"]["const"]) == (kind, event.STREAM.value)
        assert set(schemas[event.__name__]["properties"]) == set(event.model_fields)


def test_every_verb_is_in_it_and_in_the_page(maker, written, wire):
    verbs = {one.__name__ for one in maker.commands()}
    mapped = written["components"]["schemas"]["Order"]["properties"]["command"]
    assert {one["$ref"].rpartition("/")[2] for one in mapped["oneOf"]} == verbs
    table = wire.partition("| `verb` |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == verbs


def test_every_reference_leads_somewhere_and_no_schema_stands_unused(written):
    used = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(written)))
    for path in used:
        place_ = written
        for step in path.split("/"):
            place_ = place_[step]
    named = {f"components/schemas/{name}" for name in written["components"]["schemas"]}
    assert named <= used


def sent(event, seq, **more):
    stamp = Stamp(NOW, 7, "boot", ClockSource.GNSS, -3, 12)
    packed = pack(event, stamp)
    told = place(packed.body, source=EDGE, epoch=ID, stream=packed.stream.value, seq=seq, **{"after": seq - 1, **more})
    return json.loads(told)


def test_what_an_edge_really_sends_fits_and_what_it_never_sends_does_not(written):
    position = PositionReported(
        device="L", terminal="013800138000", latitude_deg=None, longitude_deg=1.5, fixed=True, taken_at=NOW
    )
    started = EdgeStarted(edge=EDGE, version="1", boot_id="b", config_digest="d")
    batch = [
        sent(position, 1, acked=0),
        sent(DeviceMeasured(device="T", readings={"air_c": 1.0}), 9, after=3),
        sent(started, 2),
    ]
    assert mistakes(written, "batch", batch) == []
    for key, value in (
        ("seq", 1),
        ("stream", "vital"),
        ("type", "gatefleet.Else.v1"),
        ("clocksource", "sun"),
        ("data", {}),
    ):
        assert mistakes(written, "batch", [batch[0] | {key: value}]), key
    assert mistakes(written, "presence", json.loads(Presence(state="online", version="1").model_dump_json())) == []
    assert mistakes(written, "presence", {"state": "asleep"})
    ack = json.loads(Ack(epoch=ID, stream=Stream.VITAL, upto=4, at=NOW).model_dump_json())
    assert mistakes(written, "ack", ack) == []
    assert mistakes(written, "ack", ack | {"upto": -1})


def test_what_central_really_signs_fits_with_its_body(written):
    signer = SigningKey(suite("intl").generate())
    order = Order(
        id=ID, edge=EDGE, target="L1", command=OpenLane(), issued_at=NOW, expires_at=NOW, actor="a", reason="r"
    )
    one = Announced(list_id="block", version=1, digest="0", size=1, path="/v1/lists/block")
    lists = ListAnnouncement(edge=EDGE, serial=1, issued_at=NOW, lists=(one,))
    for message, purpose, body in (("order", "command", order), ("lists", "list", lists)):
        signed = json.loads(Signed.make(purpose, body.model_dump_json(), signer).model_dump_json())
        assert mistakes(written, message, signed) == []
        assert mistakes(written, message, signed | {"purpose": "view"})
        payload = written["components"]["messages"][message]["payload"]
        inside = payload["allOf"][1]["properties"]["body"]["x-content-schema"]
        validator = jsonschema_rs.Draft202012Validator({"components": written["components"], **inside})
        assert validator.is_valid(json.loads(signed["body"]))
        assert not validator.is_valid(json.loads(signed["body"]) | {"edge": 1})
