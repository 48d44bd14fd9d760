"""Pictures by their first bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.pictures import is_picture, picture

# ITU-T T.81: SOI, APP0 of 4 bytes, DHT of 2, SOF of 11 bytes with precision 8, height 360, width 640
SOF0 = "ffc0000b080168028001012200"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 360)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (bytes.fromhex("ffd8ffe00004aabb" + SOF0 + "ffd9"), (640, 360)),
        (bytes.fromhex("ffd8ffc40002" + SOF0 + "ffd9"), (640, 360)),
        (bytes.fromhex("ffd8ffff" + SOF0[2:] + "ffd9"), (640, 360)),
        (bytes.fromhex("ffd8ffc2000b080168028001012200"), (640, 360)),
        (bytes.fromhex("ffd8ffda0002" + SOF0), (None, None)),
        (bytes.fromhex("ffd8ffc0000b080000028001012200"), (None, None)),
        (bytes.fromhex("ffd8ffe0"), (None, None)),
        (bytes.fromhex("ffd8ffe0ffff"), (None, None)),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1000 + bytes.fromhex(SOF0), (None, None)),
        (PNG, (640, 360)),
        (PNG[:20], (None, None)),
    ],
)
def test_its_size_is_told_where_its_head_tells(data, size):
    image = picture("scene", data)
    assert (image.width, image.height) == size
    assert image.data == data


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", b"<svg/>", b"\x89PNG"])
def test_what_is_none_is_refused(data):
    assert not is_picture(data)
    with pytest.raises(FrameInvalid):
        picture("scene", data)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data):
    assert picture("plate", b"\xff\xd8\xff" + data).media_type == "image/jpeg"
    assert picture("plate", b"\x89PNG\r\n\x1a\n" + data).media_type == "image/png"
