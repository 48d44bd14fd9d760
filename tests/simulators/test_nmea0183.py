"""The simulated receiver, read by our codec through real links, and by gpsd."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from drivers.base import Rejected, Reply, Report
from drivers.facts import PositionTaken
from drivers.nmea0183 import DRIVER, NmeaCodec, NmeaMap
from drivers.nmea0183.sentence import parse_sentence
from drivers.profile import read_profile
from simulators.nmea0183 import ReceiverFaults, Track, epoch_sentences, serve_pty_receiver, serve_tcp_receiver

TRACK = Track(seed=3)
CLOSE_DEG = 2e-7  # five decimals of a minute


async def read_tcp(url, codec, wanted, meanwhile):
    """Read positions from a TCP link until enough have come; answers are written back."""
    host, port = url.removeprefix("tcp://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    outputs = []
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            telling = group.create_task(meanwhile())
            while len(positions(outputs)) < wanted and (data := await reader.read(4096)):
                for output in codec.receive(data):
                    outputs.append(output)
                    if isinstance(output, Reply):
                        writer.write(output.data)
            telling.cancel()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return outputs


def positions(outputs):
    return [output.fact for output in outputs if isinstance(output, Report) and isinstance(output.fact, PositionTaken)]


def assert_on_track(found, told):
    truth = {place.at: place for place in told}
    assert found
    for fact in found:
        place = truth[fact.taken_at]
        assert fact.latitude_deg == pytest.approx(place.latitude_deg, abs=CLOSE_DEG)
        assert fact.longitude_deg == pytest.approx(place.longitude_deg, abs=CLOSE_DEG)
        assert fact.speed_kmh == pytest.approx(place.speed_kmh, abs=0.01)


@pytest.mark.parametrize("slow", [False, True])
async def test_by_tcp_each_second_of_the_track_is_one_position(slow):
    async with serve_tcp_receiver(TRACK) as receiver:
        receiver.faults.slow = slow

        async def drive():
            await receiver.wait_connected()
            for _ in range(4):
                await receiver.tell()

        found = positions(await read_tcp(receiver.url, NmeaCodec(NmeaMap()), 4, drive))
        assert_on_track(found, receiver.told)
        assert len(found) == 4


async def test_by_pty_too_and_over_midnight():
    async with serve_pty_receiver(TRACK) as receiver:
        descriptor = os.open(receiver.url.removeprefix("serial://").split("?")[0], os.O_RDWR | os.O_NOCTTY)
        codec, found = NmeaCodec(NmeaMap()), []
        try:
            for _ in range(15):
                await receiver.tell()
                found += positions(codec.receive(os.read(descriptor, 4096)))
        finally:
            os.close(descriptor)
        assert_on_track(found, receiver.told)
        assert len(found) == 15
        assert found[-1].taken_at.day == 2


async def test_garbled_sentences_are_rejected_and_the_rest_are_on_the_track():
    async with serve_tcp_receiver(TRACK) as receiver:
        receiver.faults.garbled = 0.3

        async def drive():
            await receiver.wait_connected()
            for _ in range(40):
                await receiver.tell()
            await receiver.leave()

        outputs = await read_tcp(receiver.url, NmeaCodec(NmeaMap()), 1000, drive)
        assert sum(isinstance(output, Rejected) for output in outputs) > 20
        full = [fact for fact in positions(outputs) if fact.taken_at and fact.latitude_deg is not None]
        truth = {place.at: place for place in receiver.told}
        assert len(full) > 30
        for fact in full:
            assert fact.latitude_deg == pytest.approx(truth[fact.taken_at].latitude_deg, abs=CLOSE_DEG)


@pytest.mark.parametrize("faults", [ReceiverFaults(lying=True), ReceiverFaults(no_fix=True)])
def test_a_liar_and_a_blind_one_have_no_fix(faults):
    codec = NmeaCodec(NmeaMap())
    cycle = ("RMC", "GGA", "GLL")
    found = [
        fact
        for second in range(4)
        for fact in positions(codec.receive("".join(epoch_sentences(TRACK.place(second), faults, cycle)).encode()))
    ]
    assert [fact.fixed for fact in found] == [False] * len(found)
    assert len(found) >= 3


def test_the_track_depends_on_the_seed_alone():
    assert Track(seed=1).place(9) == Track(seed=1).place(9)
    assert Track(seed=1).place(9) != Track(seed=2).place(9)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def gpsd_on(receiver):
    """A gpsd that reads a receiver's pty; gives its port."""
    program = shutil.which("gpsd") or shutil.which("gpsd", path="/usr/sbin")
    if program is None:
        pytest.skip("gpsd is not installed")
    path = receiver.url.removeprefix("serial://").split("?")[0]
    await asyncio.to_thread(Path(path).chmod, 0o666)  # gpsd drops its privileges
    port = free_port()
    process = await asyncio.create_subprocess_exec(program, "-N", "-n", "-b", "-S", str(port), path)
    try:
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.02)
            writer.close()
        yield port
    finally:
        process.terminate()
        await process.wait()


