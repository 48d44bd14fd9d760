"""Streams of sentences -> positions: order, gaps, rubbish, midnight."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.base import Rejected, Reply, Report
from drivers.facts import DeviceDescribed, DeviceSignal, PositionTaken
from drivers.nmea0183 import DRIVER, NmeaCodec, NmeaMap
from drivers.nmea0183.sentence import checksum_of
from drivers.profile import read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"


def device(name, **settings):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert profile.name == name
    return DRIVER.make(profile, DRIVER.settings(**settings))


def line(content):
    return f"${content}*{checksum_of(content)}\r\n".encode()


# kosma/minmea and the standard's own example, with the checksums they were published with.
GGA_PUBLISHED = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"


def rmc(clock, status="A", day="010326", talker="GN", tail=",,,A"):
    return line(f"{talker}RMC,{clock},{status},2208.40000,N,11333.00000,E,10.000,90.00,{day}{tail}")


def gga(clock, quality=1, talker="GN"):
    return line(f"{talker}GGA,{clock},2208.40000,N,11333.00000,E,{quality},09,0.92,12.3,M,-2.1,M,,")


def gll(clock, talker="GN"):
    return line(f"{talker}GLL,2208.40000,N,11333.00000,E,{clock},A,A")


GSA = line("GNGSA,A,3,02,05,07,,,,,,,,,,1.70,0.95,1.43,1") + line("GNGSA,A,3,65,66,,,,,,,,,,,1.70,0.95,1.43,2")
VTG = line("GNVTG,91.00,T,,M,10.000,N,18.520,K,A")


def facts(codec, data):
    return [output.fact for output in codec.receive(data) if isinstance(output, Report)]


def rejected(codec, data):
    return [output.detail for output in codec.receive(data) if isinstance(output, Rejected)]


def cuts(data):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 7] for i in range(0, len(data), 7)]


CYCLES = {
    "u-blox": lambda clock: rmc(clock) + VTG + gga(clock) + GSA + gll(clock),
    "sirf": lambda clock: gga(clock) + GSA + rmc(clock),
    "gga, rmc of two talkers": lambda clock: gga(clock) + rmc(clock) + rmc(clock, talker="GP"),
    "said twice": lambda clock: gga(clock) * 2 + rmc(clock) * 2,
}


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
def test_one_position_an_epoch_whatever_the_order_in_every_cut(cycle):
    clocks = [f"1200{second:02d}.00" for second in range(6)]
    data = b"".join(cycle(clock) for clock in clocks)
    for pieces in cuts(data):
        codec = NmeaCodec(NmeaMap(), terminal="launch-3")
        found = [fact for piece in pieces for fact in facts(codec, piece)]
        assert [fact.taken_at.second for fact in found] == [0, 1, 2, 3, 4, 5]
        assert {(fact.fixed, fact.satellites, fact.hdop, fact.altitude_m) for fact in found} == {(True, 9, 0.92, 12.3)}
        first = found[0]
        assert first.terminal == "launch-3"
        assert first.latitude_deg == pytest.approx(22.14)
        assert first.longitude_deg == pytest.approx(113.55)
        assert first.speed_kmh == pytest.approx(18.52)
        assert first.course_deg == 90.0


def test_once_the_cycle_is_known_a_position_does_not_wait_for_the_next_second():
    codec = NmeaCodec(NmeaMap())
    told = [len(facts(codec, CYCLES["u-blox"](f"1200{second:02d}.00"))) for second in range(5)]
    assert told == [0, 1, 2, 1, 1]


@pytest.mark.parametrize(("only", "dated"), [(gga, False), (gll, False), (rmc, True)])
def test_a_receiver_with_one_kind_works(only, dated):
    codec = NmeaCodec(NmeaMap())
    found = [fact for second in range(5) for fact in facts(codec, only(f"1200{second:02d}"))]
    assert len(found) == 5
    assert all(fact.fixed and fact.latitude_deg == pytest.approx(22.14) for fact in found)
    assert all((fact.taken_at is not None) == dated for fact in found)


def test_without_gga_satellites_come_from_gsa_of_all_systems_and_motion_from_vtg():
    codec = NmeaCodec(NmeaMap())
    data = b"".join(gll(f"12000{second}") + GSA + VTG for second in range(4))
    found = facts(codec, data)
    assert {(fact.satellites, fact.hdop) for fact in found[1:]} == {(5, 0.95)}
    assert found[1].speed_kmh == pytest.approx(18.52)


def test_a_missing_sentence_costs_no_position():
    codec = NmeaCodec(NmeaMap())
    epochs = [f"1200{second:02d}" for second in range(8)]
    found = []
    for number, clock in enumerate(epochs):
        found += facts(codec, gga(clock) + (b"" if number == 4 else rmc(clock)))
    assert [fact.taken_at.second for fact in found] == list(range(8))


def test_midnight_between_a_dated_and_an_undated_sentence():
    codec = NmeaCodec(NmeaMap())
    zda = line("GPZDA,235959.00,28,02,2027,00,00")
    found = facts(codec, zda + gga("235959.00") + gga("000000.00") + gga("000001.00"))
    assert [fact.taken_at for fact in found[:2]] == [
        datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC),
        datetime(2027, 3, 1, tzinfo=UTC),
    ]


def test_a_leap_second_is_a_time():
    codec = NmeaCodec(NmeaMap())
    found = facts(codec, rmc("235960.00", day="311216") + rmc("000000.00", day="010117"))
    assert found[0].taken_at == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "fixed"),
    [
        (rmc("120000", status="V"), False),
        (rmc("120000", tail=",,,N"), False),
        (rmc("120000", tail=",,,S"), False),
        (rmc("120000", tail=""), True),
        (rmc("120000", tail=",,,D"), True),
        (gga("120000", quality=0), False),
        (gga("120000", quality=6), False),
        (gga("120000", quality=8), False),
        (gga("120000", quality=4), True),
        (rmc("120000") + gga("120000", quality=0), False),
        (line("GPRMC,120000,A,,,,,,,010326,,,A"), False),
    ],
)
def test_a_fix_is_one_only_where_all_say_so(data, fixed):
    (fact,) = facts(NmeaCodec(NmeaMap()), data + rmc("120001"))
    assert fact.fixed is fixed


def test_a_receiver_without_sky_says_so_each_second():
    codec = NmeaCodec(NmeaMap())
    found = facts(codec, line("GPRMC,,V,,,,,,,,,,N") * 4)
    assert len(found) == 4
    assert {(fact.fixed, fact.latitude_deg, fact.taken_at) for fact in found} == {(False, None, None)}


BAD = {
    "minute 60": line("GPGGA,123519,4860.000,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    "latitude 91": line("GPGGA,123519,9107.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    "longitude 181": line("GPGGA,123519,4807.038,N,18131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    "hemisphere": line("GPGGA,123519,4807.038,X,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    "number": line("GPGGA,123519,4807.038,N,01131.000,E,1,08,nan,545.4,M,46.9,M,,"),
    "hour 24": line("GPGGA,243519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    "31 April": line("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,310426,,"),
    "course 361": line("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,361.0,300426,,"),
    "checksum": GGA_PUBLISHED.replace(b"*47", b"*48"),
    "text after checksum": GGA_PUBLISHED.replace(b"*47", b"*47 "),
    "half a checksum": GGA_PUBLISHED.replace(b"*47", b"*4"),
    "two starts": b"$" + GGA_PUBLISHED[1:30] + GGA_PUBLISHED,
    "non-ASCII": GGA_PUBLISHED.replace(b"M,,", b"M,\xe9,"),
    "too long": line("GPTXT,01,01,02," + "x" * 70),
    "no checksum": b"$GPGLL,4916.45,N,12311.12,W,225444,A\r\n",
    "no address": line(",1,2"),
    "noise": GGA_PUBLISHED + b"\x80\x80\x80\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_cannot_be_is_rejected_once_and_the_next_is_read(data):
    for pieces in cuts(data):
        codec = NmeaCodec(NmeaMap())
        codec.receive(GGA_PUBLISHED)
        before = codec.seen["GPGGA"]
        assert sum(len(rejected(codec, piece)) for piece in pieces) == 1
        codec.receive(GGA_PUBLISHED)
        assert codec.seen["GPGGA"] > before


def test_82_characters_are_the_limit_unless_the_profile_allows_more():
    fits, longer = line("GPTXT,01,01,02," + "x" * 61), line("GPTXT,01,01,02," + "x" * 62)
    assert (len(fits), len(longer)) == (82, 83)
    codec = NmeaCodec(NmeaMap())
    assert rejected(codec, fits) == []
    assert rejected(codec, longer) == ["a sentence that is too long"]
    assert rejected(NmeaCodec(NmeaMap(max_chars=128)), longer) == []


def test_the_tail_of_a_line_that_began_before_we_listened_is_no_fault_but_noise_later_is():
    codec = NmeaCodec(NmeaMap())
    assert rejected(codec, GGA_PUBLISHED[30:] + GGA_PUBLISHED) == []
    assert rejected(codec, b"\x80\xff\x03garbage\r\n") == ["10 bytes that are no sentence"]
    hiss = codec.receive(b"\x80" * 10_000)
    assert [len(output.raw) for output in hiss] == [64] * 9


def test_encapsulated_and_unknown_sentences_are_checked_and_counted():
    codec = NmeaCodec(NmeaMap())
    # The AIS sample of the gpsd project's AIVDM page.
    codec.receive(b"!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C\r\n$PUBX,40,GLL,0,0,0,0*5C\r\n")
    assert codec.seen == {"AIVDM": 1, "PUBX": 1}


def test_counting_is_bounded():
    codec = NmeaCodec(NmeaMap())
    for number in range(500):
        codec.receive(line(f"XX{number:03d},1"))
    assert len(codec.seen) == 64


def test_what_a_receiver_says_of_itself():
    codec = device("u-blox/m8")
    told = facts(codec, line("GNTXT,01,01,02,ROM BASE 2.01 (75331) Oct 29 2013 13:28:17"))
    assert told == [DeviceDescribed(vendor="u-blox", model="M8", firmware="2.01 (75331) Oct 29 2013 13:28:17")]
    states = ["INIT", "OK", "OK", "OPEN", "SHORT", "OK"]
    told = [fact for state in states for fact in facts(codec, line(f"GNTXT,01,01,02,ANTSTATUS={state}"))]
    assert told == [
        DeviceSignal("antenna_fault", on=False, source="OK", baseline=True),
        DeviceSignal("antenna_fault", on=True, source="OPEN"),
        DeviceSignal("antenna_fault", on=False, source="OK"),
    ]


def test_a_relay_that_greets_is_asked_once_for_its_sentences():
    codec = device("gpsd/relay")
    greeting = b'{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}\r\n'
    for pieces in cuts(greeting + b'{"class":"DEVICES","devices":[]}\r\n' + GGA_PUBLISHED):
        codec = device("gpsd/relay")
        outputs = [output for piece in pieces for output in codec.receive(piece)]
        assert outputs == [Reply(b'?WATCH={"enable":true,"nmea":true};\n')]
        assert codec.seen == {"GPGGA": 1}


def test_decode_gives_every_sentence_with_its_raw_fields():
    decode = DRIVER.decoder(None)
    told = decode(GGA_PUBLISHED + line("GPGSV,1,1,02,02,63,145,41,05,28,301,33") + GSA + b"$PUBX,40*37") + decode(b"")
    assert [(one["talker"], one["type"]) for one in told] == [
        ("GP", "GGA"), ("GP", "GSV"), ("GN", "GSA"), ("GN", "GSA"), ("P", "UBX"),
    ]  # fmt: skip
    assert told[0]["fields"][8] == "545.4"
    assert told[1]["sky"][1] == {"satellite": "05", "elevation_deg": 28, "azimuth_deg": 301, "snr_db": 33}
    assert told[2]["used"] == ["GN1-02", "GN1-05", "GN1-07"]
    assert decode(b"") == []


def test_decode_gives_what_came_before_a_bad_sentence_then_raises_then_goes_on():
    decode = DRIVER.decoder(None)
    assert [one["type"] for one in decode(GGA_PUBLISHED + BAD["checksum"] + gll("120000"))] == ["GGA"]
    with pytest.raises(FrameInvalid, match="checksum 48 where 47 is right"):
        decode(b"")
    assert [one["type"] for one in decode(b"")] == ["GLL"]


def test_decode_takes_the_profile_at_its_word():
    profile = read_profile((PROFILES / "generic/nmea0183.toml").read_text(encoding="utf-8"), "x")
    with pytest.raises(FrameInvalid, match="without a checksum"):
        DRIVER.decoder(profile)(b"$GPGLL,4916.45,N,12311.12,W,225444,A\r\n")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (BAD["text after checksum"], "text after the checksum"),
        (BAD["half a checksum"], "'4' is no checksum"),
        (BAD["two starts"], "a second start before the end of a sentence"),
        (BAD["non-ASCII"], "a sentence with a byte that is not ASCII"),
        (BAD["too long"], "a sentence that is too long"),
        (BAD["31 April"], "2026-04-31 is no date"),
    ],
)
def test_why_it_is_rejected_is_said(data, why):
    assert rejected(NmeaCodec(NmeaMap()), data) == [why]


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([GGA_PUBLISHED, GSA, b"$", b"!", b"\r\n", b"*"]))))
def test_no_bytes_break_it_it_holds_little_and_the_next_sentence_is_read(pieces):
    codec = device("gpsd/relay")
    for piece in pieces:
        assert all(isinstance(output, Report | Reply | Rejected) for output in codec.receive(piece))
        assert len(codec._lines._line) <= 128
        assert len(codec._lines._noise) <= 64
    before = codec.seen.get("GPGGA", 0)
    codec.receive(b"\r\n" + GGA_PUBLISHED)
    assert codec.seen["GPGGA"] == before + 1


FIELD = st.one_of(st.sampled_from(["", "A", "N", "E", "T", "0", "1", "123519", "4807.038", "01131.000", "010326"]),
                  st.text("0123456789.-+NSEWAV", max_size=8))  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["RMC", "GGA", "GLL", "GSA", "GSV", "VTG", "ZDA", "TXT"]),
                          st.lists(FIELD, max_size=20)), max_size=20))  # fmt: skip
def test_no_fields_behind_a_good_checksum_break_it(sentences):
    codec = NmeaCodec(NmeaMap(max_chars=512))
    for kind, fields in sentences:
        for output in codec.receive(line(",".join([f"GP{kind}", *fields]))):
            assert isinstance(output, Report | Rejected)
            if isinstance(output, Report) and isinstance(output.fact, PositionTaken) and output.fact.fixed:
                assert abs(output.fact.latitude_deg) <= 90
    assert len(codec._epochs._aside.used) <= 256


def test_a_profile_with_mistakes_names_each():
    profile = read_profile(
        'name = "a/b"\ndriver = "nmea0183"\nvendor = "a"\nmodel = "b"\nsource = "-"\n[map]\nchecksum = "some"\ntypo = 1\n',
        "x",
    )
    with pytest.raises(ConfigInvalid, match=r"map\.checksum.*map\.typo"):
        DRIVER.make(profile, DRIVER.settings())


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {PositionTaken, DeviceDescribed, DeviceSignal}
    with pytest.raises(Unsupported):
        device("generic/nmea0183").send(OpenGate(direction="in"))
