"""What a camera may be set to and told, and what its pictures tell."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import ConfigInvalid, FrameInvalid, GatefleetError
from drivers.base import command_names
from drivers.facts import DeviceDescribed, DeviceSignal, Measured, PeopleCounted, PlateRead
from drivers.onvif_camera import BLANK, DRIVER, FROZEN, CameraMap, CameraSettings, CameraWords, picture_facts
from drivers.onvif_camera.commands import GotoPreset, MoveCamera
from drivers.onvif_camera.facts import StreamJudged
from drivers.onvif_camera.picture import Verdict, read_picture
from drivers.onvif_topics import Notification
from drivers.profile import checked_map, read_profile
from simulators.jpeg import black_picture, moving_picture

PROFILES = Path(__file__).parents[3] / "firmware_profiles" / "onvif"
PROFILE = read_profile((PROFILES / "camera.toml").read_text("utf-8"), "camera.toml")
WORDS = DRIVER.make(PROFILE, CameraSettings(url="http://10.0.0.9/onvif/device_service"))


def test_a_profile_makes_words():
    assert isinstance(WORDS, CameraWords)
    assert WORDS.map.lease_s == 60
    told = Notification("tns1:VideoSource/MotionAlarm", "Changed", None, {"Source": "1"}, {"State": "true"})
    assert WORDS.facts_of(told) == (DeviceSignal(told.topic, True, "1"),)


def test_both_profiles_have_the_same_tables():
    pushed = read_profile((PROFILES / "notify.toml").read_text("utf-8"), "notify.toml").map
    assert checked_map(PROFILE, CameraMap).table == CameraMap.model_validate({"table": pushed}).table


def test_a_map_with_a_mistake_is_refused():
    with pytest.raises(ConfigInvalid, match=r"map\.lease_s"):
        DRIVER.make(PROFILE.model_copy(update={"map": {"lease_s": 1}}), CameraSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "rtsp://10.0.0.9/"},
        {"url": "http://user:pw@10.0.0.9/"},
        {"url": "http://10.0.0.9/?a"},
        {"password": "hunter2"},
        {"username": "a\nb"},
        {"look_s": 0},
        {"colour": "red"},
    ],
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        CameraSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"pan": 1.1}, {"zoom": -2}, {"duration_ms": 0}, {"duration_ms": 60_000}, {"x": 1}])
def test_moves_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        MoveCamera(**wrong)
    with pytest.raises(ValidationError):
        GotoPreset(preset="")


def test_a_picture_is_weighed_without_decoding():
    picture = read_picture(moving_picture(1))
    assert (picture.width, picture.height) == (160, 96)
    assert picture.bits_per_block > 20
    assert read_picture(black_picture()).bits_per_block < 6


def test_a_comment_does_not_make_a_picture_another():
    assert read_picture(black_picture(b"10:00:00")).digest == read_picture(black_picture(b"10:00:01")).digest
    assert read_picture(moving_picture(1)).digest != read_picture(moving_picture(2)).digest


def test_components_with_fewer_lines_have_fewer_blocks():
    grey = moving_picture(0)
    at = grey.index(b"\xff\xc0")
    colour = b"\xff\xc0\x00\x11\x08\x00\x60\x00\xa0\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    picture = read_picture(grey[:at] + colour + grey[at + 13 :])
    assert picture.bits_per_block == pytest.approx(read_picture(grey).bits_per_block / 1.5, rel=0.01)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8",
        moving_picture(0)[:100],
        moving_picture(0)[:-2],
        b"\xff\xd8" + b"\xff\xd0" * 1000,
        b"\xff\xd8" + b"\xff" * 1000,
        moving_picture(0).replace(b"\xff\xc0", b"\xff\xc7"),
        moving_picture(0).replace(b"\x00\x60\x00\xa0", b"\x00\x00\x00\x00"),
    ],
)
def test_what_is_no_picture(data):
    with pytest.raises(FrameInvalid):
        read_picture(data)


@given(st.binary(max_size=300), st.integers(2, 900))
def test_no_bytes_break_it(junk, at):
    good = moving_picture(0)
    for hostile in (b"\xff\xd8" + junk, good[:at] + junk + good[at:], good[:at] + junk):
        try:
            read_picture(hostile)
        except FrameInvalid:
            continue


def follow(pictures):
    verdict, told = None, []
    for data in pictures:
        before, verdict = verdict, WORDS.judged(verdict or Verdict(), read_picture(data))
        told.append({fact.topic: fact.on for fact in picture_facts(before, verdict)})
    return told


def test_a_picture_freezes_and_moves_again():
    same, other = moving_picture(0), moving_picture(1)
    assert follow([same, same, same, same, other]) == [
        {BLANK: False, FROZEN: False},
        {},
        {FROZEN: True},
        {},
        {FROZEN: False},
    ]


def test_a_black_picture_is_blank_and_not_frozen():
    assert follow([black_picture()] * 4 + [moving_picture(0)]) == [
        {BLANK: True, FROZEN: False},
        {},
        {},
        {},
        {BLANK: False},
    ]


def test_the_first_verdict_is_a_baseline():
    (blank, frozen) = picture_facts(None, Verdict())
    assert blank.baseline
    assert frozen.baseline
    (changed,) = picture_facts(Verdict(), Verdict(blank=True))
    assert not changed.baseline


def test_offline_decoding_of_any_answer():
    body = "<GetScopesResponse><Scopes a='1'>x</Scopes></GetScopesResponse>"
    data = f'<s:Envelope xmlns:s="urn:s"><s:Body>{body}</s:Body></s:Envelope>'.encode()
    wanted = {"op": "GetScopes", "leaf_values": [["Scopes", "x", {"a": "1"}]]}
    assert DRIVER.decoder(None)(data) == [wanted]
    decode = DRIVER.decoder(None)
    assert [report for n in range(len(data)) for report in decode(data[n : n + 1])] == [wanted]
    assert decode(b"") == []
    for wrong in (b"hello", data.replace(b"Body", b"Head"), b"<" + b"x" * (1 << 21)):
        with pytest.raises(GatefleetError):
            DRIVER.decoder(None)(wrong)


def test_what_is_declared():
    assert command_names(DRIVER) == ("GotoPreset", "MoveCamera", "StopCamera")
    assert DRIVER.facts == {DeviceDescribed, DeviceSignal, Measured, PeopleCounted, PlateRead, StreamJudged}
