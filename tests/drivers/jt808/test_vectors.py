"""Every row of the captured and published frames, whole, byte by byte and ragged."""

import hashlib
import json
from pathlib import Path

import pytest

from core.errors import FrameInvalid
from drivers.jt808 import DRIVER, Dialect
from drivers.jt808.frame import FrameSplitter, parse_frame, unescape
from drivers.jt808.parts import PartLimits, Reassembler

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "jt808.jsonl").read_text().splitlines()]
NOT_EXERCISED: dict[int, str] = {}
"""Number of a row -> why it cannot be matched."""
KINDS = ("jt808", "jt808-framing", "jt808-escape", "jt808-reassembly")
DECODE = DRIVER.decoder(None)


def rows(kind, valid=None):
    return [
        pytest.param(row, id=f"{n}-{row['expected'].get('msg_id_hex', kind)}")
        for n, row in enumerate(ROWS)
        if row["protocol"] == kind and n not in NOT_EXERCISED and valid in (None, row["expected"].get("valid"))
    ]


def test_no_row_is_left_out():
    exercised = [*rows("jt808", True), *rows("jt808", False), *(row for kind in KINDS[1:] for row in rows(kind))]
    assert len(ROWS) == 215
    assert len(exercised) + len(NOT_EXERCISED) == len(ROWS)


def cuts(data):
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield [data[at : at + 7] for at in range(0, len(data), 7)]


def split(pieces):
    splitter = FrameSplitter()
    return [chunk for piece in pieces for chunk in splitter.feed(piece)], splitter


@pytest.mark.parametrize("row", rows("jt808", True))
def test_header(row):
    expected = row["expected"]
    assert expected["checksum_ok"]
    assert expected["len_ok"]
    for pieces in cuts(bytes.fromhex(row["input"])):
        (chunk,), splitter = split(pieces)
        assert splitter.pending == 0
        assert (b"\x7d" in chunk) is expected["escaped"]
        assert unescape(chunk)[-1] == expected["checksum"]
        assert int.from_bytes(unescape(chunk)[2:4], "big") == expected["attr"]
        frame = parse_frame(chunk)
        assert (frame.msg_id, frame.serial, frame.terminal) == tuple(
            expected[k] for k in ("msg_id", "serial", "terminal")
        )
        assert (len(frame.body), frame.encryption, frame.v2019) == (
            expected["body_len"],
            expected["encryption"],
            expected["v2019"],
        )
        assert (frame.total, frame.number) == (expected.get("pkg_total", 0), expected.get("pkg_no", 0))
        assert (frame.total > 0) is expected["subpackage"]
        assert frame.protocol_version == expected.get("protocol_version", 0)
        assert "body_hex" not in expected or frame.body.hex() == expected["body_hex"]


@pytest.mark.parametrize("row", rows("jt808", False))
def test_refused(row):
    expected = row["expected"]
    for pieces in cuts(bytes.fromhex(row["input"])):
        (chunk,), _ = split(pieces)
        with pytest.raises(FrameInvalid) as refusal:
            parse_frame(chunk)
        reason = expected.get("reject_reason", expected.get("error"))
        word = {"checksum": "checksum", "length": "its header says", "bad_escape": "7D"}.get(reason)
        assert word is None or word in refusal.value.detail
    with pytest.raises(FrameInvalid):
        DECODE(bytes.fromhex(row["input"]))


@pytest.mark.parametrize("row", rows("jt808", True))
def test_decoded(row):
    expected = row["expected"]
    (told,) = DECODE(bytes.fromhex(row["input"]))
    assert json.loads(json.dumps(told)) == told
    for ours in ("terminal", "msg_id", "serial", "body_len", "encryption", "subpackage"):
        assert told[ours] == expected[ours]
    assert (told["version"] == 2019) is expected["v2019"]
    assert told.get("pkg_total") == expected.get("pkg_total")
    assert told.get("pkg_no") == expected.get("pkg_no")
    if "body_decode" in expected:
        assert told["body_error"]
    if "body" in expected:
        assert "body_error" not in told
        BODIES[expected["msg_id_hex"]](told, expected["body"])
    elif expected["msg_id"] not in OWN_DECODING or expected["subpackage"]:
        assert told["raw"] == expected["body_hex"]


OWN_DECODING = {0x0107, 0x8105, 0x8108}
"""Bodies that the vectors give as hexadecimal only; they are compared below by literals."""
VALUES = {
    "mileage_0.1km": ("mileage_km", 10),
    "fuel_0.1L": ("fuel_l", 10),
    "recorder_speed_0.1kmh": ("recorder_speed_kmh", 10),
    "manual_alarm_event_id": ("manual_alarm_event", 1),
    "csq": ("csq", 1),
    "gnss_satellites": ("satellites", 1),
    "ext_vehicle_signal": ("vehicle_signal_bits", 1),
    "io_status": ("io_bits", 1),
}
DISCARDED = {"len", "id", "hex"}


