"""The simulated server against clients that are not ours: pymodbus and mbpoll (libmodbus)."""

import asyncio
import re
import shutil
import socket
from collections.abc import Sequence

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from drivers.base import Space
from drivers.modbus_framing import Adu, rtu_frame, tcp_frame
from simulators.modbus import Bank, Line, Server, block, serve_pty, serve_tcp

CAPTURED = Bank(  # the tables of the captures in the vectors: regs[i] = 3 i, inputs[i] = 1000 + i
    coils=block(0, [int(place % 3 == 1) for place in range(200)]),
    discretes=block(0, [place % 2 for place in range(200)]),
    holdings=block(0, [3 * place for place in range(600)]),
    inputs=block(0, [1000 + place for place in range(100)]),
)


def a_bank() -> Bank:
    return Bank(coils=block(0, [0] * 16), holdings=block(0, range(20)), inputs=block(0, [5]), discretes=block(0, [1]))


async def exercise(client: AsyncModbusTcpClient | AsyncModbusSerialClient, bank: Bank) -> None:
    assert await client.connect()
    try:
        read = await client.read_holding_registers(2, count=3, device_id=3)
        assert read.registers == [2, 3, 4]
        assert (await client.read_input_registers(0, count=1, device_id=3)).registers == [5]
        assert (await client.read_discrete_inputs(0, count=1, device_id=3)).bits[0]
        await client.write_coil(1, True, device_id=3)
        await client.write_coils(4, [True, False, True], device_id=3)
        await client.write_register(7, 777, device_id=3)
        await client.write_registers(8, [1, 2], device_id=3)
        both = await client.readwrite_registers(read_address=7, read_count=3, write_address=9, values=[9], device_id=3)
        assert both.registers == [777, 1, 9]
        assert (await client.read_coils(0, count=8, device_id=3)).bits == [
            False,
            True,
            False,
            False,
            True,
            False,
            True,
            False,
        ]
        assert (await client.read_holding_registers(19, count=2, device_id=3)).exception_code == 2
        assert (await client.read_exception_status(device_id=3)).exception_code == 1
    finally:
        client.close()
    assert bank.holdings[7] == 777


async def test_pymodbus_talks_to_it_by_tcp() -> None:
    async with serve_tcp({3: (bank := a_bank())}) as server:
        await exercise(AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0), bank)


async def test_pymodbus_talks_to_it_by_rtu() -> None:
    async with serve_pty({3: (bank := a_bank())}) as server:
        path = server.url.removeprefix("modbus+rtu://").split("?")[0]
        await exercise(AsyncModbusSerialClient(path, baudrate=115200, timeout=2, retries=0), bank)


