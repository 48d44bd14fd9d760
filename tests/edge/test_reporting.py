"""What the facts of a device without a lane become."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from core.errors import BufferUnavailable
from drivers import registry
from drivers.base import Settings
from drivers.dock.facts import RecordedFile, RecordingsUploaded, SlotChanged
from drivers.facts import DeviceDescribed, DeviceSignal, Measured, PeopleCounted, PlateRead, PositionTaken
from drivers.gat1400.facts import FaceSeen, NonMotorVehicleSeen, PersonSeen, Picture, PictureSent
from drivers.jt808.facts import CommandAnswered, MediaReceived, ParametersAnswered, PassthroughReceived, TimeAsked
from drivers.modbus_points import PointDoubtful, PointTrusted
from drivers.snmp.facts import LicenceTold
from edge.board import Finding
from edge.counters import CounterRunner
from edge.files import FileStore
from edge.ledger import Ledger
from edge.profiles import load_profile
from edge.reporting import Reporter
from edge.sections import DeviceSpec

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SPEC = DeviceSpec(
    "DOCK-1", registry.driver("dock"), load_profile("reference/dock"), Settings(), "http-server://x", None
)


PICTURE = Picture("face", "image/jpeg", b"\xff\xd8\xffface")


@pytest.fixture
def untold():
    return Counter()


@pytest.fixture
def made(shelf, clock, tmp_path, untold):
    told, noted = [], {}
    reporter = Reporter(
        SPEC,
        shelf,
        stamp=clock.stamp,
        tell=told.append,
        noted=noted.__setitem__,
        now_ms=clock.monotonic_ms,
        files=FileStore(tmp_path / "media", 1000),
        untold=untold,
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


async def test_a_plate_does_not_travel_and_is_counted(made, shelf, untold):
    reporter, _, _ = made
    await reporter.pushed(PlateRead("粤C12345"))
    assert (shelf.rows, untold) == ([], {"PlateRead": 1})


async def test_what_is_told_to_nobody_is_counted_by_its_name(made, shelf, untold):
    reporter, told, _ = made
    await reporter.taken("138", PassthroughReceived("138", 0xF1, b"x"))
    await reporter.heard(DeviceSignal("motion", on=True))
    reporter.noted(DeviceSignal("motion", on=False))
    await reporter.taken("138", TimeAsked("138", 1))
    assert (shelf.rows, told, untold) == ([], [], {"PassthroughReceived": 1, "DeviceSignal": 2})


async def test_a_terminals_picture_is_on_the_disk_before_it_is_told(made, shelf, tmp_path):
    reporter, _, _ = made
    media = MediaReceived("138", 9, 0, 0, 2, 1, b"\xff\xd8\xff picture")
    shelf.failing = BufferUnavailable("full")
    with pytest.raises(BufferUnavailable):
        await reporter.taken("138", media)
    shelf.mend()
    await reporter.taken("138", media)
    ((kind, row),) = shelf.rows
    (path,) = (tmp_path / "media").iterdir()
    assert (kind, row["terminal"], row["media_id"]) == ("gatefleet.MediaTaken.v1", "138", 9)
    assert row["file"] == {"role": "", "media_type": "image/jpeg", "digest": f"sha256:{path.stem}", "bytes": 11}
    assert (path.read_bytes(), path.suffix) == (media.data, ".jpg")
    (tmp_path / "media").rename(tmp_path / "away")
    (tmp_path / "media").write_text("in the way", encoding="utf-8")
    with pytest.raises(BufferUnavailable):
        await reporter.taken("138", replace(media, data=b"another"))
    assert len(shelf.rows) == 1


@pytest.mark.parametrize(
    ("fact", "what"),
    [
        (FaceSeen("o1", "c1", AT, images=(PICTURE, Picture("scene", "image/jpeg", b"", path="/a"))), "face"),
        (PersonSeen("o1", "c1", AT, images=(PICTURE,)), "person"),
        (NonMotorVehicleSeen("o1", "粤C12345", "c1", AT, images=(PICTURE,)), "non_motor_vehicle"),
        (PictureSent("o1", "c1", PICTURE, AT), "scene"),
    ],
)
async def test_pictures_stay_behind_and_are_told_by_their_digest(made, shelf, tmp_path, fact, what):
    reporter, _, _ = made
    await reporter.pushed(fact)
    ((kind, row),) = shelf.rows
    assert (kind, row["what"], row["object_id"], row["camera"]) == ("gatefleet.PictureTaken.v1", what, "o1", "c1")
    assert (row["taken_at"], len(row["images"]), row["images"][0]["bytes"]) == ("2026-11-21T08:00:00Z", 1, 7)
    assert "粤C12345" not in str(row)
    assert [path.read_bytes() for path in (tmp_path / "media").iterdir()] == [PICTURE.data]


async def test_the_pictures_of_a_plate_are_kept_where_a_view_library_confirms_them(made, shelf):
    reporter, _, _ = made
    await reporter.pictured(PlateRead("粤C12345", "o1", taken_at=AT, images=(PICTURE,)))
    await reporter.pictured(PlateRead("粤C12345", "o2", taken_at=AT))
    await reporter.pictured(FaceSeen("o3"))
    ((_, row),) = shelf.rows
    assert (row["what"], row["object_id"], "粤C12345" in str(row)) == ("vehicle", "o1", False)


async def test_a_terminals_answers_travel_each_under_its_own_key(made, shelf):
    reporter, _, _ = made
    await reporter.taken("138", CommandAnswered("138", 1, 0x8103, 0, "SetParameters"))
    await reporter.taken("138", ParametersAnswered("138", 2, {"0001": 30, "0083": "粤C12345"}))
    assert [(row["fact"], row["key"]) for _, row in shelf.rows] == [
        ("CommandAnswered", "138 1"),
        ("ParametersAnswered", "138"),
    ]
    assert shelf.rows[1][1]["values"]["values"] == {"0001": 30}


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