def position(told, expected):
    assert told["alarm_bits"] == expected["alarm"]
    assert told["status_bits"] == expected["status"]
    assert told["acc_on"] is expected["acc_on"]
    assert told["fixed"] is expected["fixed"]
    assert told["lat_deg"] == pytest.approx(expected["lat"], abs=1e-9)
    assert told["lon_deg"] == pytest.approx(expected["lon"], abs=1e-9)
    assert (told["lat_deg"] < 0) is (expected["south"] and expected["lat_raw"] > 0)
    assert (told["lon_deg"] < 0) is (expected["west"] and expected["lon_raw"] > 0)
    assert round(abs(told["lat_deg"]) * 1e6) == expected["lat_raw"]
    assert round(abs(told["lon_deg"]) * 1e6) == expected["lon_raw"]
    assert told["altitude_m"] == expected["altitude_m"]
    assert told["course_deg"] == expected["direction"]
    assert round(told["speed_kmh"] * 10) == expected["speed_0.1kmh"]
    when = expected["time_gmt8"]
    assert told["fix_time"] == (when and when.replace(" ", "T") + "+08:00")
    items(told, expected)


def items(told, expected):
    wanted = {}
    for item in expected.get("items", []):
        assert item["len"] == len(item["hex"]) // 2
        key, count = f"{item['id']:02x}", 2
        while key in wanted:
            key, count = f"{item['id']:02x}.{count}", count + 1
        wanted[key] = item["hex"]
        for name in set(item) - DISCARDED - {"analog"}:
            ours, factor = VALUES[name]
            assert round(told["values"][ours] * factor) == item[name]
        if "analog" in item:
            assert told["values"]["analog_1"] << 16 | told["values"]["analog_0"] == item["analog"]
    assert told["items"] == wanted
    assert told.get("items_trailing", "") == expected.get("items_trailing_hex", "")
    assert ("items_trailing" in told) is not expected.get("items_wellformed", True)
    mileage = [i["mileage_0.1km"] / 10 for i in expected.get("items", []) if "mileage_0.1km" in i]
    assert [told["mileage_km"]] == (mileage or [None])
    satellites = [i["gnss_satellites"] for i in expected.get("items", []) if "gnss_satellites" in i]
    assert [told["satellites"]] == (satellites or [None])


def asked_position(told, expected):
    assert told["reply_serial"] == expected["reply_serial"]
    position(told, expected["location"])


def batch(told, expected):
    assert (told["count"], told["kind"], len(told["positions"])) == (
        expected["count"],
        expected["type"],
        expected["items_decoded"],
    )
    assert told["mistakes"] == []
    for ours, theirs in zip(told["positions"], expected["items"], strict=True):
        position(ours, theirs)


