"""gatefleet desk 1: this project's own heartbeat; the rows are written by hand from the drawing in the package."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Request
from drivers.desk import DRIVER
from drivers.desk.facts import CertificateHeld, DeskReported
from drivers.desk.heartbeat import MAX_CERTIFICATES, DeskMap
from drivers.facts import DeviceDescribed
from drivers.profile import checked_map, read_profile

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/reference/desk.toml").read_text(encoding="utf-8"), "test"
)
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
THEN = "2026-11-21T08:00:00+08:00"
CERTIFICATE = {"serial": "3A91", "issuer": "Test CA", "not_after": "2027-03-01T00:00:00", "pin_locked": False}
BEAT = {
    "version": 1,
    "desk": "V03",
    "at": THEN,
    "vendor": "x",
    "model": "SVD-1",
    "serial": "0007",
    "software": "4.2.1",
    "storage": {"free_bytes": 1200, "total_bytes": 64_000},
    "battery_pct": 83,
    "certificates": [CERTIFICATE, {"serial": "3A92", "not_after": "9999-12-31T23:59:59Z"}],
}


def post(value, method="POST"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DRIVER.make(PROFILE, DRIVER.settings()).receive(Request(method, "/", AT, body=body))


def test_a_heartbeat_becomes_a_report_and_a_description():
    pushed = post(BEAT)
    assert (pushed.answer.status, pushed.rejected) == (200, ())
    report, described = pushed.facts
    assert report == DeskReported(
        desk="V03",
        at=datetime.fromisoformat(THEN),
        software="4.2.1",
        storage_free_bytes=1200,
        storage_total_bytes=64_000,
        battery_pct=83.0,
        certificates=(
            CertificateHeld("3A91", datetime.fromisoformat("2027-03-01T00:00:00+08:00"), "Test CA", pin_locked=False),
            CertificateHeld("3A92", None),
        ),
    )
    assert described == DeviceDescribed(vendor="x", model="SVD-1", firmware="4.2.1", serial="0007")


def test_a_bare_heartbeat_is_enough():
    assert post({"desk": "V03"}).facts == (DeskReported("V03"),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"at": "then"}, "at"),
        ({"battery_pct": 140}, "battery"),
        ({"storage": {"free_bytes": -1}}, "free"),
        ({"software": "x" * 65}, "software"),
        ({"certificates": {}}, "certificates"),
        ({"certificates": [CERTIFICATE] * (MAX_CERTIFICATES + 1)}, f"{MAX_CERTIFICATES + 1} certificates"),
        ({"certificates": [{"serial": "1"}, CERTIFICATE]}, "a certificate"),
        ({"certificates": [CERTIFICATE | {"not_after": "soon"}]}, "certificate 3A91"),
        ({"certificates": ["x"]}, "a certificate"),
    ],
)
def test_a_value_that_cannot_be_is_counted_and_the_heartbeat_stays(change, reason):
    pushed = post(BEAT | change)
    assert pushed.answer.status == 200
    assert pushed.facts[0].desk == "V03"
    assert len(pushed.facts[0].certificates) <= MAX_CERTIFICATES
    assert [why.startswith(reason) for why in pushed.rejected] == [True]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"desk": ""}', b'{"desk": {}}', b'{"desk": "a\\u0007"}', b"[" * 9999]
)
def test_a_hostile_body_is_refused(body):
    pushed = post(body)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected


def test_only_posts_are_taken():
    assert post(BEAT, method="GET").answer.status == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*BEAT, *CERTIFICATE]), inner, max_size=6),
    max_leaves=15,
)  # fmt: skip


@given(JSON | st.binary(max_size=100))
def test_no_body_breaks_it_and_the_next_heartbeat_is_read(value):
    pushed = post(value)
    assert pushed.answer.status == 200 or (pushed.rejected and not pushed.facts)
    if isinstance(value, dict):
        assert post(BEAT | value | {"desk": "V03"}).answer.status == 200
    assert post(BEAT).facts[0].desk == "V03"


def test_recordings_are_decoded_offline():
    for decode in (DRIVER.decoder(None), DRIVER.decoder(PROFILE)):
        row = decode(json.dumps(BEAT).encode())[0]
        assert row["certificates"][0]["not_after"] == "2027-03-01T00:00:00+08:00"
        with pytest.raises(FrameInvalid):
            decode(b"{}")


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert checked_map(PROFILE, DeskMap) == DeskMap()


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {DeskReported, DeviceDescribed}