async def drive_for_ever(receiver):
    while True:
        await receiver.tell()
        await asyncio.sleep(0.05)


@pytest.mark.real
@pytest.mark.slow
async def test_gpsd_sees_the_same_positions():
    program = shutil.which("gpspipe")
    if program is None:
        pytest.skip("gpspipe is not installed")
    async with serve_pty_receiver(TRACK) as receiver, gpsd_on(receiver) as port:
        driving = asyncio.create_task(drive_for_ever(receiver))
        pipe = await asyncio.create_subprocess_exec(
            program, "-w", "-n", "40", f"127.0.0.1:{port}", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(pipe.communicate(), 30)
        driving.cancel()
        reports = [json.loads(line) for line in output.splitlines()]
        seen = [one for one in reports if one["class"] == "TPV" and one.get("mode", 0) >= 2 and "time" in one]
        truth = {place.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"): place for place in receiver.told}
        assert len(seen) > 5
        for one in seen:
            assert one["lat"] == pytest.approx(truth[one["time"]].latitude_deg, abs=CLOSE_DEG)
            assert one["lon"] == pytest.approx(truth[one["time"]].longitude_deg, abs=CLOSE_DEG)


@pytest.mark.real
@pytest.mark.slow
async def test_our_codec_reads_the_receiver_through_gpsd():
    file = Path(__file__).parents[2] / "firmware_profiles/gpsd/relay.toml"
    codec = DRIVER.make(read_profile(file.read_text(encoding="utf-8"), "relay"), DRIVER.settings())
    async with serve_pty_receiver(TRACK) as receiver, gpsd_on(receiver) as port:
        outputs = await read_tcp(f"tcp://127.0.0.1:{port}", codec, 8, lambda: drive_for_ever(receiver))
        assert [type(output) for output in outputs if not isinstance(output, Report)] == [Reply]
        assert_on_track(positions(outputs), receiver.told)


@pytest.mark.real
@pytest.mark.slow
async def test_our_parser_reads_what_gpspipe_gives_raw():
    program = shutil.which("gpspipe")
    if program is None:
        pytest.skip("gpspipe is not installed")
    async with serve_pty_receiver(TRACK) as receiver, gpsd_on(receiver) as port:
        driving = asyncio.create_task(drive_for_ever(receiver))
        pipe = await asyncio.create_subprocess_exec(
            program, "-r", "-n", "40", f"127.0.0.1:{port}", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(pipe.communicate(), 30)
        driving.cancel()
        lines = [line.strip() for line in output.splitlines() if line.startswith(b"$")]
        assert {parse_sentence(line).kind for line in lines} >= {"RMC", "GGA", "GLL"}
        found = positions(NmeaCodec(NmeaMap()).receive(b"".join(line + b"\r\n" for line in lines)))
        assert_on_track(found, receiver.told)