async def mbpoll(*arguments: str) -> str:
    program = shutil.which("mbpoll")
    if program is None:
        pytest.skip("mbpoll is not installed")
    process = await asyncio.create_subprocess_exec(
        program, *arguments, "-1", "-0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 10)
    return output.decode()


def values_of(output: str) -> list[int]:
    return [int(value) for value in re.findall(r"^\[\d+\]:\s+(\d+)", output, re.MULTILINE)]


MBPOLL_READS: list[tuple[Sequence[str], list[int]]] = [
    (["-t", "4", "-r", "107", "-c", "3"], [321, 324, 327]),
    (["-t", "3", "-r", "8", "-c", "2"], [1008, 1009]),
    (["-t", "0", "-r", "0", "-c", "4"], [0, 1, 0, 0]),
    (["-t", "1", "-r", "1", "-c", "3"], [1, 0, 1]),
    (["-t", "4", "-r", "0", "-c", "125"], [3 * place for place in range(125)]),
]


@pytest.mark.real
@pytest.mark.parametrize(("arguments", "values"), MBPOLL_READS)
async def test_mbpoll_reads_by_tcp(arguments: Sequence[str], values: list[int]) -> None:
    async with serve_tcp({17: CAPTURED}) as server:
        output = await mbpoll("-m", "tcp", "-p", str(server.port), "-a", "17", *arguments, "127.0.0.1")
    assert values_of(output) == values, output


@pytest.mark.real
@pytest.mark.parametrize(("arguments", "values"), MBPOLL_READS)
async def test_mbpoll_reads_by_rtu(arguments: Sequence[str], values: list[int]) -> None:
    async with serve_pty({17: CAPTURED}) as server:
        path = server.url.removeprefix("modbus+rtu://").split("?")[0]
        output = await mbpoll("-m", "rtu", "-b", "9600", "-P", "none", "-a", "17", *arguments, path)
    assert values_of(output) == values, output


@pytest.mark.real
async def test_mbpoll_writes_and_is_refused() -> None:
    async with serve_tcp({1: (bank := a_bank())}) as server:
        to = ["-m", "tcp", "-p", str(server.port), "-a", "1"]
        assert "Written 2 references." in await mbpoll(*to, "-t", "4", "-r", "5", "127.0.0.1", "10", "258")
        assert "Written 1 references." in await mbpoll(*to, "-t", "0", "-r", "2", "127.0.0.1", "1")
        assert "Illegal data address" in await mbpoll(*to, "-t", "4", "-r", "900", "127.0.0.1")
    assert (bank.holdings[5], bank.holdings[6], bank.coils[2]) == (10, 258, 1)


def test_a_vendors_flash_reaches_the_hook_and_is_echoed() -> None:
    """Waveshare: function 5 at 0x0200 + relay switches on for so many tenths of a second."""
    seen: list[tuple[int, int, tuple[int, ...]]] = []
    bank = Bank(coils=block(0, [0] * 8), on_write=lambda *write: seen.append(write))
    request = bytes.fromhex("0502030007")
    assert Server({1: bank}).respond(Adu(1, request)) == request
    assert seen == [(5, 0x0203, (7,))]
    assert bank.coils == block(0, [0] * 8)


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        ("0502030007", "8502"),  # no such coil
        ("0500010007", "8503"),  # no such value
        ("0300640001", "8302"),
        ("0300000000", "8303"),
        ("030000007e", "8303"),
        ("100000000102", "9003"),
        ("0600130001", "0600130001"),
        ("0600140001", "8602"),
        ("2b0e0100", "ab01"),
    ],
)
def test_without_a_hook_what_is_not_there_is_refused(request_pdu: str, answer: str) -> None:
    reply = Server({1: a_bank()}).respond(Adu(1, bytes.fromhex(request_pdu)))
    assert reply is not None
    assert reply.hex() == answer


def test_a_bank_may_be_brought_up_to_date_before_it_is_read() -> None:
    bank = Bank(inputs={0: 0})

    def count(space: Space, address: int, _count: int) -> None:
        assert space is Space.INPUT
        bank.inputs[address] += 1

    bank.before_read = count
    server = Server({1: bank})
    assert [server.respond(Adu(1, bytes.fromhex("0400000001"))) for _ in range(2)] == [
        bytes.fromhex("04020001"),
        bytes.fromhex("04020002"),
    ]


def test_an_answer_takes_the_time_of_its_line() -> None:
    async def scenario() -> float:
        server, done = Server({1: a_bank()}, record=True), asyncio.Event()
        line, sent = Line(server, rtu=True, baud=9600), bytearray()
        line.open(lambda data: (sent.extend(data), len(sent) == 45 and done.set()), lambda: None)
        begun = asyncio.get_running_loop().time()
        line.data_received(rtu_frame(1, bytes.fromhex("0300000014")))
        await asyncio.wait_for(done.wait(), 2)
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(scenario()) >= 32 * 10 / 9600


async def test_two_clients_and_hostile_bytes_do_not_disturb_each_other() -> None:
    async with serve_tcp({1: a_bank()}) as server:
        for noise in (b"\xff" * 500, b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00\xff\xff\x01\x03", b""):
            with socket.create_connection(("127.0.0.1", server.port)) as hostile:
                hostile.sendall(noise)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(tcp_frame(5, 1, bytes.fromhex("0300020001")))
            assert await asyncio.wait_for(reader.readexactly(11), 2) == tcp_frame(5, 1, bytes.fromhex("03020002"))
            writer.close()
            await writer.wait_closed()
    assert server.refused_frames > 0
