"""What cameras really describe: rows that others published, and words that no camera should say."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid, GatefleetError, Unsupported
from edge.live.h26x import CODECS
from edge.live.sdp import video_of

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "rtsp-sdp.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["source"])
def test_each_camera_that_somebody_published_is_understood(row):
    expected = dict(row["expected"])
    video = video_of(row["input"]["sdp"].encode(), row["input"]["base"])
    assert sorted(CODECS[video.codec].type_of(unit[0]) for unit in video.parameters) == expected.pop(
        "kinds", sorted(CODECS[video.codec].type_of(unit[0]) for unit in video.parameters)
    )
    if "parameters" in expected:
        assert [unit.hex() for unit in video.parameters] == expected.pop("parameters")
    assert {name: getattr(video, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("lines", "error", "match"),
    [
        ([], FrameInvalid, "no session"),
        (["<html>It works!"], FrameInvalid, "no session"),
        (["v=0", "m=audio 0 RTP/AVP 8"], Unsupported, "no video"),
        (["v=0", "m=video 0"], FrameInvalid, "no media"),
        (["v=0", "m=video 0 RTP/AVP 999"], FrameInvalid, "up to 127"),
        (["v=0", "m=video 0 RTP/AVP 96"], FrameInvalid, "codec is not told"),
        (["v=0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/0"], FrameInvalid, "codec is not told"),
        (["v=0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/" + "9" * 30], FrameInvalid, "not a number"),
        (["v=0", "m=video 0 RTP/AVP 96", *["a=x"] * 2000], FrameInvalid, "no session"),
    ],
)
def test_what_is_no_description_of_a_video_is_refused(lines, error, match):
    with pytest.raises(error, match=match):
        video_of("\r\n".join(lines).encode(), "rtsp://camera/")


def test_a_static_type_needs_no_map_and_garbled_parameter_sets_are_left_out():
    assert video_of(b"v=0\r\nm=video 0 RTP/AVP 26\r\n", "rtsp://c/").codec == "JPEG"
    body = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=????,aO44gA==\r\n"
    assert [unit.hex() for unit in video_of(body, "rtsp://c/").parameters] == ["68ee3880"]


@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(st.sampled_from(ROWS[0]["input"]["sdp"].splitlines())).map(lambda lines: "\r\n".join(lines).encode()),
    )
)
def test_no_bytes_do_more_than_refuse(body):
    with contextlib.suppress(GatefleetError):
        video_of(body, "rtsp://camera/")
