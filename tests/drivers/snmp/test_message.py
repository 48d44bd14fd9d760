"""Messages as Net-SNMP 5.9.3's programs and agent sent them over loopback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.snmp import DRIVER, ber
from drivers.snmp.message import described, discovery, engine_of

ENGINE = "80001f880467617465666c6565742d63617074757265"
REPORT = "307b020103301102044d244fb0020300ffe304010002010304263024041680001f880467617465666c6565742d63617074757265020101020101040004000400303b041680001f880467617465666c6565742d636170747572650400a81f020458369ee60201000201003011300f060a2b060106030f01010400410101"
ROWS = {
    "v1-get": (
        "302902010004067075626c6963a01c020473560439020100020100300e300c06082b060102010101000500",
        {
            "version": "1",
            "pdu": "get",
            "request_id": 0x73560439,
            "error_status": 0,
            "error_index": 0,
            "variables": [{"oid": "1.3.6.1.2.1.1.1.0", "type": "null"}],
        },
    ),
    "v2c-response": (
        "307b02010104067075626c6963a26e020418b662d50201000201003060301906082b06010201010100040d43617074757265206167656e74301606082b06010201010200060a2b06010401bf0803020a300d06082b06010201010300430165300c06082b060102010163008000300e060a2b0601020101090102638100",
        {
            "version": "2c",
            "pdu": "response",
            "request_id": 0x18B662D5,
            "error_status": 0,
            "error_index": 0,
            "variables": [
                {"oid": "1.3.6.1.2.1.1.1.0", "type": "octets", "value": "Capture agent"},
                {"oid": "1.3.6.1.2.1.1.2.0", "type": "oid", "value": "1.3.6.1.4.1.8072.3.2.10"},
                {"oid": "1.3.6.1.2.1.1.3.0", "type": "timeticks", "value": 101},
                {"oid": "1.3.6.1.2.1.1.99.0", "type": "no-such-object"},
                {"oid": "1.3.6.1.2.1.1.9.1.2.99", "type": "no-such-instance"},
            ],
        },
    ),
    "v2c-get-bulk": (
        "304902010104067075626c6963a53c02042475872e020100020103302e300d06092b06010201020201020500300e060a2b060102011f010101060500300d06092b06010201041401010500",
        {
            "version": "2c",
            "pdu": "get-bulk",
            "request_id": 0x2475872E,
            "non_repeaters": 0,
            "max_repetitions": 3,
            "variables": [
                {"oid": "1.3.6.1.2.1.2.2.1.2", "type": "null"},
                {"oid": "1.3.6.1.2.1.31.1.1.1.6", "type": "null"},
                {"oid": "1.3.6.1.2.1.4.20.1.1", "type": "null"},
            ],
        },
    ),
    "v2c-set-refused": (
        "302d02010104067075626c6963a22002046c38fe320201060201013012301006082b06010201010600040468657265",
        {
            "version": "2c",
            "pdu": "response",
            "request_id": 0x6C38FE32,
            "error_status": 6,
            "error_index": 1,
            "variables": [{"oid": "1.3.6.1.2.1.1.6.0", "type": "octets", "value": "here"}],
        },
    ),
    "v2c-end-of-mib": (
        "302302010104067075626c6963a21602041f7690a10201000201003008300606022b078200",
        {
            "version": "2c",
            "pdu": "response",
            "request_id": 0x1F7690A1,
            "error_status": 0,
            "error_index": 0,
            "variables": [{"oid": "1.3.7", "type": "end-of-mib"}],
        },
    ),
    "v3-report-of-the-engine": (
        REPORT,
        {
            "version": "3",
            "message_id": 0x4D244FB0,
            "authenticated": False,
            "encrypted": False,
            "engine": ENGINE,
            "boots": 1,
            "time_s": 1,
            "user": "",
            "context_engine": ENGINE,
            "context": "",
            "pdu": "report",
            "request_id": 0x58369EE6,
            "error_status": 0,
            "error_index": 0,
            "variables": [{"oid": "1.3.6.1.6.3.15.1.1.4.0", "type": "counter32", "value": 1}],
        },
    ),
    "v3-encrypted": (
        "3081aa020103301102044d244faf020300ffe304010302010304493047041680001f880467617465666c6565742d6361707475726502010102010104036d6f6e04183a7c4a6ca35b43b10f0d0eaa8a75671d0c0973b6f2e2bf760408048695f356109997044728bf22857db21529aa0384577ca80fa11068ba3a5fd99870c06152f6b38d1421f36a17d8b8a87a39ca43a352a40c251a03074c5343c1600d8a1f5ccb05006fb22cccd12674b9a4",
        {
            "version": "3",
            "message_id": 0x4D244FAF,
            "authenticated": True,
            "encrypted": True,
            "engine": ENGINE,
            "boots": 1,
            "time_s": 1,
            "user": "mon",
            "secret_bytes": 71,
        },
    ),
}
BULK = bytes.fromhex(
    "3081d402010104067075626c6963a281c602042475872e0201000201003081b73010060a2b06010201020201020104026c6f3014060b2b060102011f01010106014605042cb54b853015060d2b06010201041401017f00000140047f0000013012060a2b0601020102020102020404696662303010060b2b060102011f01010106024601003016060e2b060102010414010181400002024004c00002023012060a2b0601020102020102030404696662313010060b2b060102011f01010106034601003012060d2b06010201041401027f000001020101"
)


@pytest.mark.parametrize(("text", "meaning"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("cut", ["whole", "bytes", "ragged"])
def test_captured_messages_mean_what_net_snmp_meant(text, meaning, cut):
    data, step = bytes.fromhex(text), {"whole": 9999, "bytes": 1, "ragged": 7}[cut]
    decode = DRIVER.decoder(None)
    found = [one for at in range(0, len(data), step) for one in decode(data[at : at + step])]
    assert found == [meaning]
    assert "public" not in str(found)


def test_a_bulk_answer_has_rows_of_three_columns():
    rows = described(BULK)["variables"]
    assert len(rows) == 9
    assert rows[1] == {"oid": "1.3.6.1.2.1.31.1.1.1.6.1", "type": "counter64", "value": 17929948037}
    assert rows[5]["type"] == "ip"
    assert rows[5]["value"] == "192.0.2.2"
    assert rows[8] == {"oid": "1.3.6.1.2.1.4.20.1.2.127.0.0.1", "type": "integer", "value": 1}


def test_an_engine_is_known_by_its_report_to_our_question_only():
    report = bytes.fromhex(REPORT)
    assert engine_of(report, 0x4D244FB0).hex() == ENGINE
    for other in (report, bytes.fromhex(ROWS["v2c-end-of-mib"][0])):
        with pytest.raises(FrameInvalid):
            engine_of(other, 0x4D244FB1)


def test_our_discovery_is_net_snmps_to_the_byte():
    """But for the ids, and the size that it takes."""
    theirs = bytes.fromhex(
        "303e020103301102044d244fb0020300ffe30401040201030410300e0400020100020100040004000400301404000400a00e020458369ee60201000201003000"
    )
    ours = discovery(0x4D244FB0).replace(bytes.fromhex("020300ffff"), bytes.fromhex("020300ffe3"))
    assert ours == theirs.replace(bytes.fromhex("020458369ee6"), bytes.fromhex("02044d244fb0"))


@pytest.mark.parametrize(
    "bad",
    [
        "3080",  # indefinite length
        "308400ffffff",  # longer than a datagram
        "02010104",
        "3003020107",  # version 7
        "302902010004067075626c6963b01c020473560439020100020100300e300c06082b060102010101000500",  # no PDU
        "302902010004067075626c6963a01c020473560439020100020100300e300c06082b0601020101018005ff",  # an OID that goes on
    ],
)
def test_what_is_no_message_is_refused_and_the_next_is_read(bad):
    decode = DRIVER.decoder(None)
    with pytest.raises(FrameInvalid):
        decode(bytes.fromhex(bad))
    good = ROWS["v2c-end-of-mib"]
    assert decode(bytes.fromhex(good[0])) == [good[1]]


@given(st.binary(max_size=300), st.integers(0, 211), st.integers(0, 255))
def test_no_bytes_crash_it(noise, at, value):
    decode = DRIVER.decoder(None)
    spoilt = bytearray(BULK)
    spoilt[at] = value
    for data in (noise, b"\x30" + noise, bytes(spoilt)):
        try:
            decode(data)
        except FrameInvalid:
            continue
    assert len(decode._rest) <= ber.LONGEST


@given(st.integers(-(2**63), 2**64 - 1))
def test_numbers_come_back(number):
    assert ber.read_integer(ber.read(ber.write_integer(number))[1]) == number
