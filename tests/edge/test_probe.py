"""The promises of `edge.probe` by their words, on real sockets."""

import asyncio
import contextlib
import os

import pytest

from core.errors import ConfigInvalid
from core.messages.events import Health
from drivers.base import Report
from drivers.digest import Login
from drivers.facts import CredentialRead, DeviceDescribed, DeviceSignal, Measured
from edge.device_entry import checked, entry_of
from edge.probe import _Ear, _Unconfirmed, probe
from edge.profiles import load_profile
from simulators.dahua_anpr import TollgateCamera
from simulators.instrument import Instrument
from simulators.jt808 import Terminal
from simulators.modbus import Faults, serve_tcp
from simulators.pushing import pushing
from simulators.reader import serve_tcp_reader

KEY = "a key of more than sixteen bytes"


def device(driver, link, *settings, profile=""):
    return checked(entry_of(driver, link, profile=profile, settings=settings))


def locators(monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    return device(
        "jt808", "tcp-server://127.0.0.1:0", 'terminals=["138*"]', "auth_key=env:KEY", profile="reference/jt808"
    )


def camera(monkeypatch):
    monkeypatch.setenv("CAM", "secret")
    return device("dahua-anpr", "http-server://127.0.0.1:0/cam", "access.users.cam=env:CAM")


@contextlib.asynccontextmanager
async def listening(spec, seconds, **more):
    """Try a device that calls; give where, and the trial."""
    where = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(probe(spec, seconds, listening=where.set_result, **more))
    await asyncio.wait((where, task), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield where.result(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def port_of(url):
    return int(url.rpartition(":")[2].partition("/")[0])


async def test_nothing_that_a_terminal_observed_is_confirmed(monkeypatch):
    terminal = Terminal("13800000001", 2019)
    async with listening(locators(monkeypatch), 1.0) as (url, task):
        assert await terminal.connect("127.0.0.1", port_of(url))
        for _ in range(3):
            terminal.send_position()
        found = await task
        await terminal.wait_closed()
    assert found.reachable
    assert [one.lstrip("0") for one in found.terminals] == ["13800000001"]
    assert "PositionTaken" in {type(one.fact).__name__ for one in found.facts if one.terminal}
    assert terminal.confirmed == 0
    assert len(terminal.kept) == 3


async def test_a_stranger_is_no_terminal_that_proved_itself(monkeypatch):
    terminal = Terminal("15900000001")
    async with listening(locators(monkeypatch), 0.5) as (url, task):
        assert not await terminal.connect("127.0.0.1", port_of(url))
        found = await task
    assert (found.reachable, found.terminals) == (False, ())
    assert found.rejected


async def test_no_good_answer_to_a_push(monkeypatch):
    async with listening(camera(monkeypatch), 5.0, settle_s=0.2) as (url, task):
        async with pushing(url.replace("http-server", "http"), login=Login("cam", "secret")) as pusher:
            assert await TollgateCamera(pusher).describe() == 503
        found = await task
    assert found.reachable
    assert found.described == DeviceDescribed(vendor="gatefleet", model="ITC-SIM", serial="SIM-ITC-1")


async def test_a_wrong_login_is_why(monkeypatch):
    async with listening(camera(monkeypatch), 0.6) as (url, task):
        async with pushing(url.replace("http-server", "http"), login=Login("cam", "wrong")) as pusher:
            assert await TollgateCamera(pusher).describe() == 401
        found = await task
    assert not found.reachable
    assert [one.code for one in found.findings] == ["login_refused"]


async def test_no_register_is_written():
    made = Instrument(load_profile("apc/smart-ups"), seed=1)
    async with serve_tcp({1: made.bank}, record=True) as server:
        found = await probe(device("power", f"{server.url}?unit=1", profile="apc/smart-ups"), 5.0, settle_s=0.3)
        functions = {frame.pdu[0] for seen in server.seen for frame in seen.frames}
    assert found.reachable
    assert found.health is Health.OK
    assert functions
    assert functions <= {1, 2, 3, 4}


async def test_a_unit_that_refuses_says_so():
    made = Instrument(load_profile("apc/smart-ups"), seed=1)
    async with serve_tcp({1: made.bank}) as server:
        server.faults[1] = Faults(exception=4)
        found = await probe(device("power", f"{server.url}?unit=1", profile="apc/smart-ups"), 1.0)
    assert found.reachable
    assert "refuses" in {one.code for one in found.findings}


async def test_a_silent_unit_is_not_reachable():
    made = Instrument(load_profile("apc/smart-ups"), seed=1)
    async with serve_tcp({1: made.bank}) as server:
        server.faults[1] = Faults(dead=True)
        spec = device("power", f"{server.url}?unit=1&timeout_ms=50", profile="apc/smart-ups")
        found = await probe(spec, 1.4)
    assert not found.reachable
    assert [one.code for one in found.findings] == ["silent"]


async def test_it_ends_once_the_link_has_failed_for_good(unused):
    began = asyncio.get_running_loop().time()
    found = await probe(device("reader", f"tcp://127.0.0.1:{unused}"), 60.0)
    assert asyncio.get_running_loop().time() - began < 10
    assert not found.reachable
    assert [one.code for one in found.findings] == ["link_down"]


async def test_it_ends_at_its_time_where_nobody_calls():
    found = await probe(device("reader", "tcp-server://127.0.0.1:0"), 0.1)
    assert not found.reachable
    assert [one.code for one in found.findings] == ["never_seen"]


async def test_a_link_that_opens_is_a_device_that_is_reached():
    async with serve_tcp_reader() as reader:
        found = await probe(device("reader", reader.url), 0.2)
    assert (found.reachable, found.facts) == (True, ())


async def test_a_serial_line_that_opens_says_nothing_of_a_device():
    master, slave = os.openpty()
    try:
        found = await probe(device("reader", f"serial://{os.ttyname(slave)}?baud=9600"), 0.2)
    finally:
        os.close(master)
        os.close(slave)
    assert not found.reachable


async def test_a_secret_that_is_not_there_is_told_before_anything_is_tried(monkeypatch):
    spec = locators(monkeypatch)
    monkeypatch.delenv("KEY")
    with pytest.raises(ConfigInvalid, match="KEY"):
        await probe(spec, 5.0)


async def test_a_port_that_is_taken_is_told():
    async with serve_tcp_reader() as reader:
        spec = device("reader", reader.url.replace("tcp:", "tcp-server:"))
        found = await probe(spec, 5.0)
    assert not found.reachable
    assert found.findings[0].code == "link_down"


def test_a_codec_of_a_trial_gives_no_acks():
    class Acks:
        def receive(self, data):
            return [Report(CredentialRead(data.decode()), b"ack")]

    assert _Unconfirmed(Acks()).receive(b"x") == [Report(CredentialRead("x"))]


def test_the_first_fact_of_each_kind_is_kept_and_not_more():
    ear = _Ear()
    for number in range(1_000):
        ear.hear(CredentialRead(str(number)))
        ear.hear(DeviceSignal(f"topic-{number}", on=True))
        ear.hear(Measured({f"point_{number}": 1.0}))
        ear.prove(str(number))
    ear.hear(DeviceDescribed(model="late"))
    assert ear.facts["", "CredentialRead"].fact == CredentialRead("0")
    assert len(ear.facts) == 64
    assert len(ear.terminals) == 256


def test_of_a_description_the_last_is_kept():
    ear = _Ear()
    ear.hear(DeviceDescribed(model="a"))
    ear.hear(DeviceDescribed(model="a", firmware="1"))
    assert ear.facts["", "DeviceDescribed"].fact == DeviceDescribed(model="a", firmware="1")


@pytest.fixture
def unused(unused_tcp_port):
    return unused_tcp_port
