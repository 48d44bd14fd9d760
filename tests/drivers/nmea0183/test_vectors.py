"""Every row of the NMEA vectors: by the decoder and by the codec, in every cut."""

import json
from pathlib import Path

import pytest

from core.errors import FrameInvalid
from drivers.base import Rejected, Report
from drivers.nmea0183 import DRIVER, NmeaCodec, NmeaMap
from drivers.nmea0183.meaning import KMH_OF_KNOT

FILE = Path(__file__).parents[2] / "vectors" / "nmea0183.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
GOOD = [row for row in ROWS if row["expected"].get("valid", True)]
BAD = [row for row in ROWS if not row["expected"].get("valid", True)]
EXEMPT: dict[str, str] = {}  # input -> why it cannot be matched: none

TIME_FIELD = {"RMC": 0, "GGA": 0, "GLL": 4, "ZDA": 0}
SAME = ("talker", "type", "quality", "status", "satellites", "hdop", "total_msgs", "msg_no", "in_view")
RENAMED = {"lat": "lat_deg", "lon": "lon_deg", "altitude": "altitude_m", "course": "course_deg", "valid_fix": "fixed"}
RAW = {"date_ddmmyy": ("RMC", 8), "day": ("ZDA", 1), "month": ("ZDA", 2), "year": ("ZDA", 3)}
REMARKS = {"note", "valid"}


def cuts(data):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 7] for i in range(0, len(data), 7)]


def found_for(key, decoded):
    """What we say where a vector says `key`; an unknown key fails."""
    fields = decoded["fields"]
    match key:
        case "checksum_present":
            return decoded["checksum"] is not None
        case "checksum_ok":
            return decoded["checksum"].upper() == decoded["checksum_computed"]
        case "checksum_computed":
            return decoded["checksum_computed"]
        case "time":
            return fields[TIME_FIELD[decoded["type"]]]
        case "speed_knots":
            speed = decoded["speed_kmh"]
            return None if speed is None else speed / KMH_OF_KNOT
    if key in RAW:
        kind, place = RAW[key]
        assert decoded["type"] == kind
        return fields[place]
    assert key in SAME or key in RENAMED, key
    return decoded[RENAMED.get(key, key)]


def decoded_in(pieces):
    """What `gatefleet decode` gives for one connection, which ends with no bytes."""
    decode = DRIVER.decoder(None)
    return [report for piece in [*pieces, b""] for report in decode(piece)]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["input"][:24])
def test_a_good_row_means_what_is_expected(row):
    whole, bytewise, ragged = (decoded_in(pieces) for pieces in cuts(row["input"].encode()))
    assert whole == bytewise == ragged
    (decoded,) = whole
    for key, wanted in row["expected"].items():
        if key in REMARKS:
            continue
        found = found_for(key, decoded)
        assert found == (pytest.approx(wanted, abs=1e-6) if isinstance(wanted, float) else wanted), key


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["input"][:24])
def test_a_bad_row_is_refused(row):
    for pieces in cuts(row["input"].encode()):
        with pytest.raises(FrameInvalid):
            decoded_in(pieces)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["input"][:24])
def test_the_codec_says_the_same_in_every_cut(row):
    layout = NmeaMap(checksum="all" if row["expected"].get("checksum_present", True) else "none")
    for pieces in cuts(row["input"].encode() + b"\r\n"):
        codec = NmeaCodec(layout)
        outputs = [output for piece in pieces for output in codec.receive(piece)]
        if row in BAD:
            assert any(isinstance(output, Rejected) for output in outputs)
        else:
            assert codec.seen == {row["expected"].get("talker", "GP") + row["expected"].get("type", "XTE"): 1}
            assert all(isinstance(output, Report) for output in outputs)


def test_rmc_without_a_checksum_is_refused_unless_the_profile_says_otherwise():
    line = next(row["input"] for row in ROWS if row["expected"].get("checksum_present") is False).encode() + b"\r\n"
    for demand, seen in (("all", {}), ("rmc", {}), ("none", {"GPRMC": 1})):
        codec = NmeaCodec(NmeaMap(checksum=demand))
        codec.receive(line)
        assert codec.seen == seen


def test_no_row_is_left_out():
    assert len(ROWS) == 16
    assert len(GOOD) + len(BAD) + len(EXEMPT) == len(ROWS)
