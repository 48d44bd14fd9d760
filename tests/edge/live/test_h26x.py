"""Packets to pictures: RFC 6184 and RFC 7798, whole and with gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from edge.live.h26x import CODECS, MAX_UNIT, START, Depacketizer, Rtp, read_rtp
from simulators.rtsp import packetized, pictures

SPS, PPS, KEY, NEXT = b"\x67sps", b"\x68pps", b"\x65key picture", b"\x41next"


def rtp(sequence, time, payload, *, marker=False):
    return Rtp(marker, 96, sequence & 0xFFFF, time & 0xFFFFFFFF, payload)


def annexb(*units):
    return b"".join(START + unit for unit in units)


def run(packets, codec="H264", parameters=()):
    reader = Depacketizer(CODECS[codec], parameters)
    return [unit for packet in packets for unit in reader.receive(packet)], reader


def test_every_byte_of_a_coded_stream_comes_through_over_the_end_of_both_counters():
    ring, packets, sequence = pictures(), [], 0xFFF0
    for number, units in enumerate(ring):
        for marker, payload in packetized(units):
            packets.append(rtp(sequence, 0xFFFFF000 + number * 6000, payload, marker=marker))
            sequence += 1
    found, reader = run(packets)
    assert [unit.data for unit in found] == [annexb(*units) for units in ring]
    assert [unit.time for unit in found] == [number * 6000 for number in range(len(ring))]
    assert [number for number, unit in enumerate(found) if unit.key] == [0, 15, 30, 45]
    assert (reader.lost, reader.rejected) == (0, 0)


def test_an_aggregation_and_fragments_are_taken_apart_and_put_together():
    both = b"\x78" + b"".join(len(unit).to_bytes(2) + unit for unit in (SPS, PPS))
    fragments = [b"\x7c\x85key ", b"\x7c\x05pic", b"\x7c\x45ture"]
    packets = [rtp(0, 0, both), *(rtp(1 + n, 0, one, marker=n == 2) for n, one in enumerate(fragments))]
    (unit,), _ = run(packets)
    assert (unit.key, unit.data) == (True, annexb(SPS, PPS, KEY))


def test_h265_has_its_own_numbers():
    vps, sps, pps, idr = b"\x40\x01v", b"\x42\x01s", b"\x44\x01p", b"\x26\x01picture"
    both = b"\x60\x01" + b"".join(len(unit).to_bytes(2) + unit for unit in (vps, sps, pps))
    fragments = [b"\x62\x01\x93pic", b"\x62\x01\x53ture"]
    packets = [rtp(0, 0, both), rtp(1, 0, fragments[0]), rtp(2, 0, fragments[1], marker=True)]
    (unit,), _ = run(packets, "H265")
    assert (unit.key, unit.data) == (True, annexb(vps, sps, pps, idr))


def test_parameter_sets_of_the_description_stand_before_each_key_picture_that_lacks_them():
    packets = [rtp(0, 0, KEY, marker=True), rtp(1, 10, NEXT, marker=True), rtp(2, 20, KEY, marker=True)]
    found, _ = run(packets, parameters=(SPS, PPS, b"\xe9none of ours"))
    assert [unit.data for unit in found] == [annexb(SPS, PPS, KEY), annexb(NEXT), annexb(SPS, PPS, KEY)]


def test_after_a_gap_nothing_comes_until_the_next_key_picture():
    packets = [rtp(0, 0, KEY, marker=True), rtp(2, 10, NEXT, marker=True), rtp(3, 20, NEXT, marker=True)]
    packets += [rtp(4, 30, KEY, marker=True), rtp(5, 40, NEXT, marker=True)]
    found, reader = run(packets)
    assert [(unit.time, unit.key) for unit in found] == [(0, True), (30, True), (40, False)]
    assert reader.lost == 1


def test_what_comes_before_the_first_key_picture_is_left_out():
    found, _ = run([rtp(0, 0, NEXT, marker=True), rtp(1, 9, KEY, marker=True)])
    assert [unit.key for unit in found] == [True]


def test_a_picture_whose_end_is_not_marked_ends_where_the_next_begins():
    found, _ = run([rtp(0, 0, KEY), rtp(1, 9, NEXT), rtp(2, 18, NEXT)])
    assert [unit.data for unit in found] == [annexb(KEY), annexb(NEXT)]


def test_a_marker_after_parameter_sets_does_not_end_the_picture():
    found, _ = run([rtp(0, 0, SPS, marker=True), rtp(1, 0, PPS, marker=True), rtp(2, 0, KEY, marker=True)])
    assert [unit.data for unit in found] == [annexb(SPS, PPS, KEY)]


@pytest.mark.parametrize(
    "bad",
    [b"", b"\x78\x00\x09ab", b"\x7c\x05no start", b"\x7c", b"\x79mtap", b"\x00zero"],
    ids=["empty", "aggregation cut off", "fragment without a beginning", "half a head", "type 25", "type 0"],
)
def test_a_bad_payload_costs_its_picture_and_no_more(bad):
    found, reader = run([rtp(0, 0, bad, marker=True), rtp(1, 5, KEY, marker=True)])
    assert [unit.data for unit in found] == [annexb(KEY)]
    assert reader.rejected == 1


@pytest.mark.parametrize(
    ("first", "part"),
    [(b"\x7c\x85x", b"\x7c\x05" + bytes(60_000)), (KEY, b"\x65" + bytes(60_000))],
    ids=["one unit without end", "units without end"],
)
def test_a_picture_without_end_is_dropped_at_its_cap(first, part):
    packets = [rtp(0, 0, first)] + [rtp(n, 0, part) for n in range(1, MAX_UNIT // 60_000 + 20)]
    reader = Depacketizer(CODECS["H264"])
    for packet in packets:
        assert reader.receive(packet) == []
        assert len(reader._part or b"") + reader._size <= MAX_UNIT
    assert reader.rejected == 1
    assert reader.receive(rtp(len(packets), 9, KEY, marker=True))


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        ("80e0 0001 00000002 00000003 aabb", "aabb"),
        ("81e0 0001 00000002 00000003 00000009 aabb", "aabb"),
        ("90e0 0001 00000002 00000003 bede0001 01020304 aabb", "aabb"),
        ("a0e0 0001 00000002 00000003 aabb 000003", "aabb"),
        ("80e0 0001 00000002 00000003", ""),
    ],
    ids=["plain", "a source", "an extension", "padding", "nothing"],
)
def test_rtp_heads(data, payload):
    packet = read_rtp(bytes.fromhex(data))
    assert (packet.marker, packet.payload_type, packet.sequence, packet.time) == (True, 96, 1, 2)
    assert packet.payload.hex() == payload


@pytest.mark.parametrize(
    "data", ["", "80e0", "40" + "00" * 11, "8f" + "00" * 11, "90" + "00" * 12, "a0" + "00" * 11 + "ff"]
)
def test_what_is_no_rtp_packet_is_refused(data):
    with pytest.raises(FrameInvalid):
        read_rtp(bytes.fromhex(data))


PAYLOADS = st.one_of(
    st.binary(max_size=40), st.sampled_from([SPS, KEY, NEXT, b"\x7c\x85a", b"\x7c\x05b", b"\x7c\x45c"])
)


@pytest.mark.parametrize("codec", CODECS)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), PAYLOADS, st.booleans()), max_size=40))
def test_no_packets_break_it_and_the_next_good_picture_comes(codec, told):
    key = {"H264": KEY, "H265": b"\x26\x01picture"}[codec]
    reader, sequence = Depacketizer(CODECS[codec]), 0
    for skip, time, payload, marker in told:
        sequence += skip
        reader.receive(rtp(sequence, time, payload, marker=marker))
    found = reader.receive(rtp(sequence + 1, 1_000_000, key, marker=True))
    assert found[-1].key
    assert found[-1].data.endswith(key)


def test_of_a_picture_that_lost_its_first_part_nothing_is_given():
    packets = [rtp(0, 0, KEY, marker=True), rtp(2, 10, b"\x65second slice", marker=True), rtp(3, 20, KEY, marker=True)]
    found, _ = run(packets)
    assert [unit.time for unit in found] == [0, 20]
