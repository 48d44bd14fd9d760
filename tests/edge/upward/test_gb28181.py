"""A lower platform at a simulated upper one, on real sockets of loopback."""

import asyncio
import contextlib
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import structlog

from core.errors import ConfigInvalid, DeviceRefused, GatefleetError, LinkLost, Unsupported
from drivers.gb28181.catalog import Camera, Gateway
from drivers.gb28181.manscdp import build
from drivers.gb28181.sip import Headers, SipResponse, encode, parse_datagram
from drivers.gb28181.transactions import Timers
from drivers.gb28181.words import PlatformMap
from edge.upward.gb28181 import UpperPlatform, Upward
from edge.upward.sip import Peer, open_agent
from simulators.gb28181 import serve_platform

UPPER, OWN, PASSWORD = "34020000002000000001", "44040000002000000009", "Open-Sesame-7"
CAMERAS = [
    Camera(
        f"4404000000132{n:07d}",
        f"橫琴口岸车道{n}",
        online=n != 2,
        faulty=n == 3,
        vendor="Hikvision",
        model="DS-2CD5024EFWD",
        firmware="V5.5.85",
    )
    for n in range(1, 24)
]
QUICK = Timers(t1_s=0.02, t2_s=0.08)
BOTH = pytest.mark.parametrize("transport", ["udp", "tcp"])


@pytest.fixture
async def upper():
    async with serve_platform(UPPER, {OWN: PASSWORD}) as platform:
        yield platform


def settings(upper, transport="udp", **changes):
    peer = Peer("127.0.0.1", upper.ports[transport], transport)
    plain = UpperPlatform(peer, UPPER, OWN, PASSWORD, timers=QUICK, gateway=Gateway(firmware="0.1.0"))
    return replace(plain, **changes)


@contextlib.asynccontextmanager
async def staying(upper, transport="udp", *, cameras=CAMERAS, **changes):
    below = Upward(settings(upper, transport, **changes), lambda: cameras, wall=lambda: datetime.now(UTC))
    task = asyncio.create_task(below.run())
    try:
        waiting = asyncio.create_task(upper.until(lambda: OWN in upper.guests))
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            task.result()
        async with asyncio.timeout(15):
            while not below.state.registered:  # the 200 is on its way
                await asyncio.sleep(0.001)
            yield below
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LinkLost):
            await task


async def fails(upper, transport="udp", **changes):
    below = Upward(settings(upper, transport, **changes), lambda: CAMERAS, wall=lambda: datetime.now(UTC))
    with pytest.raises(GatefleetError) as caught:
        async with asyncio.timeout(15):
            await below.run()
    assert not below.state.registered
    return caught.value


def beats(upper):
    return [one for one in upper.heard if one.cmd == "Keepalive"]


def registers(upper):
    return [one for one in upper.requests if one.method == "REGISTER"]


@BOTH
async def test_it_registers_with_its_password_keeps_alive_and_unregisters_at_the_end(upper, transport):
    async with staying(upper, transport, keepalive_s=0.05) as below:
        await upper.until(lambda: len(beats(upper)) >= 3)
        assert abs(below.state.drift_s) < 2
        assert [one.sn for one in beats(upper)[:3]] == [1, 2, 3]
        assert (beats(upper)[0].fields["Status"], beats(upper)[0].device_id) == ("OK", OWN)
        assert [item["DeviceID"] for item in beats(upper)[0].items] == [CAMERAS[2].device_id]
    first, second, *_, last = registers(upper)
    assert (first.headers.get("Authorization"), first.headers.get("X-GB-Ver")) == (None, "2.0")
    assert second.headers.get("Authorization").startswith("Digest ")
    assert (first.call_id, first.cseq.number + 1) == (second.call_id, second.cseq.number)
    assert first.via.branch != second.via.branch
    assert last.headers.get("Expires") == "0"
    assert upper.guests == {}


