import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from edge.live.rtsp_wire import MAX_BODY, MAX_HEAD, Interleaved, Response, RtspReader, request

# RFC 2326, 10.2 (DESCRIBE), 10.12 (embedded binary data), 14.1: answers as the standard prints them.
DESCRIBED = (
    b"RTSP/1.0 200 OK\r\nCSeq: 312\r\nDate: 23 Jan 1997 15:35:06 GMT\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: 10\r\n\r\nv=0\r\no=a\r\n"
)
PLAYING = (
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 12345678\r\nDate: 05 Jun 1997 18:59:15 GMT\r\n\r\n"
    b"$\x00\x00\x03abc$\x01\x00\x02de"
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 302\r\nWWW-Authenticate: Digest realm="a"\r\nwww-authenticate: Basic realm="a"\r\n\r\n'
)
ANNOUNCE = b"ANNOUNCE rtsp://foo/twister RTSP/1.0\r\nCSeq: 312\r\nContent-Length: 3\r\n\r\nv=0$\x00\x00\x01x"


def cuts(data):
    return ([data], [data[at : at + 1] for at in range(len(data))], [data[:7], data[7:40], data[40:]])


def read(parts):
    reader = RtspReader()
    found = [one for part in parts for one in reader.receive(part)]
    assert reader.held_bytes == 0
    return found


@pytest.mark.parametrize("cut", range(3))
def test_answers_and_frames_are_told_apart_however_they_are_cut(cut):
    (described,) = read(cuts(DESCRIBED)[cut])
    assert (described.status, described.header("cseq"), described.body) == (200, "312", b"v=0\r\no=a\r\n")
    playing, first, second, refused = read(cuts(PLAYING)[cut])
    assert isinstance(playing, Response)
    assert (first, second) == (Interleaved(0, b"abc"), Interleaved(1, b"de"))
    assert refused.status == 401
    assert refused.every("www-authenticate") == ('Digest realm="a"', 'Basic realm="a"')
    assert read(cuts(ANNOUNCE)[cut]) == [Interleaved(0, b"x")]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "no RTSP"),
        (b"\xff\xd8\xff\xe0 a picture", "neither"),
        (b"RTSP/1.0 abc\r\n\r\n", "no status"),
        (b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n", "no header"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), "a body of more"),
        (b"RTSP/1.0 200 OK\r\n" + b"a: b\r\n" * MAX_HEAD, "a head of more"),
    ],
)
def test_what_cannot_be_rtsp_is_refused(data, match):
    with pytest.raises(FrameInvalid, match=match):
        RtspReader().receive(data)


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_no_bytes_do_more_than_refuse_and_what_is_held_is_bounded(parts):
    reader = RtspReader()
    try:
        for part in parts:
            reader.receive(part)
            assert reader.held_bytes <= MAX_HEAD + MAX_BODY + 0x10004
    except FrameInvalid:
        pass


def test_a_request_cannot_be_split_by_what_stands_in_it():
    assert request("PLAY", "rtsp://a/b", (("CSeq", "1"),)) == b"PLAY rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    with pytest.raises(FrameInvalid):
        request("PLAY", "rtsp://a/b\r\nX: y", ())
