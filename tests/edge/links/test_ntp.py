import asyncio

import pytest

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, LinkLost
from drivers.facts import DeviceSignal, Measured
from drivers.ntp import NtpMap, NtpSettings, NtpWords
from edge.links.ntp import NtpServer, host_port
from simulators.ntp import TimeServer, serve_ntp


def client(url, rejected=None, **settings):
    words = NtpWords(NtpMap(), NtpSettings(**{"interval_s": 0.05, "timeout_ms": 200, **settings}))
    return NtpServer(url, words, rejected=rejected or (lambda _: None))


async def facts_of(server, wanted, change=lambda facts: None):
    """Run until so many facts were told; `change` may turn the server in between."""
    facts = []
    enough = asyncio.Event()

    async def deliver(fact):
        facts.append(fact)
        change(facts)
        if len(facts) >= wanted:
            enough.set()

    running = asyncio.create_task(server.run(deliver))
    try:
        async with asyncio.timeout(5):
            await asyncio.wait({running, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running.cancel()
        ended = (await asyncio.gather(running, return_exceptions=True))[0]
    if not isinstance(ended, asyncio.CancelledError):
        raise ended
    return facts


async def test_the_offset_of_a_server_is_measured_and_told():
    async with serve_ntp(TimeServer(ahead_s=2.0)) as url:
        facts = await facts_of(client(url), 3)
    assert facts[:2] == [
        DeviceSignal("unsynchronised", False, baseline=True),
        DeviceSignal("offset_large", True, baseline=True),
    ]
    assert isinstance(facts[2], Measured)
    assert facts[2].readings["offset_ms"] == pytest.approx(2000, abs=50)
    assert 0 <= facts[2].readings["delay_ms"] < 100


async def test_a_server_that_loses_its_source_is_told_and_told_well_again():
    server = TimeServer()

    def change(facts):
        if isinstance(facts[-1], Measured):
            server.stratum = 16
        elif facts[-1].source == "stratum":
            server.stratum = 2

    async with serve_ntp(server) as url:
        facts = await facts_of(client(url), 6, change)
    told = [(one.on, one.source) for one in facts if isinstance(one, DeviceSignal) and one.topic == "unsynchronised"]
    assert told[:3] == [(False, ""), (True, "stratum"), (False, "")]


@pytest.mark.parametrize("fault", ["silent", "replays", "garbled"])
async def test_what_is_no_answer_is_counted_and_the_server_is_silent(fault):
    rejected = []
    server = TimeServer(**{fault: True})
    async with serve_ntp(server) as url:
        with pytest.raises(DeviceSilent):
            await client(url, rejected.append).ask()
    assert len(rejected) == (0 if fault == "silent" else 1)


async def test_kisses_are_obeyed():
    server = TimeServer(stratum=0, reference=b"RATE")
    async with serve_ntp(server) as url:
        judged = client(url)
        running = asyncio.create_task(judged.run(lambda _: asyncio.sleep(0)))
        async with asyncio.timeout(5):
            while server.asked < 3:
                await asyncio.sleep(0.01)
        assert judged.interval_s >= 0.2
        running.cancel()
        server.reference = b"DENY"
        with pytest.raises(DeviceRefused, match="DENY"):
            await client(url).run(lambda _: asyncio.sleep(0))


async def test_a_port_where_nothing_listens_is_told_at_once():
    async with serve_ntp(TimeServer()) as url:
        pass
    with pytest.raises(LinkLost):
        await client(url, timeout_ms=5000).ask()


@pytest.mark.parametrize(
    "url", ["ntp://", "snmp://h", "ntp://u@h", "ntp://h/p", "ntp://h:0", "ntp://h:99999", "ntp://h?x"]
)
def test_addresses_with_mistakes_are_refused(url):
    with pytest.raises(ConfigInvalid):
        host_port(url, "ntp", 123)


def test_addresses():
    assert host_port("ntp://[::1]", "ntp", 123) == ("::1", 123)
    assert host_port("snmp://sw.example:1161", "snmp", 161) == ("sw.example", 1161)