def registration(told, expected):
    assert str(told["version"]) == expected["version"]
    names = {
        "province": "province",
        "city": "city",
        "maker": "manufacturer",
        "model": "model",
        "device_id": "terminal_id",
    }
    names |= {"plate_colour": "plate_color", "plate": "plate"}
    for ours, theirs in names.items():
        wanted = expected[theirs]
        assert told[ours] == (wanted.strip("\0 ") if isinstance(wanted, str) else wanted)
    assert (
        told["maker"].encode("gbk").ljust(len(expected["manufacturer_hex"]) // 2, b"\0").hex()
        == expected["manufacturer_hex"]
    )


def authentication(told, expected):
    assert told["auth_code"] == expected["auth_code"]
    assert "auth_len" not in expected or len(told["auth_code"]) == expected["auth_len"]
    assert (told["imei"], told["software"]) == (expected.get("imei", ""), expected.get("sw", ""))


def parameters(told, expected):
    assert told.get("reply_serial") == expected.get("reply_serial")
    assert told["count"] == expected["count"]
    assert len(told["parameters"]) == expected["params_decoded"]
    assert told["well_formed"]
    for ours, theirs in zip(told["parameters"], expected["params"], strict=True):
        assert (ours["id"], ours["hex"]) == (theirs["id"], theirs["hex"])


def media(told, expected):
    same({**told, "media_type": told["media_type"]}, {k: v for k, v in expected.items() if k != "location"})
    if "location" in expected:
        position(told["position"] | {"items": {}}, expected["location"])


def same(told, expected):
    assert {key: told[key] for key in expected} == expected


def parts_wanted(told, expected):
    assert (told["reply_serial"], told["parts"], len(told["parts"])) == (
        expected["orig_serial"],
        expected["package_ids"],
        expected["count"],
    )


def media_reply(told, expected):
    assert (told["media_id"], told["parts"]) == (expected["media_id"], expected.get("ids", []))
    assert len(told["parts"]) == expected.get("count", 0)


def passthrough(told, expected):
    assert (told["kind"], told["data"]) == (expected["type"], expected["data_hex"])


BODIES = {
    "0001": same, "0002": same, "0100": registration, "0102": authentication, "0104": parameters, "0200": position,
    "0201": asked_position, "0704": batch, "0800": media, "0801": media, "0900": passthrough, "8001": same,
    "8003": parts_wanted, "8100": same, "8103": parameters, "8104": same, "8201": same, "8202": same, "8300": same,
    "8800": media_reply,
}  # fmt: skip


@pytest.mark.parametrize("row", rows("jt808-framing"))
def test_framing(row):
    for pieces in cuts(bytes.fromhex(row["input"])):
        chunks, splitter = split(pieces)
        assert [(b"\x7e" + chunk + b"\x7e").hex() for chunk in chunks] == row["expected"]["frames"]
        assert splitter.pending == row["expected"]["pending_bytes"]


@pytest.mark.parametrize("row", rows("jt808-escape"))
def test_escape(row):
    chunks, _ = split([bytes.fromhex(row["input"])])
    assert [(b"\x7e" + unescape(chunk) + b"\x7e").hex() for chunk in chunks] == [row["expected"]["unescaped"]]


@pytest.mark.parametrize("row", rows("jt808-reassembly"))
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_reassembly(row, order):
    expected = row["expected"]
    frames = [parse_frame(chunk) for text in row["input"][::order] for chunk in split([bytes.fromhex(text)])[0]]
    assert sorted(frame.serial for frame in frames) == expected["serials"]
    assert {frame.total for frame in frames} == {expected["total"]}
    assert {frame.terminal for frame in frames} == {expected["terminal"]}
    parts = Reassembler(PartLimits())
    *nothing, whole = [parts.take(frame) for frame in frames]
    assert nothing == [None] * (expected["total"] - 1)
    assert f"{whole.msg_id:04x}" == expected["msg_id_hex"]
    assert len(whole.body) == expected["body_len"]
    assert hashlib.sha256(whole.body).hexdigest() == expected["body_sha256"]
    assert whole.body.hex().startswith(expected["body_head_hex"])
    assert parts.held == 0
    told = DECODE(bytes.fromhex("".join(row["input"][::order])))[-1]
    assert told["assembled_len"] == expected["body_len"]
    if "params_decoded" in expected:
        assert (told["reply_serial"], told["count"], len(told["parameters"])) == tuple(
            expected[k] for k in ("reply_serial", "count", "params_decoded")
        )
        assert not told["well_formed"]
        ours = [{"id": one["id"], "len": len(one["hex"]) // 2, "hex": one["hex"]} for one in told["parameters"]]
        assert ours[:6] == expected["first_params"]
        assert ours[-3:] == expected["last_params"]


def by_number(number, profile=None):
    from edge.profiles import load_profile

    data = bytes.fromhex(ROWS[number]["input"])
    return DRIVER.decoder(load_profile(profile) if profile else None)(data)[0]


def test_bodies_that_the_vectors_give_as_hex():
    told = by_number(71)
    assert told["iccid"] == "89883030000131882455"
    assert told["device_id"] == "9887125"
    assert told["firmware"] == "C5L_V2.6 2026/06/04 15:31"
    assert (by_number(72)["maker"], by_number(72)["model"], by_number(72)["firmware"]) == (
        "yzh",
        "JTT808.CN",
        "\tjtt808.cn"[1:],
    )
    assert (by_number(100)["word"], by_number(100)["parameters"]) == (0xF0, "")
    assert by_number(172)["software"] == "www.jtt808.cn"
    assert by_number(172)["data"] == "010203040506070809"


def test_a_dialect_reads_the_items_of_its_maker():
    """Traccar reads 11.7 V out of the same frame (KEY_POWER)."""
    told = by_number(0, "bsj/eg01")
    assert told["values"]["external_v"] == pytest.approx(11.7, abs=0.01)
    assert told["values"]["extended_state_bits"] == 0xFFFFFFFE
    assert told["values"]["imei"] == "000000000000000"
    assert "external_v" not in by_number(0)["values"]


def test_a_header_that_lies_about_its_length_is_taken_only_where_a_profile_says_so():
    number = next(
        n
        for n, row in enumerate(ROWS)
        if row["expected"].get("reject_reason") == "length" and row["expected"]["msg_id_hex"] == "0200"
    )
    (chunk,), _ = split([bytes.fromhex(ROWS[number]["input"])])
    frame = parse_frame(chunk, tolerate_length=Dialect(tolerate_length=True).tolerate_length)
    assert len(frame.body) == ROWS[number]["expected"]["actual_body_len"]