@BOTH
async def test_it_answers_catalog_device_info_and_device_status(upper, transport):
    async with staying(upper, transport) as below:
        parts = await upper.query(OWN, "Catalog")
        assert len(parts) >= 6
        assert {part.sum_num for part in parts} == {len(CAMERAS)}
        items = [item for part in parts for item in part.items]
        assert [item["DeviceID"] for item in items] == [camera.device_id for camera in CAMERAS]
        assert items[0]["Name"] == "橫琴口岸车道1"
        assert [item["Status"] for item in items[:3]] == ["ON", "OFF", "ON"]
        (own,) = await upper.query(OWN, "DeviceInfo")
        assert (own.fields["DeviceName"], own.fields["Firmware"], own.fields["Channel"]) == ("gatefleet", "0.1.0", "23")
        (camera,) = await upper.query(OWN, "DeviceInfo", CAMERAS[0].device_id)
        assert (camera.fields["Model"], camera.fields["Result"]) == ("DS-2CD5024EFWD", "OK")
        for number, wanted in ((1, ("OFFLINE", "OK")), (2, ("ONLINE", "ERROR"))):
            (status,) = await upper.query(OWN, "DeviceStatus", CAMERAS[number].device_id)
            assert (status.fields["Online"], status.fields["Status"]) == wanted
        (nobody,) = await upper.query(OWN, "DeviceStatus", "1" * 20)
        assert nobody.fields["Result"] == "ERROR"
        (one,) = await upper.query(OWN, "Catalog", CAMERAS[4].device_id)
        assert (one.sum_num, one.items[0]["DeviceID"]) == (1, CAMERAS[4].device_id)
        (none,) = await upper.query(OWN, "Catalog", "1" * 20)
        assert (none.sum_num, none.items) == (0, ())
        assert below.state.counts.queries == 8


async def test_no_datagram_of_a_catalog_is_above_1300_bytes(upper):
    loud = [replace(camera, name="橫" * 128, address="濠" * 128) for camera in CAMERAS[:3]]
    async with staying(upper, cameras=loud, dialect=PlatformMap(items_per_message=100)):
        long = await upper.query(OWN, "Catalog")
    async with staying(upper, cameras=CAMERAS, dialect=PlatformMap(items_per_message=100)):
        short = await upper.query(OWN, "Catalog")
    assert len(long) == 3  # such an item is above the limit by itself
    assert len(short) > 1
    sizes = [len(encode(one)) for one in upper.requests if b"Catalog" in one.body]
    assert max(sizes[3:]) <= 1300


@BOTH
async def test_each_request_has_its_answer(upper, transport):
    async with staying(upper, transport) as below:
        control = build("Control", "DeviceControl", 7, OWN, (("PTZCmd", "A50F01021F0000D6"),))
        rows = [
            ("OPTIONS", b"", 200), ("INVITE", b"v=0\r\n", 488), ("BYE", b"", 481), ("CANCEL", b"", 481),
            ("SUBSCRIBE", b"", 405), ("PUBLISH", b"", 405), ("MESSAGE", control, 200), ("MESSAGE", b"<no", 400),
            ("MESSAGE", build("Query", "NoSuchThing", 8, OWN), 400),
            ("MESSAGE", build("Query", "RecordInfo", 9, OWN), 200),
        ]  # fmt: skip
        for method, body, status in rows:
            response = await upper.ask(OWN, method, body)
            assert (method, response.status) == (method, status)
            assert response.target.param("tag")
            assert response.via.branch.startswith("z9hG4bKup")
            if status == 405:
                assert "MESSAGE" in response.headers.get("Allow")
        plain = await upper.ask(OWN, "MESSAGE", build("Query", "Catalog", 1, OWN), content_type="text/plain")
        assert plain.status == 415
        assert (below.state.counts.ignored, below.state.counts.refused) == (2, 8)


async def test_a_request_that_comes_again_is_acted_on_once(upper):
    async with staying(upper) as below:
        for _ in range(3):
            response = await upper.ask(OWN, "MESSAGE", build("Query", "DeviceInfo", 99, OWN), branch="z9hG4bKsame")
            assert response.status == 200
        await upper.until(lambda: any(one.sn == 99 for one in upper.heard))
        assert (below.state.counts.queries, below.state.counts.sip.repeated) == (1, 2)


