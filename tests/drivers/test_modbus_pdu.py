"""PDUs: limits, shapes, and what cannot be built or read."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, DeviceRefused, FrameInvalid
from drivers.base import Poll, Space, Write
from drivers.modbus_pdu import (
    BitsRead,
    Read,
    ReadWrite,
    Refusal,
    RegistersRead,
    Request,
    Response,
    WriteMany,
    WriteOne,
    Written,
    answer_size,
    pack_bits,
    parse_request,
    parse_response,
    poll_request,
    read_answer,
    request_size,
    response_size,
    unpack_bits,
    write_request,
)
from drivers.modbus_values import Kind, Order, registers_of, value_of

U16 = st.integers(0, 0xFFFF)
BIT = st.integers(0, 1)
LOW = st.integers(0, 0xFFFF - 2000)
REQUESTS = st.one_of(
    st.builds(Read, st.sampled_from([1, 2]), LOW, st.integers(1, 2000)),
    st.builds(Read, st.sampled_from([3, 4]), LOW, st.integers(1, 125)),
    st.builds(WriteOne, st.sampled_from([5, 6]), U16, U16),
    st.builds(WriteMany, st.just(15), LOW, st.lists(BIT, min_size=1, max_size=1968).map(tuple)),
    st.builds(WriteMany, st.just(16), LOW, st.lists(U16, min_size=1, max_size=123).map(tuple)),
    st.builds(ReadWrite, LOW, st.integers(1, 125), LOW, st.lists(U16, min_size=1, max_size=121).map(tuple)),
)
RESPONSES = st.one_of(
    st.builds(BitsRead, st.sampled_from([1, 2]), st.integers(1, 250).map(lambda n: (0, 1) * 4 * n)),
    st.builds(RegistersRead, st.sampled_from([3, 4, 23]), st.lists(U16, min_size=1, max_size=125).map(tuple)),
    st.builds(Written, st.just(16), LOW, st.integers(1, 123)),
    st.builds(Refusal, st.sampled_from([1, 6, 23]), st.integers(1, 255)),
)


@given(REQUESTS)
def test_a_request_is_read_as_it_was_built(request: Request) -> None:
    pdu = request.encode()
    assert parse_request(pdu) == request
    assert request_size(pdu[:10]) == len(pdu) <= 253


@given(RESPONSES)
def test_an_answer_is_read_as_it_was_built(response: Response) -> None:
    pdu = response.encode()
    assert parse_response(pdu) == response
    assert response_size(pdu[:2]) == len(pdu) <= 253


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(pdu: bytes) -> None:
    for parse in (parse_request, parse_response):
        with suppress(FrameInvalid):
            assert parse(pdu).encode()[:1] == pdu[:1]


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Read, (1, 0, 2001)),
        (Read, (2, 0, 0)),
        (Read, (3, 0, 126)),
        (Read, (4, 0xFFFF, 2)),
        (Read, (5, 0, 1)),
        (Read, (23, 0, 1)),
        (WriteOne, (6, 0, 0x10000)),
        (WriteOne, (16, 0, 1)),
        (WriteMany, (15, 0, (0,) * 1969)),
        (WriteMany, (16, 0, (0,) * 124)),
        (WriteMany, (16, 0, ())),
        (WriteMany, (23, 0, (1,))),
        (WriteMany, (16, 0, (-1,))),
        (ReadWrite, (0, 126, 0, (1,))),
        (ReadWrite, (0, 1, 0, (1,) * 122)),
        (RegistersRead, (3, (0,) * 126)),
        (RegistersRead, (1, (0,))),
        (BitsRead, (2, ())),
        (Refusal, (3, 0)),
        (Written, (16, 0, 124)),
    ],
)
def test_what_passes_the_limits_cannot_be_built(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(FrameInvalid):
        make(*arguments)


@pytest.mark.parametrize(
    ("pdu", "text"),
    [
        ("", "0 bytes do not tell its size"),
        ("03006b", "short frame: function 3 has 5 bytes, 3 came"),
        ("03006b000300", "long frame"),
        ("03006b0000", "count 0 is not 1..125"),
        ("10000100020300aabb", "byte count 3 does not fit the count, which needs 4"),
        ("0f000000090101", "byte count 1 does not fit the count, which needs 2"),
        ("07", "function 7 is not one that is spoken here"),
        ("1000010002ff", "261 bytes pass the 253"),
    ],
)
def test_a_bad_request_is_refused_with_what_is_wrong(pdu: str, text: str) -> None:
    with pytest.raises(FrameInvalid, match=text):
        parse_request(bytes.fromhex(pdu))


def test_an_answer_must_fit_its_request() -> None:
    asked = Read(3, 0, 2)
    assert read_answer(asked, bytes.fromhex("030400010002")) == (1, 2)
    assert answer_size(asked) == 6
    for pdu in ("03020001", "040400010002", "0304000100", "8402"):
        with pytest.raises(FrameInvalid):
            read_answer(asked, bytes.fromhex(pdu))
    with pytest.raises(DeviceRefused, match="exception 2, illegal data address"):
        read_answer(asked, bytes.fromhex("8302"))


def test_the_echo_of_a_write_must_be_the_same() -> None:
    asked = WriteOne(6, 1, 3)
    assert read_answer(asked, bytes.fromhex("0600010003")) == ()
    with pytest.raises(FrameInvalid):
        read_answer(asked, bytes.fromhex("0600010004"))


def test_polls_and_writes_become_requests_or_are_our_mistake() -> None:
    assert poll_request(Poll("a", Space.DISCRETE, 5, 16, 100)) == Read(2, 5, 16)
    assert write_request(Write(5, 0x0201, (7,))) == WriteOne(5, 0x0201, 7)
    assert write_request(Write(15, 0, (1, 0, 1))) == WriteMany(15, 0, (1, 0, 1))
    with pytest.raises(ConfigInvalid, match="poll 'a': count 126"):
        poll_request(Poll("a", Space.HOLDING, 0, 126, 100))
    with pytest.raises(ConfigInvalid, match="write to 9"):
        write_request(Write(5, 9, (1, 2)))


@given(st.lists(BIT, min_size=1, max_size=64))
def test_bits_survive_packing(bits: list[int]) -> None:
    assert list(unpack_bits(pack_bits(bits), len(bits))) == bits


@given(st.sampled_from(Kind), st.sampled_from(Order), st.integers(0, 0x7FFF))
def test_a_value_survives_its_registers(kind: Kind, order: Order, value: int) -> None:
    assert value_of(registers_of(value, kind, order), kind, order) == value


def test_values_that_do_not_fit_are_refused() -> None:
    assert value_of((0xFFFF,), Kind.I16) == -1
    assert value_of((0x0100,), Kind.U16, Order.BADC) == 1
    with pytest.raises(FrameInvalid, match="f32 takes 2 registers, not 1"):
        value_of((1,), Kind.F32)
    with pytest.raises(FrameInvalid, match="does not fit u16"):
        registers_of(-1, Kind.U16)
