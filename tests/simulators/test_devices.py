"""Every single simulator runs by itself, tells how a site file has it, and is tried with the daemon's own sessions."""

import asyncio
import contextlib
import sys
import tomllib
from pathlib import Path

import pytest

from drivers.base import Write
from drivers.modbus_framing import tcp_frame
from drivers.modbus_pdu import write_request
from drivers.profile import checked_map
from drivers.turnstile.registers import GateRegisters
from edge.device_entry import checked
from edge.links.stream import TcpLink
from edge.probe import probe
from edge.profiles import load_profile
from simulators import single_calling
from simulators.devices import DEVICES, Asked, run, told, wish

PROGRAM = Path(sys.executable).with_name("gatefleet")
CALLED = [one for one in DEVICES.values() if one.listens and one.name != "gb28181"]
CALLING = [one for one in DEVICES.values() if one.calls]
TELLS = {
    "turnstile": "GateObserved",
    "barrier": "BarrierSeen",
    "hik-barrier": "BarrierSeen",
    "display": "DeviceDescribed",
    "reader": "CredentialRead",
    "instrument": "Measured",
    "power": "Measured",
    "cabin": "CabinObserved",
    "nmea0183": "PositionTaken",
    "jt808": "PositionTaken",
    "hik-anpr": "PlateRead",
    "dahua-anpr": "DeviceDescribed",
    "hik-counting": "PeopleCounted",
    "gat1400": "SystemRegistered",
    "face-terminal": "DeviceDescribed",
    "dock": "SlotChanged",
    "desk": "DeskReported",
    "onvif-camera": "DeviceDescribed",
    "snmp": "DeviceDescribed",
    "ntp": "DeviceSignal",
    "gb28181": "",
}


SECONDS = {"nmea0183"}
"""An epoch a second, and an epoch ends with the next: their tests are slow."""


def by_name(some):
    return [pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.name in SECONDS else []) for one in some]


def names(made):
    return [one.name for one in made]