async def test_the_refusal_of_an_invite_is_sent_again_until_its_ack(upper):
    async with staying(upper) as below:
        guest = upper.guests[OWN]
        assert (await upper.ask(OWN, "INVITE", branch="z9hG4bKinvite")).status == 488
        while below.state.counts.sip.resent < 2:
            await asyncio.sleep(0.005)
        assert (await upper.ask(OWN, "CANCEL", branch="z9hG4bKinvite")).status == 200
        guest.send(encode(upper.request(guest, "ACK", "z9hG4bKinvite", 5)))
        await upper.ask(OWN, "OPTIONS")
        sent = below.state.counts.sip.resent
        await asyncio.sleep(0.2)
        assert below.state.counts.sip.resent == sent


@pytest.mark.slow
@BOTH
async def test_a_lie_about_expires_neither_hurries_nor_delays_it(upper, transport):
    upper.bad.grants_s = None
    async with staying(upper, transport, expires_s=3) as below:
        await upper.until(lambda: len(registers(upper)) >= 4)
        assert below.state.counts.registrations >= 1
    upper.bad.grants_s, before = 1, len(registers(upper))
    async with staying(upper, transport):
        await asyncio.sleep(0.5)
        assert len(registers(upper)) == before + 2
    upper.bad.grants_s = 0
    assert isinstance(await fails(upper, transport), LinkLost)


async def test_three_keepalives_that_miss_register_anew(upper):
    async with staying(upper, keepalive_s=0.05) as below:
        await upper.until(lambda: len(beats(upper)) >= 1)
        call_id = registers(upper)[-1].call_id
        upper.bad.status["MESSAGE"] = 403
        await upper.until(lambda: registers(upper)[-1].call_id != call_id)
        assert below.state.counts.missed == 3
        upper.bad.status.clear()
        await upper.until(lambda: len(beats(upper)) >= 2)


@BOTH
async def test_a_platform_that_falls_silent_is_a_lost_link(upper, transport):
    upper.bad.silent = {"MESSAGE"}
    below = Upward(settings(upper, transport, keepalive_s=0.05), list, wall=lambda: datetime.now(UTC))
    task = asyncio.create_task(below.run())
    await upper.until(lambda: any(one.method == "MESSAGE" for one in upper.requests))
    upper.bad.silent = {"MESSAGE", "REGISTER"}
    with pytest.raises(LinkLost, match="no answer"):
        await task
    assert below.state.counts.missed == 3


@BOTH
async def test_what_says_no_is_refused_and_what_fails_is_lost(upper, transport):
    assert isinstance(await fails(upper, transport, password="wrong"), DeviceRefused)
    assert len(registers(upper)) == 2
    for status, kind in ((403, DeviceRefused), (404, DeviceRefused), (408, LinkLost), (500, LinkLost), (302, LinkLost)):
        upper.bad.status["REGISTER"] = status
        assert isinstance(await fails(upper, transport), kind)
    upper.bad.status.clear()
    upper.bad.silent = {"REGISTER"}
    assert "no answer" in str(await fails(upper, transport))


async def test_nobody_there_is_a_lost_link(upper):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = Peer("127.0.0.1", probe.getsockname()[1], "tcp")
        assert isinstance(await fails(upper, peer=away), LinkLost)
        assert isinstance(await fails(upper, peer=replace(away, transport="udp")), LinkLost)


async def test_a_stale_nonce_and_a_time_too_short_are_answered_once(upper):
    upper.bad.stale_once, upper.bad.min_expires_s = True, 120
    async with staying(upper, expires_s=60):
        assert upper.guests[OWN].expires_s == 120
        assert len(registers(upper)) == 4


async def test_a_redirection_is_followed_once(upper):
    async with serve_platform("34020000002000000077", {OWN: PASSWORD}) as second:
        upper.bad.redirect = f"<sip:34020000002000000077@127.0.0.1:{second.ports['tcp']};transport=tcp>"
        task = asyncio.create_task(Upward(settings(upper), list, wall=lambda: datetime.now(UTC)).run())
        await second.until(lambda: OWN in second.guests)
        assert second.guests[OWN].transport == "tcp"
        assert registers(second)[0].uri == "sip:34020000002000000077@3402000000"
        task.cancel()
        await asyncio.wait({task})
        second.bad.redirect = upper.bad.redirect
        assert "twice" in str(await fails(upper))


