"""Registers of every type and order -> numbers; points -> polls; doubts."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pymodbus.client.mixin import ModbusClientMixin as Pymodbus

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.base import Space
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.modbus_observer import PointObserver
from drivers.modbus_points import PointDoubtful, PointMap, PointTrusted, Type, grouped, raw_of
from drivers.modbus_values import Order
from simulators.instrument import registers_for

RAW = [  # by hand: the big-endian bytes of the value, then their order on the wire
    ("u16", "ABCD", [0x1234], 0x1234),
    ("u16", "BADC", [0x3412], 0x1234),
    ("i16", "ABCD", [0xFF33], -205),  # the XY-MD02 manual's own example
    ("u32", "ABCD", [0x1234, 0x5678], 0x12345678),
    ("u32", "CDAB", [0x5678, 0x1234], 0x12345678),
    ("u32", "BADC", [0x3412, 0x7856], 0x12345678),
    ("u32", "DCBA", [0x7856, 0x3412], 0x12345678),
    ("i32", "CDAB", [0xFFFE, 0xFFFF], -2),
    ("f32", "ABCD", [0x47F1, 0x2000], 123456.0),
    ("f32", "CDAB", [0x2000, 0x47F1], 123456.0),
    ("u64", "ABCD", [0x0002, 0x0304, 0x0506, 0x0708], 0x0002030405060708),
    ("u64", "CDAB", [0x0708, 0x0506, 0x0304, 0x0002], 0x0002030405060708),
    ("u64", "BADC", [0x0200, 0x0403, 0x0605, 0x0807], 0x0002030405060708),
    ("u64", "DCBA", [0x0807, 0x0605, 0x0403, 0x0200], 0x0002030405060708),
    ("f64", "ABCD", [0x40FE, 0x2400, 0x0000, 0x0000], 123456.0),
    ("f64", "CDAB", [0x0000, 0x0000, 0x2400, 0x40FE], 123456.0),
    ("bcd", "ABCD", [0x0987], 987),
    ("bcd32", "ABCD", [0x1234, 0x5678], 12345678),
    ("bcd32", "CDAB", [0x5678, 0x1234], 12345678),
]


@pytest.mark.parametrize(("kind", "order", "registers", "value"), RAW)
def test_registers_of_every_type_and_order(kind, order, registers, value):
    assert raw_of(registers, Type(kind), Order(order)) == value


@pytest.mark.parametrize(("kind", "order", "registers", "value"), RAW)
def test_the_simulator_shows_what_is_read(kind, order, registers, value):
    (point,) = layout({"name": "x_m", "type": kind, "order": order}).point
    assert list(registers_for(point, value)) == registers


@given(st.floats(allow_nan=False), st.integers(0, 2**64 - 1))
def test_wide_values_are_read_as_pymodbus_writes_them(number, whole):
    for words, order in (("big", Order.ABCD), ("little", Order.CDAB)):
        doubles = Pymodbus.convert_to_registers(number, Pymodbus.DATATYPE.FLOAT64, word_order=words)
        assert raw_of(doubles, Type.F64, order) == number
        wholes = Pymodbus.convert_to_registers(whole, Pymodbus.DATATYPE.UINT64, word_order=words)
        assert raw_of(wholes, Type.U64, order) == whole


def layout(*points, signals=(), texts=(), **more):
    base = {"space": "input", "address": 0}
    return PointMap(
        point=[base | point for point in points],
        signal=[base | signal for signal in signals],
        text=[base | text for text in texts],
        **more,
    )


def polls(made):
    return [(group.poll.space.value, group.poll.address, group.poll.count) for group in grouped(made)]


def at(address, **more):
    return {"name": f"p{address}_m", "address": address} | more


@pytest.mark.parametrize(
    ("points", "more", "expected"),
    [
        ([at(0), at(1), at(2)], {}, [("input", 0, 3)]),
        ([at(2, type="f32"), at(0, type="f32")], {}, [("input", 0, 4)]),
        ([at(0), at(9)], {}, [("input", 0, 10)]),
        ([at(0), at(10)], {}, [("input", 0, 1), ("input", 10, 1)]),
        ([at(0), at(2)], {"max_gap": 0}, [("input", 0, 1), ("input", 2, 1)]),
        ([at(0), at(1, space="holding")], {}, [("holding", 1, 1), ("input", 0, 1)]),
        ([at(0), at(1, interval_ms=5000)], {}, [("input", 0, 1), ("input", 1, 1)]),
        ([at(n) for n in range(130)], {}, [("input", 0, 125), ("input", 125, 5)]),
        ([at(n, type="f32") for n in range(0, 130, 2)], {}, [("input", 0, 124), ("input", 124, 6)]),
        ([at(n, type="f64") for n in range(0, 24, 4)], {"max_registers": 10}, [("input", 0, 8), ("input", 8, 8), ("input", 16, 8)]),
    ],
)  # fmt: skip
def test_points_that_stand_together_are_read_together(points, more, expected):
    assert polls(layout(*points, **more)) == expected


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(list(Type))), min_size=1, max_size=60, unique_by=lambda one: one[0]),
       st.integers(4, 125), st.integers(0, 8))  # fmt: skip
def test_every_point_is_read_whole_and_no_poll_is_too_wide(places, most, gap):
    made = layout(*(at(place, type=kind) for place, kind in places), max_registers=most, max_gap=gap)
    groups = grouped(made)
    assert sorted(row.address for group in groups for row in group.rows) == sorted(place for place, _ in places)
    for group in groups:
        assert group.poll.count <= most
        values = list(range(group.poll.address, group.poll.address + group.poll.count))
        assert all(group.cells(row, values) == tuple(range(row.address, row.address + row.words)) for row in group.rows)


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (lambda: layout(), "nothing would be read"),
        (lambda: layout({"name": "level"}), "end with a unit"),
        (lambda: layout(at(0), {"name": "p0_m", "address": 9}), "named twice"),
        (lambda: layout(at(0xFFFF, type="f32")), "beyond address"),
        (lambda: layout(at(0, space="coil")), "space"),
        (lambda: layout(signals=[{"topic": "a", "space": "coil", "bit": 1}]), "no bits"),
        (lambda: layout(at(0, typo=1)), "typo"),
        (lambda: layout(texts=[{"tells": "serial", "length": 8}], max_registers=4), "wider"),
    ],
)
def test_a_map_that_cannot_be_is_refused(made, complaint):
    with pytest.raises(ValidationError, match=complaint):
        made()


def observer(*points, **more):
    return PointObserver(layout(*points, **more), vendor="v", model="m")


def told(device, *blocks):
    """The facts of each block, without the description that comes with the first."""
    (poll,) = device.polls
    return [[fact for fact in device.observe(poll, block) if not isinstance(fact, DeviceDescribed)] for block in blocks]


def test_scale_and_offset():
    device = observer({"name": "t_c", "type": "i16", "scale": 0.1, "offset": -50.0})
    assert told(device, [305], [0xFF33]) == [[Measured({"t_c": -19.5})], [Measured({"t_c": -70.5})]]


@pytest.mark.parametrize(
    ("point", "cells", "why", "raw"),
    [
        ({"type": "i16", "invalid": [0x7FFF, 0x8000]}, [0x8000], "sentinel", "8000"),
        ({"type": "u32", "order": "CDAB", "invalid": [0x7FFFFFFE]}, [0xFFFE, 0x7FFF], "sentinel", "fffe 7fff"),
        ({"type": "f32"}, [0x7FC0, 0], "not_a_number", "7fc0 0000"),
        ({"type": "f32"}, [0x7F80, 0], "not_a_number", "7f80 0000"),
        ({"type": "f64", "scale": 1e300}, [0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF], "not_a_number", "7fef ffff ffff ffff"),
        ({"type": "bcd"}, [0x09A0], "not_bcd", "09a0"),
        ({"min": 1}, [0], "implausible", "0000"),
        ({"max": 100, "scale": 0.1}, [1001], "implausible", "03e9"),
    ],
)
def test_what_cannot_be_trusted_is_doubted_once_and_not_told(point, cells, why, raw):
    good = {"bcd": [5], "u16": [50], "i16": [50], "u32": [50, 0], "f32": [0x3F80, 0], "f64": [0x3FF0, 0, 0, 0]}
    device = observer({"name": "x_m", **point})
    start = good[point.get("type", "u16")]
    told(device, start)
    first, again, well = told(device, cells, cells, start)
    assert first == [PointDoubtful("x_m", why, raw)]
    assert again == []
    assert [type(fact) for fact in well] == [Measured, PointTrusted]


def test_one_doubtful_point_does_not_hide_its_neighbours():
    device = observer(at(0, max=10), at(1))
    assert told(device, [11, 7]) == [[Measured({"p1_m": 7}), PointDoubtful("p0_m", "implausible", "000b")]]


def test_a_jump_is_doubted_and_believed_when_it_is_confirmed():
    device = observer(at(0, max_step=5))
    steps = told(device, [10], [12], [90], [91], [14], [50], [52])
    assert [[fact.readings["p0_m"] for fact in step if isinstance(fact, Measured)] for step in steps] == [
        [10], [12], [], [91], [], [], [52],
    ]  # fmt: skip
    assert [[fact.why for fact in step if isinstance(fact, PointDoubtful)] for step in steps] == [
        [], [], ["jump"], [], ["jump"], [], [],
    ]  # fmt: skip


def test_within_the_deadband_a_value_is_told_every_sixtieth_poll():
    device = observer(at(0, deadband=2.0))
    steps = told(device, [10], *([[11]] * 60), [13])
    assert [number for number, step in enumerate(steps) if step] == [0, 60, 61]


@pytest.mark.parametrize(
    ("signal", "cells", "expected"),
    [
        ({}, [[0], [0], [1], [1], [0]], [False, None, True, None, False]),
        ({"bit": 5}, [[0b011111], [0b100000], [0b111111]], [False, True, None]),
        ({"invert": True}, [[0], [1]], [True, False]),
        ({"on": [2, 3], "off": [0, 1]}, [[1], [3], [2], [0]], [False, True, None, False]),
        ({"space": "discrete"}, [[1], [0]], [True, False]),
    ],
)
def test_a_switch_is_told_at_first_and_when_it_changes(signal, cells, expected):
    device = observer(signals=[{"topic": "leak"} | signal])
    steps = told(device, *cells)
    assert [step[0].on if step else None for step in steps] == expected
    assert [fact.baseline for step in steps for fact in step] == [True] + [False] * (
        sum(on is not None for on in expected) - 1
    )


def test_a_switch_with_a_value_of_neither_is_doubted():
    device = observer(signals=[{"topic": "leak"}])
    assert told(device, [1], [2], [2], [1]) == [
        [DeviceSignal("leak", on=True, baseline=True)],
        [PointDoubtful("leak", "unknown_value", "0002")],
        [],
        [PointTrusted("leak")],
    ]


def test_what_a_device_says_of_itself_is_told_when_it_changes():
    device = observer(texts=[{"tells": "serial", "length": 4}, {"tells": "firmware", "address": 4, "length": 2}])
    (poll,) = device.polls
    registers = list(struct.unpack(">6H", b"AB123   1.2\0"))
    assert device.observe(poll, registers) == (DeviceDescribed("v", "m", firmware="1.2", serial="AB123"),)
    assert device.observe(poll, registers) == ()
    assert device.observe(poll, [0xFFFF, *registers[1:]]) == (
        PointDoubtful("serial", "not_text", "ffff 3132 3320 2020"),
    )


@pytest.mark.parametrize("block", [[], [1, 2]])
def test_a_block_of_another_size_is_refused(block):
    device = observer(at(0))
    with pytest.raises(FrameInvalid, match="input_0"):
        device.observe(device.polls[0], block)


@given(st.lists(st.lists(st.integers(0, 0xFFFF), min_size=16, max_size=16), max_size=6))
def test_no_registers_break_it_and_only_plausible_numbers_are_told(blocks):
    kinds = [(0, "f32"), (2, "f64"), (6, "bcd32"), (8, "u64"), (12, "i32"), (14, "bcd")]
    device = observer(
        *(at(place, type=kind, min=-1e6, max=1e6, max_step=1e5) for place, kind in kinds),
        signals=[{"topic": "s", "address": 15}],
    )
    for step in told(device, *blocks):
        for fact in step:
            fact.as_dict()
            if isinstance(fact, Measured):
                assert all(abs(value) <= 1e6 for value in fact.readings.values())


def test_it_takes_no_commands():
    with pytest.raises(Unsupported):
        observer(at(0)).writes(OpenGate(direction="in"))
    assert observer(at(0)).polls[0].space is Space.INPUT
