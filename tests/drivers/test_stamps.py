"""Times as devices write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.stamps import parse_stamp, zone_of

CHINA = zone_of("+08:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-04-22T15:39:01+08:00", "2017-04-22T15:39:01+08:00"),
        ("2017-04-22T15:39:01Z", "2017-04-22T15:39:01+00:00"),
        ("2024-05-07T17:48:03.847+07:00", "2024-05-07T17:48:03.847000+07:00"),
        ("2024-05-07 17:48:03", "2024-05-07T17:48:03+08:00"),
        ("2024-05-07 17:48:03.123", "2024-05-07T17:48:03.123000+08:00"),
        ("20240507174803", "2024-05-07T17:48:03+08:00"),
        ("20240507174803847", "2024-05-07T17:48:03.847000+08:00"),
        ("1970-01-01T00:00:00+08:00", "1970-01-01T00:00:00+08:00"),
    ],
)
def test_it_is_read(text, expected):
    assert parse_stamp(text, CHINA).isoformat() == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30T00:00:00", "20240230000000", "202405071748", "1969-12-31", "2100-01-01", "0001-01-01T00:00:00+14:00", "1" * 500]
)  # fmt: skip
def test_it_is_refused(text):
    with pytest.raises(FrameInvalid):
        parse_stamp(text, CHINA)


def test_zones_may_lie_behind():
    assert zone_of("-03:30").utcoffset(None).total_seconds() == -12_600


@given(st.text(max_size=60))
def test_no_text_breaks_it(text):
    with contextlib.suppress(FrameInvalid):
        assert parse_stamp(text, CHINA).tzinfo is not None