async def test_lost_and_garbled_datagrams_are_borne(upper):
    upper.bad.lose_first, upper.bad.garbled = 2, True
    async with staying(upper) as below:
        assert below.state.counts.sip.resent >= 2
        assert below.state.counts.sip.broken >= 2
        assert len(await upper.query(OWN, "DeviceInfo")) == 1


async def test_garbage_in_a_stream_ends_the_connection(upper):
    upper.bad.garbled = True
    assert "not SIP" in str(await fails(upper, "tcp"))


async def test_who_is_not_the_platform_is_not_heard(upper):
    async with staying(upper) as below:
        place = upper.guests[OWN].place
        request = encode(upper.request(upper.guests[OWN], "OPTIONS", "z9hG4bKevil", 1))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same_host,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            other.bind(("127.0.0.2", 0))
            same_host.sendto(request, place)
            other.sendto(request, place)
            while below.state.counts.sip.strangers < 2:
                await asyncio.sleep(0.002)
            for one in (same_host, other):
                one.setblocking(False)
                with pytest.raises(BlockingIOError):
                    one.recv(10)
    anyone = replace(settings(upper).peer, any_port=True)
    async with staying(upper, peer=anyone):
        place = upper.guests[OWN].place
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same_host:
            same_host.setblocking(False)
            await asyncio.get_running_loop().sock_sendto(same_host, request, place)
            answer = parse_datagram(await asyncio.get_running_loop().sock_recv(same_host, 2000))
            assert isinstance(answer, SipResponse)
            assert answer.status == 200


async def test_queries_that_wait_are_bounded(upper):
    async with staying(upper) as below:
        await upper.until(lambda: len(beats(upper)) >= 1)
        upper.bad.silent = {"MESSAGE"}
        answers = [await upper.ask(OWN, "MESSAGE", build("Query", "DeviceInfo", n, OWN)) for n in range(40)]
        refused = [one for one in answers if one.status == 503]
        assert refused[0].headers.get("Retry-After") == "5"
        assert below.state.counts.queries == 40 - len(refused) <= 34


async def test_the_date_is_only_compared(upper):
    ahead = datetime.now(timezone(timedelta(hours=8))) + timedelta(seconds=300)
    upper.bad.date = ahead.isoformat()[:23]
    async with staying(upper) as below:
        assert 298 < below.state.drift_s < 302
    upper.bad.date = "yesterday"
    async with staying(upper) as below:
        assert below.state.drift_s is None


@pytest.mark.slow
async def test_a_platform_that_is_slow_to_let_go_does_not_hold_the_end(upper):
    async with staying(upper, timers=Timers()):
        upper.bad.silent = {"REGISTER"}
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2.5


async def test_passwords_are_in_no_log_and_no_repr(upper):
    with structlog.testing.capture_logs() as lines:
        async with staying(upper) as below:
            await upper.query(OWN, "DeviceInfo")
        await fails(upper, password="another-secret")
    assert any(line["event"] == "gb28181.registered" for line in lines)
    shown = repr(lines) + repr(settings(upper)) + repr(below.state)
    assert PASSWORD not in shown
    assert "another-secret" not in shown
    assert "response=" not in shown


async def test_an_algorithm_that_is_not_here_is_said_so(upper):
    upper._asks = lambda request: upper._reply(
        request, 401, ("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=SM3')
    )
    assert isinstance(await fails(upper), Unsupported)


def test_settings_that_cannot_be_are_refused_all_at_once():
    with pytest.raises(ConfigInvalid, match="upper_id.*own_id.*expires_s"):
        UpperPlatform(Peer("h", 1), "1", "2", "x", expires_s=0)


async def test_an_answer_nobody_waits_for_is_counted(upper):
    async with open_agent(settings(upper).peer, lambda *_: None) as agent:
        stray = SipResponse(
            Headers(
                (
                    ("Via", "SIP/2.0/UDP h;branch=z9hG4bKno"),
                    ("From", "<sip:a@b>"),
                    ("To", "<sip:a@b>"),
                    ("Call-ID", "c"),
                    ("CSeq", "1 MESSAGE"),
                )
            ),
            status=200,
            reason="OK",
        )
        agent.take(stray, agent.address)
        assert agent.counts.strays == 1
