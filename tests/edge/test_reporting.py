"""What the facts of a device without a lane become."""

from datetime import UTC, date, datetime

import pytest

from core.errors import BufferUnavailable
from drivers import registry
from drivers.base import Settings
from drivers.dock.facts import RecordedFile, RecordingsUploaded, SlotChanged
from drivers.facts import DeviceDescribed, DeviceSignal, Measured, PeopleCounted, PlateRead, PositionTaken
from drivers.modbus_points import PointDoubtful, PointTrusted
from drivers.snmp.facts import LicenceTold
from edge.board import Finding
from edge.counters import CounterRunner
from edge.ledger import Ledger
from edge.profiles import load_profile
from edge.reporting import Reporter
from edge.sections import DeviceSpec

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SPEC = DeviceSpec(
    "DOCK-1", registry.driver("dock"), load_profile("reference/dock"), Settings(), "http-server://x", None
)


@pytest.fixture
def made(shelf, clock):
    told, noted = [], {}
    reporter = Reporter(
        SPEC, shelf, stamp=clock.stamp, tell=told.append, noted=noted.__setitem__, now_ms=clock.monotonic_ms
    )
    return reporter, told, noted


async def test_what_may_travel_travels_in_its_drivers_words_and_the_same_thing_supersedes(made, shelf):
    reporter, _, _ = made
    await reporter.pushed(SlotChanged("e1", 3, "inserted", AT, equipment="R-7"))
    await reporter.pushed(SlotChanged("e2", 4, "fault", AT, fault="E12"))
    file = RecordedFile("a.mp4", 9, "sha256:" + "0" * 64, AT, 1.5)
    await reporter.pushed(RecordingsUploaded("e3", 3, AT, "R-7", (file,)))
    await reporter.pushed(LicenceTold("ips", date(2026, 9, 20), "2026-09-20"))
    rows = [data for kind, data in shelf.rows if "DeviceTold" in kind]
    assert [(row["fact"], row["key"]) for row in rows] == [
        ("SlotChanged", "slot 3"),
        ("SlotChanged", "slot 4"),
        ("RecordingsUploaded", "e3"),
        ("LicenceTold", "ips"),
    ]
    assert rows[0]["values"]["equipment"] == "R-7"
    assert rows[2]["values"]["files"][0]["size_bytes"] == 9
    assert rows[3]["values"]["until"] == "2026-09-20"


async def test_a_plate_does_not_travel(made, shelf):
    reporter, _, _ = made
    await reporter.pushed(PlateRead("粤C12345"))
    assert shelf.rows == []


async def test_what_cannot_be_committed_is_raised_to_who_waits_and_counted_for_who_does_not(made, shelf):
    reporter, _, _ = made
    shelf.failing = BufferUnavailable("full")
    with pytest.raises(BufferUnavailable):
        await reporter.pushed(SlotChanged("e1", 3, "inserted", AT))
    await reporter.heard(PositionTaken("boat", 22.1, 113.5, fixed=True))
    assert (reporter.unrecorded, shelf.rows) == (1, [])


async def test_what_a_people_counter_tells_beside_its_counts_is_not_lost(made, shelf, clock):
    """A counter that lost its picture went on to look well."""
    reporter, _, noted = made
    counter = CounterRunner("CNT-1", shelf, Ledger(shelf, clock.stamp), clock.wall, others=reporter.pushed)
    await counter.counted(DeviceSignal("videoloss", on=True))
    assert noted["signal videoloss "].code == "signal"
    await counter.counted(PeopleCounted(entered=2, left=1, since=AT, until=AT))
    assert b'"entered":2' in shelf.memo_["counter/CNT-1"]


def test_readings_of_a_polled_device_are_told_every_ten_seconds_the_newest_of_each_point(made, clock):
    reporter, told, _ = made
    for value in (1.0, 2.0):
        reporter.noted(Measured({"draught_m": value}))
    reporter.noted(Measured({"battery_v": 3.0}))
    assert [one.readings for one in told] == [{"draught_m": 1.0}]
    clock.go(10)
    reporter.noted(Measured({"draught_m": 4.0}))
    assert told[-1].readings == {"draught_m": 4.0, "battery_v": 3.0}


def test_doubts_and_alarms_are_noted_by_name_until_they_are_over(made):
    reporter, told, noted = made
    reporter.noted(PointDoubtful("draught_m", "sentinel", "7fff"))
    reporter.noted(DeviceSignal("on_battery", on=True, source="ups"))
    assert noted["point draught_m"] == Finding("doubtful", {"point": "draught_m", "why": "sentinel"})
    assert noted["signal on_battery ups"] == Finding("signal", {"topic": "on_battery", "source": "ups"})
    reporter.noted(PointTrusted("draught_m"))
    reporter.noted(DeviceSignal("on_battery", on=False, source="ups"))
    assert set(noted.values()) == {None}
    assert told == []


def test_what_a_device_says_it_is_becomes_its_asset(made):
    reporter, told, _ = made
    reporter.noted(DeviceDescribed(vendor="Maker", model="M1", firmware="2.0"))
    (seen,) = told
    assert (seen.device, seen.vendor, seen.model, seen.firmware) == ("DOCK-1", "Maker", "M1", "2.0")
    assert reporter.moved("138", online=False).subject() == "DOCK-1/138"
