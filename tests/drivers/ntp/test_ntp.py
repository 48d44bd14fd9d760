import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.facts import DeviceSignal, Measured
from drivers.ntp import DRIVER, NtpSettings, Verdict
from drivers.ntp.packet import read_answer, read_packet, request
from drivers.profile import read_profile

NONCE = bytes.fromhex("0123456789abcdef")
PROFILE = Path(__file__).parents[3] / "firmware_profiles" / "generic" / "ntp.toml"
UNIX = 2_208_988_800
SENT, BACK = 1_800_000_000.0, 1_800_000_000.1


def answer(
    *, leap=0, version=4, mode=4, stratum=2, delay_s=0.0, dispersion_s=0.0, reference=b"\xc0\0\2\1",
    originate=NONCE, receive=SENT + 0.05, transmit=SENT + 0.05, set_at=SENT - 30, era=0,
):  # fmt: skip
    """The frame of RFC 5905, 7.3, written down apart from the driver."""

    def stamp(unix_s):
        return round((unix_s + UNIX) * 2**32) % 2**64

    head = struct.pack("!BBbb", leap << 6 | version << 3 | mode, stratum, 6, -20)
    head += struct.pack("!II4s", round(delay_s * 65536), round(dispersion_s * 65536), reference)
    return head + struct.pack("!Q8sQQ", stamp(set_at), originate, stamp(receive), stamp(transmit))


def words(**settings):
    return DRIVER.make(read_profile(PROFILE.read_text(encoding="utf-8"), "ntp"), NtpSettings(**settings))


def test_the_question_is_48_bytes_and_tells_nothing_but_a_nonce():
    assert request(NONCE).hex() == "23" + "00" * 39 + NONCE.hex()


@pytest.mark.parametrize(
    ("ahead_s", "there_s", "back_s"), [(0, 0.05, 0.05), (2.5, 0.05, 0.05), (-3600, 0.01, 0.01), (0.0625, 0.02, 0.04)]
)
def test_offset_and_delay_are_those_of_the_standard(ahead_s, there_s, back_s):
    receive = SENT + there_s + ahead_s
    found = read_answer(
        answer(receive=receive, transmit=receive + 0.5, set_at=receive - 9), NONCE, SENT, SENT + there_s + 0.5 + back_s
    )
    assert found.problem == ""
    assert found.offset_s == pytest.approx(ahead_s + (there_s - back_s) / 2, abs=1e-6)
    assert found.delay_s == pytest.approx(there_s + back_s, abs=1e-6)


def test_the_era_of_2036_changes_nothing():
    sent = 2_085_978_490.0  # six seconds before the era ends
    found = read_answer(answer(receive=sent + 10, transmit=sent + 10, set_at=sent - 30), NONCE, sent, sent)
    assert found.offset_s == pytest.approx(10, abs=1e-6)
    assert found.problem == ""


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ({"leap": 3}, "leap"),
        ({"stratum": 16}, "stratum"),
        ({"dispersion_s": 1.6}, "root_distance"),
        ({"delay_s": 2.0, "dispersion_s": 0.6}, "root_distance"),
        ({"set_at": SENT + 60}, "set_in_the_future"),
        ({"receive": SENT, "transmit": SENT + 0.5}, "impossible_times"),
        ({"receive": SENT + 0.5, "transmit": SENT}, "impossible_times"),
        ({"stratum": 0, "reference": b"RATE"}, "kiss:RATE"),
        ({"stratum": 0, "reference": b"DENY"}, "kiss:DENY"),
        ({"stratum": 0, "reference": b"\xff\0\0\0"}, "kiss:?"),
    ],
)
def test_a_server_that_is_not_to_be_believed_is_told_and_its_offset_is_not(lie, problem):
    found = read_answer(answer(**lie), NONCE, SENT, BACK)
    assert found.problem == problem
    verdict, facts = words().judged(Verdict(), found)
    assert facts == (DeviceSignal("unsynchronised", True, problem, baseline=True),)
    assert words().judged(verdict, found)[1] == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": 3},
        {"mode": 6},
        {"version": 0},
        {"version": 5},
        {"originate": bytes(8)},
        {"originate": NONCE[::-1]},
        {"receive": -UNIX},
        {"transmit": -UNIX},
    ],
)
def test_what_is_no_answer_to_this_question_is_refused(wrong):
    with pytest.raises(FrameInvalid):
        read_answer(answer(**wrong), NONCE, SENT, BACK)
    assert read_answer(answer(), NONCE, SENT, BACK).packet.stratum == 2


def test_a_large_offset_is_told_with_a_step_between_on_and_off():
    judge, verdict, told = words(), Verdict(), []
    for ahead_ms in (0, 99, 101, 60, 51, 40):
        receive = SENT + 0.05 + ahead_ms / 1000
        verdict, facts = judge.judged(
            verdict, read_answer(answer(receive=receive, transmit=receive), NONCE, SENT, BACK)
        )
        told.append([one.on for one in facts if isinstance(one, DeviceSignal) and one.topic == "offset_large"])
        assert {type(one) for one in facts} <= DRIVER.facts
    assert told == [[False], [], [True], [], [], [False]]
    measured = next(one for one in facts if isinstance(one, Measured)).readings
    assert measured["offset_ms"] == pytest.approx(40, abs=0.01)
    assert measured["delay_ms"] == pytest.approx(100, abs=0.01)
    assert measured["stratum"] == 2


@pytest.mark.parametrize("step", [999, 1, 7])
def test_packets_are_decoded_in_any_cut(step):
    data, decode = answer() + request(NONCE), DRIVER.decoder(None)
    found = [one for at in range(0, len(data), step) for one in decode(data[at : at + step])]
    assert [one["mode"] for one in found] == [4, 3]
    assert found[0]["stratum"] == 2
    assert found[1]["transmit"] == NONCE.hex()


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(noise):
    decode = DRIVER.decoder(None)
    for data in (noise, noise[:5]):
        try:
            read_packet(data)
            decode(data)
        except FrameInvalid:
            continue
    assert len(decode._rest) < 48 + 200