@contextlib.asynccontextmanager
async def alive(made, asked, monkeypatch):
    """Run a device; give what it told of itself."""
    stop, began = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(made, wish(made, asked), began.set_result, lambda _text: None, stop))
    try:
        await asyncio.wait((began, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        for name, value in began.result()["environ"].items():
            monkeypatch.setenv(name, value)
        yield began.result()
    finally:
        stop.set()
        await task


def kinds(found):
    return {type(one.fact).__name__ for one in found.facts}


def test_every_device_is_in_the_table_of_what_it_tells():
    assert set(TELLS) == set(DEVICES)


@pytest.mark.parametrize("made", by_name(CALLED))
async def test_a_device_that_is_called_can_be_tried_as_it_says(made, monkeypatch):
    async with alive(made, Asked(every_s=0.2), monkeypatch) as said:
        found = await probe(checked(tomllib.loads(said["toml"])["device"][0]), 8.0, settle_s=0.4)
    assert found.reachable
    assert TELLS[made.name] in kinds(found)


@pytest.mark.parametrize("made", CALLING, ids=names(CALLING))
async def test_a_device_that_calls_can_be_listened_for(made, monkeypatch):
    scheme = made.calls[0]
    said = told(made, wish(made, Asked(to=f"{scheme}://127.0.0.1:1")), await opened(made, f"{scheme}://127.0.0.1:1"))
    for name, value in said["environ"].items():
        monkeypatch.setenv(name, value)
    entry = {**said["entry"], "link": said["entry"]["link"].replace("127.0.0.1:1", "127.0.0.1:0")}
    listening = asyncio.get_running_loop().create_future()
    trying = asyncio.create_task(
        probe(checked(entry), 1.2 if made.counts else 3.0, listening=listening.set_result, settle_s=0.4)
    )
    await asyncio.wait((listening, trying), return_when=asyncio.FIRST_COMPLETED)
    url = (
        (listening.result() if listening.done() else str(trying.result()))
        .replace("http-server", "http")
        .replace("tcp-server", "tcp")
    )
    async with alive(made, Asked(to=url, every_s=0.2), monkeypatch):
        found = await trying
    assert found.reachable
    assert TELLS[made.name] in kinds(found)


async def opened(made, to):
    async with made.open(wish(made, Asked(to=to))) as running:
        return running


BAD = [(made, word) for made in DEVICES.values() for word in made.bad]


def place(made, port=0):
    return (
        {"to": f"{made.calls[0]}://127.0.0.1:1"} if made.calls else {"listen": f"{made.listens[0]}://127.0.0.1:{port}"}
    )


@pytest.mark.parametrize(("made", "word"), BAD, ids=[f"{made.name}-{word}" for made, word in BAD])
async def test_every_word_of_misbehaviour_is_one_that_the_device_knows(made, word):
    async with made.open(wish(made, Asked(**place(made), misbehave=(word,)))) as running:
        assert running.url


ENDS = {
    ("turnstile", "silent"): (False, "silent"),
    ("turnstile", "refusing"): (True, "refuses"),
    ("turnstile", "jammed"): (True, "fault_bit"),
    ("instrument", "no-value"): (True, "doubtful"),
    ("ntp", "silent"): (False, "link_down"),
    ("hik-barrier", "unplugged"): (True, "link_down"),
    ("hik-barrier", "garbled"): (False, "link_down"),
}


@pytest.mark.parametrize(("name", "word"), list(ENDS))
async def test_a_device_that_misbehaves_is_seen_to(name, word, monkeypatch):
    made = DEVICES[name]
    async with alive(made, Asked(misbehave=(word,)), monkeypatch) as said:
        entry = tomllib.loads(said["toml"])["device"][0]
        if name == "ntp":
            entry["settings"] = {"timeout_ms": 100, "interval_s": 0.1}
        elif word == "silent":
            entry["link"] += "&timeout_ms=50"
        found = await probe(checked(entry), 1.4, settle_s=0.4)
    reachable, code = ENDS[name, word]
    assert found.reachable is reachable
    assert code in {one.code for one in found.findings}


@pytest.mark.parametrize("made", CALLED, ids=names(CALLED))
async def test_it_listens_where_it_is_told_to(made, monkeypatch, unused_tcp_port):
    async with alive(made, Asked(listen=place(made, unused_tcp_port)["listen"]), monkeypatch) as said:
        assert f":{unused_tcp_port}" in said["url"]


@pytest.mark.parametrize("name", ["turnstile", "reader", pytest.param("nmea0183", marks=pytest.mark.slow)])
async def test_it_listens_on_a_pty(name, monkeypatch):
    made = DEVICES[name]
    async with alive(made, Asked(listen="pty", every_s=0.1), monkeypatch) as said:
        assert "/dev/" in said["url"]
        found = await probe(checked(tomllib.loads(said["toml"])["device"][0]), 5.0, settle_s=0.2)
    assert found.reachable
    assert TELLS[name] in kinds(found)


async def test_whoever_is_let_in_walks_through():
    made = DEVICES["turnstile"]
    async with made.open(wish(made, Asked())) as running:
        living = asyncio.create_task(running.live(lambda _text: None))
        link = TcpLink("127.0.0.1", int(running.url.partition("?")[0].rpartition(":")[2]))
        async with link.connect() as line:
            layout = checked_map(load_profile("reference/swing-gate"), GateRegisters)
            await line.write(tcp_frame(1, 1, write_request(Write(6, layout.controls.release_in, (1,))).encode()))
            await line.read()
            at = layout.status.address + layout.status.in_count + 1
            async with asyncio.timeout(5):
                for number in range(2, 50):
                    await line.write(tcp_frame(number, 1, bytes((4, at >> 8, at & 255, 0, 1))))
                    if (await line.read())[-1] == 1:
                        break
                    await asyncio.sleep(0.1)
                else:
                    pytest.fail("nobody walked through")
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


async def test_terminals_call_again_once_there_is_somebody(monkeypatch, unused_tcp_port):
    made = DEVICES["jt808"]
    asked = Asked(to=f"tcp://127.0.0.1:{unused_tcp_port}", count=3, every_s=0.2)
    monkeypatch.setattr(single_calling, "_AGAIN_S", 0.1)
    async with alive(made, asked, monkeypatch) as said:
        found = await probe(checked(said["entry"]), 0.6)
        again = await probe(checked(said["entry"]), 0.6)
    for one in (found, again):
        assert len(one.terminals) == 3
