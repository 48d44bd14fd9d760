import asyncio
import contextlib

import pytest

from simulators.faults import Badness, MqttProxy

_PUBACK = b"\x40\x02"


def _publish(topic, payload, number=0):
    """MQTT 3.1.1, section 3.3: type and QoS, remaining length, topic, packet id at QoS 1, payload."""
    rest = len(topic).to_bytes(2) + topic + (number.to_bytes(2) if number else b"") + payload
    length = bytes([len(rest)]) if len(rest) < 128 else bytes([len(rest) & 0x7F | 0x80, len(rest) >> 7])
    return bytes([0x32 if number else 0x30]) + length + rest


class Ends:
    """A client and a broker without a mind, the proxy between them."""

    def __init__(self, proxy, client, broker):
        self.proxy = proxy
        self.client_reads, self.client = client
        self.broker_reads, self.broker = broker


@contextlib.asynccontextmanager
async def _between(**options):
    came = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def broker(reader, writer):
        came.set_result((reader, writer))
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, MqttProxy("127.0.0.1", port, **options).serve() as proxy:
        client = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield Ends(proxy, client, await came)
        client[1].close()
        ended.set()


async def _read(reader, size):
    async with asyncio.timeout(5):
        return await reader.readexactly(size)


UP, ACK, OTHER = b"gf/v1/a.b/up/vital", b"gf/v1/a.b/ack", b"gf/v1/a.b/presence"
_LOSE, _DOUBLE, _SWAP = Badness(lose=1), Badness(double=1), Badness(swap=1)


async def test_what_is_not_told_to_be_bad_passes_both_ways_even_in_pieces():
    async with _between(badness=_LOSE) as ends:
        sent = b"\xc0\x00" + _publish(OTHER, b"x" * 300, 1) + _publish(ACK, b"y")
        for byte in sent:
            ends.client.write(bytes([byte]))
            await ends.client.drain()
        assert await _read(ends.broker_reads, len(sent)) == sent
        ends.broker.write(sent)
        assert await _read(ends.client_reads, len(sent)) == sent
        assert ends.proxy.tally.lost == 0


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("topic", [UP, ACK])
async def test_lost_at_qos_1_is_acknowledged_in_the_receivers_name(topic, up):
    async with _between(badness=_LOSE, acks=_LOSE) as ends:
        near, near_reads, far_reads = (
            (ends.client, ends.client_reads, ends.broker_reads)
            if up
            else (ends.broker, ends.broker_reads, ends.client_reads)
        )
        near.write(_publish(topic, b"x", 0x1234) + b"\xd0\x00")
        assert await _read(near_reads, 4) == _PUBACK + b"\x12\x34"
        assert await _read(far_reads, 2) == b"\xd0\x00"
        assert ends.proxy.tally.lost == 1


async def test_lost_at_qos_0_is_just_gone():
    async with _between(acks=_LOSE) as ends:
        ends.client.write(_publish(ACK, b"x") + b"\xc0\x00")
        assert await _read(ends.broker_reads, 2) == b"\xc0\x00"
        ends.broker.write(b"\xd0\x00")
        assert await _read(ends.client_reads, 2) == b"\xd0\x00"


async def test_who_waits_for_a_batch_hears_of_it_though_it_is_lost():
    async with _between(badness=_LOSE) as ends:
        waiting = asyncio.create_task(ends.proxy.next_batch())
        ends.client.write(_publish(ACK, b"x") + b"\xc0\x00")
        await _read(ends.broker_reads, len(_publish(ACK, b"x")) + 2)
        assert not waiting.done()
        ends.client.write(_publish(UP, b"x", 1))
        async with asyncio.timeout(5):
            await waiting


async def test_doubled_comes_twice():
    async with _between(badness=_DOUBLE) as ends:
        packet = _publish(UP, b"x", 7)
        ends.client.write(packet)
        assert await _read(ends.broker_reads, 2 * len(packet)) == packet + packet


async def test_swapped_comes_after_the_next():
    async with _between(badness=_SWAP) as ends:
        first, second = _publish(UP, b"first", 1), _publish(UP, b"second", 2)
        ends.client.write(first)
        assert await _read(ends.client_reads, 4) == _PUBACK + b"\x00\x01"
        ends.proxy.badness = Badness()
        ends.client.write(second)
        assert await _read(ends.broker_reads, len(first + second)) == second + first


async def test_swapped_with_nothing_behind_it_comes_late():
    async with _between(badness=_SWAP) as ends:
        packet = _publish(UP, b"x", 1)
        ends.client.write(packet)
        assert await _read(ends.broker_reads, len(packet)) == packet


async def test_a_cut_ends_both_connections_and_down_lets_nobody_in():
    async with _between() as ends:
        ends.proxy.take_down()
        for reader in (ends.client_reads, ends.broker_reads):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read(1) == b""
        with contextlib.suppress(ConnectionResetError):
            reader, writer = await asyncio.open_connection("127.0.0.1", ends.proxy.port)
            assert await reader.read(1) == b""
            writer.close()
        assert ends.proxy.tally.cuts == 1
