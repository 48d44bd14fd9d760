"""The promises of `edge.links.http_server` by their words, on real sockets, before honest and hostile peers."""

import asyncio
import contextlib
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_network

import aiohttp
import pytest
from pydantic import ValidationError

from core.errors import ConfigInvalid, LinkLost
from drivers.base import Answer, Request
from drivers.digest import Login, authorization, parse_digest
from edge.links.http_server import HttpServer, Limits, Mount, Reply
from edge.links.push_places import Access, Place, conflicts, place_of, segments

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
LOOP = (ip_network("127.0.0.0/8"),)
QUICK = Limits(head_s=0.3, body_s=0.3, keepalive_s=1.0, peer_connections=4, connections=6, bodies_bytes=200_000)


@dataclass
class Device:
    """Keeps what it is handed."""

    got: list[Request] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    fails: Exception | None = None

    async def __call__(self, request: Request) -> Reply:
        self.got.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return Reply(Answer(200, b'{"ok": true}'))

    def mount(self, name: str, path: str = "/cam1", *, cap: int = 100_000, **place) -> Mount:
        found = {"host": "127.0.0.1", "port": 0, "auth": "none", "peers": LOOP} | place
        passwords = {user: f"{user}-password" for user in found.get("users", ())}
        return Mount(Place(name, path=segments(path), **found), cap, self, passwords, self.refusals.append)


def open_to_all(device: Device, **place) -> list[Mount]:
    return [device.mount("cam-1", **place)]


def behind_digest(device: Device, user: str = "cam", **place) -> Mount:
    return device.mount(f"of-{user}", auth="digest", users=frozenset({user}), peers=(), **place)


@asynccontextmanager
async def served(mounts, limits: Limits | None = None, clock_ms=lambda: 0):
    server = HttpServer(mounts, now=lambda: NOW, monotonic_ms=clock_ms, limits=limits)
    async with server.serving():
        yield server


async def raw(server: HttpServer, data: bytes, *, source: str = "127.0.0.1", seconds: float = 5) -> bytes:
    """Send bytes and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def turned_away(server: HttpServer, source: str = "127.0.0.1") -> bool:
    try:
        return await raw(server, closing(), source=source) == b""
    except ConnectionError:
        return True


def head(*lines: str, method: str = "POST", target: str = "/cam1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: edge", *lines, "", ""]).encode()


def post(body: bytes = b"x", *lines: str, target: str = "/cam1") -> bytes:
    return head(*lines, f"Content-Length: {len(body)}", target=target) + body


def closing(body: bytes = b"x", *lines: str, target: str = "/cam1") -> bytes:
    return post(body, *lines, "Connection: close", target=target)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# What a device is handed


async def test_a_request_is_handed_on_whole():
    device = Device()
    async with served(open_to_all(device)) as server:
        data = closing(b"body", "X-One: 1", "X-One: 2", "Cookie: c", target="/cam1/a%20b/?k=1&k=2&e=")
        answer = await raw(server, data)
    assert (status(answer), answer.endswith(b'{"ok": true}')) == (200, True)
    assert b"aiohttp" not in answer
    (request,) = device.got
    assert (request.method, request.path, request.body, request.at) == ("POST", "/a b", b"body", NOW)
    assert request.query == {"k": "1", "e": ""}
    assert request.headers["x-one"] == "1"
    assert not {"cookie", "authorization"} & request.headers.keys()


async def test_a_connection_is_kept_and_chunks_and_any_method_are_taken():
    device = Device()
    async with served(open_to_all(device)) as server:
        chunked = head("Transfer-Encoding: chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        answer = await raw(server, chunked + head(method="GET") + closing(b"", target="/cam1"))
    assert [(one.method, one.body) for one in device.got] == [("POST", b"abcde"), ("GET", b""), ("POST", b"")]
    assert answer.count(b"200 OK") == 3


async def test_a_peer_that_expects_continue_gets_it_only_after_its_login():
    device = Device()
    async with served([behind_digest(device), device.mount("open", "/open")]) as server:
        refused = await raw(server, head("Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert status(refused) == 401
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("Content-Length: 5", "Expect: 100-continue", target="/open"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert [one.body for one in device.got] == [b"hello"]


# Who is who


@pytest.mark.parametrize(
    ("target", "device", "path"),
    [
        ("/cam1", "one", "/"),
        ("/cam1/", "one", "/"),
        ("//cam1//alerts", "one", "/alerts"),
        ("/cam1/sub", "sub", "/"),
        ("/cam1/sub/x", "sub", "/x"),
        ("/cam1/subway", "one", "/subway"),
        ("http://edge:80/cam1/x", "one", "/x"),
        ("/cam10", None, ""),
        ("/", None, ""),
        ("/cam1/../cam2", None, ""),
        ("/cam2/..%2fcam1", None, ""),
        ("/cam1/%2e%2e/cam2", None, ""),
        ("/cam1/..\\x", None, ""),
        ("/cam1/%00", None, ""),
        ("/cam1/%ff", None, ""),
        ("/CAM1", None, ""),
        ("http://edge", None, ""),
    ],
)
async def test_devices_are_told_apart_by_the_longest_path_prefix(target, device, path):
    devices = {"one": Device(), "sub": Device(), "two": Device()}
    mounts = [
        devices["one"].mount("one"),
        devices["sub"].mount("sub", "/cam1/sub"),
        devices["two"].mount("two", "/cam2"),
    ]
    async with served(mounts) as server:
        answer = await raw(server, closing(target=target))
    assert {name: [got.path for got in one.got] for name, one in devices.items() if one.got} == (
        {device: [path]} if device else {}
    )
    assert status(answer) == (200 if device else 404)
    if not device:
        assert (answer.partition(b"\r\n\r\n")[2], server.counters["not_found"]) == (b"", 1)


async def test_devices_are_told_apart_by_their_peer_address():
    devices = [Device(), Device()]
    mounts = [one.mount(f"{n}", peers=(ip_network(f"127.0.0.{n}"),)) for n, one in enumerate(devices, 2)]
    async with served(mounts) as server:
        answers = [await raw(server, closing(), source=f"127.0.0.{n}") for n in (2, 3, 3, 4)]
    assert ([status(one) for one in answers], [len(one.got) for one in devices]) == ([200, 200, 200, 404], [1, 2])


async def test_devices_are_told_apart_by_their_login():
    devices = [Device(), Device()]
    mounts = [behind_digest(one, user) for one, user in zip(devices, ("north", "south"), strict=True)]
    async with served(mounts) as server:
        for user in ("south", "north", "south"):
            digest = aiohttp.DigestAuthMiddleware(user, f"{user}-password")
            async with aiohttp.ClientSession(middlewares=(digest,)) as session:
                assert (await session.post(f"http://127.0.0.1:{server.port}/cam1", data=b"x")).status == 200
    assert [len(one.got) for one in devices] == [1, 2]


# Logins


async def test_an_honest_digest_client_posts_300_kb_again_and_again():
    device = Device()
    async with served([behind_digest(device, cap=400_000)]) as server:
        digest = aiohttp.DigestAuthMiddleware("cam", "cam-password")
        async with aiohttp.ClientSession(middlewares=(digest,)) as session:
            for _ in range(5):
                async with session.post(f"http://127.0.0.1:{server.port}/cam1/x", data=b"j" * 300_000) as answer:
                    assert answer.status == 200
    assert [len(one.body) for one in device.got] == [300_000] * 5
    assert (server.counters["challenged"], server.counters["requests"], server.held_bytes) == (1, 6, 0)


async def test_an_honest_basic_client():
    device = Device()
    async with served([device.mount("cam", auth="basic", users=frozenset({"cam"}), peers=())]) as server:
        url = f"http://127.0.0.1:{server.port}/cam1"
        async with aiohttp.ClientSession() as session:
            for password, expected in (("cam-password", 200), ("other", 401)):
                headers = {"Authorization": aiohttp.encode_basic_auth("cam", password)}
                assert (await session.post(url, data=b"x", headers=headers)).status == expected
    assert len(device.got) == 1
    assert device.refusals == ["127.0.0.1: wrong user name or password"]


async def test_nothing_is_handed_on_before_the_login_holds_and_a_replay_is_not():
    device = Device()
    async with served([behind_digest(device)]) as server:
        challenged = await raw(server, closing())
        lines = [line for line in challenged.decode().split("\r\n") if line.startswith("WWW-Authenticate:")]
        assert (status(challenged), len(lines), device.got) == (401, 2, [])
        params = parse_digest(lines[0].partition(": ")[2])
        header = authorization(Login("cam", "cam-password"), "POST", "/cam1", params, cnonce="c")
        assert status(await raw(server, closing(b"x", f"Authorization: {header}"))) == 200
        again = await raw(server, closing(b"forged", f"Authorization: {header}"))
        assert (status(again), b"stale=true" in again) == (401, True)
        both = await raw(server, closing(b"x", f"Authorization: {header}", "Authorization: Basic eDp5"))
        assert status(both) == 400
    assert [one.body for one in device.got] == [b"x"]


async def test_ten_thousand_bad_logins_stop_nobody_else():
    device = Device()
    bad = post(b"x", 'Authorization: Digest username="cam", realm="r", nonce="n", uri="/", response="0"')
    async with served([behind_digest(device)]) as server:

        async def guess() -> None:
            left = 2500
            while left:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    for _ in range(left):
                        writer.write(bad)
                        answer = await reader.readuntil(b"\r\n\r\n")
                        assert b" 401 " in answer or b" 429 " in answer
                        left -= 1
                writer.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(guess())
            digest = aiohttp.DigestAuthMiddleware("cam", "cam-password")
            away = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(middlewares=(digest,), connector=away) as session:
                for _ in range(20):
                    assert (await session.post(f"http://127.0.0.1:{server.port}/cam1", data=b"x")).status == 200
        assert server.counters["login_failed"] + server.counters["barred"] == 10_000
        assert server.counters["login_failed"] == 5
        barred = await raw(server, closing())
        assert (status(barred), b"Retry-After: 1\r\n" in barred) == (429, True)
    assert len(device.got) == 20


async def test_a_body_that_was_sent_before_the_challenge_passes_by_and_the_connection_goes_on():
    device = Device()
    async with served([behind_digest(device)]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("Content-Length: 20") + b"first half")
        await asyncio.sleep(0.3)  # longer than the server would linger
        writer.write(b"other half")
        challenged = (await reader.readuntil(b"\r\n\r\n")).decode()
        params = parse_digest(challenged.partition("WWW-Authenticate: ")[2].partition("\r\n")[0])
        header = authorization(Login("cam", "cam-password"), "POST", "/cam1", params, cnonce="c")
        writer.write(post(b"again", f"Authorization: {header}"))
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.close()
    assert [one.body for one in device.got] == [b"again"]


# Hostile peers


async def test_a_body_beyond_the_cap_is_refused_without_reading_on():
    device = Device()
    async with served(open_to_all(device, cap=1000)) as server:
        began = asyncio.get_running_loop().time()
        told = await raw(server, head("Content-Length: 1001") + b"x" * 500)
        assert status(told) == 413
        hidden = await raw(
            server, head("Transfer-Encoding: chunked") + b"200\r\n" + b"x" * 512 + b"\r\n200\r\n" + b"x" * 512
        )
        assert status(hidden) == 413
        assert asyncio.get_running_loop().time() - began < 2
        assert status(await raw(server, closing(b"x" * 1000))) == 200
    assert (len(device.got), server.counters["too_large"], server.held_bytes) == (1, 2, 0)


async def test_chunks_without_end_are_cut_and_not_kept():
    device = Device()
    async with served(open_to_all(device, cap=50_000)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("Transfer-Encoding: chunked"))
        async with asyncio.timeout(3):
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                    await writer.drain()
                    assert server.held_bytes <= 50_000 + (256 << 10)
        writer.close()
        assert status(await raw(server, closing())) == 200
    assert (server.counters["too_large"], server.held_bytes) == (1, 0)


async def test_a_head_without_end_and_a_silent_connection_end_by_time():
    device = Device()
    async with served(open_to_all(device), QUICK) as server:

        async def dribble() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            ended = asyncio.create_task(reader.read())
            writer.write(b"POST /cam1 HTTP/1.1\r\n")
            while not ended.done():
                writer.write(b"X: y\r\n")
                await asyncio.wait([ended], timeout=0.05)
            with contextlib.suppress(OSError):
                await ended
            writer.close()

        async with asyncio.timeout(3), asyncio.TaskGroup() as group:
            group.create_task(dribble())
            group.create_task(dribble())
            group.create_task(raw(server, b""))
        late = await raw(server, post() + b"POST /cam1 HT", seconds=3)
        assert (status(late), late.count(b"HTTP/1.1")) == (200, 1)
        assert server.counters["late_head"] == 3
        assert server.connections == 0
    assert len(device.got) == 1


async def test_a_kept_connection_may_be_silent_between_requests():
    async with served(open_to_all(Device()), QUICK) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):
            writer.write(post())
            assert b"200 OK" in await reader.readuntil(b"}")
            await asyncio.sleep(2 * QUICK.head_s)
        writer.close()


async def test_a_body_that_does_not_come_is_answered_408():
    device = Device()
    async with served([device.mount("cam-1"), behind_digest(device, path="/d")], QUICK) as server:
        late = await raw(server, head("Content-Length: 10") + b"half", seconds=3)
        assert (status(late), server.counters["late_body"], server.held_bytes) == (408, 1, 0)
        unread = await raw(server, head("Content-Length: 10", target="/d") + b"half", seconds=3)
        assert status(unread) == 401
    assert not device.got


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"POST /cam1 HTTP/1.1\r\nBad Header\r\n\r\n", 400),
        (head("X: " + "y" * 5000), 400),
        (head(*[f"X{n}: y" for n in range(100)]), 400),
        (head(target="/" + "x" * 5000), 400),
        (head("Content-Length: 1", "Content-Length: 2"), 400),
        (head("Content-Length: -1"), 400),
        (head("Transfer-Encoding: chunked", "Content-Length: 3") + b"0\r\n\r\n", 400),
        (head("Transfer-Encoding: chunked") + b"zz\r\n", 400),
        (closing(b"x", "Content-Encoding: gzip"), 415),
        (closing(b"x", target="/cam1?" + "a=b&" * 100), 400),
    ],
)
async def test_what_is_no_http_is_refused(data, expected):
    device = Device()
    async with served(open_to_all(device)) as server:
        assert status(await raw(server, data)) == expected
        assert status(await raw(server, closing())) == 200
    assert len(device.got) == 1


async def test_pipelined_requests_are_taken_one_by_one_and_bounded():
    device = Device(gate=asyncio.Event())
    async with served(open_to_all(device)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        tracemalloc.start()
        sent, one = 0, post(b"y" * 100)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.7):
                while sent < 100_000:
                    writer.write(one * 20)
                    sent += 20
                    await writer.drain()
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert (len(device.got), sent < 100_000, grown < 8 << 20) == (1, True, True)
        device.gate.set()
        answered = 0
        async with asyncio.timeout(5):
            while answered < 200:
                answered += (await reader.readuntil(b"}")).count(b"200 OK")
        writer.close()


async def test_connections_of_one_peer_and_of_all_are_bounded():
    async with served(open_to_all(Device()), QUICK) as server:
        open_ones = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        for _ in range(3):
            assert await turned_away(server)
        assert status(await raw(server, closing(), source="127.0.0.2")) == 200
        for source in ("127.0.0.3", "127.0.0.4"):
            open_ones.append(await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0)))
        assert await turned_away(server, "127.0.0.5")
        assert (server.connections, server.counters["connections"]) == (6, 4)
        for _, writer in open_ones:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(2):
            while server.connections:
                await asyncio.sleep(0.01)
        assert status(await raw(server, closing())) == 200


async def test_a_request_tells_when_it_began_however_slowly_its_body_comes():
    device, clock_ms = Device(), iter((100, 250, 400, 900)).__next__
    async with served(open_to_all(device), clock_ms=clock_ms) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /cam1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.05)
        assert not device.got
        writer.write(b"cd")
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.close()
    assert [(asked.began_ms, asked.body) for asked in device.got] == [(100, b"abcd")]


async def test_devices_behind_one_address_may_all_connect():
    device = Device()
    mounts = [device.mount(f"C{number}", f"/cam{number}") for number in range(6)]
    async with served(mounts, replace(QUICK, device_connections=1, connections=20)) as server:
        open_ones = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(6)]
        assert server.connections == 6
        assert await turned_away(server)
        for _, writer in open_ones:
            writer.close()
            await writer.wait_closed()


async def test_all_bodies_together_are_bounded():
    device = Device(gate=asyncio.Event())
    async with served(open_to_all(device), QUICK) as server:
        first = [asyncio.create_task(raw(server, closing(b"x" * 90_000))) for _ in range(2)]
        async with asyncio.timeout(2):
            while len(device.got) < 2:
                await asyncio.sleep(0.01)
        full = await raw(server, closing(b"x" * 90_000))
        assert (status(full), b"Retry-After: 2\r\n" in full, server.held_bytes) == (503, True, 180_000)
        device.gate.set()
        assert [status(one) for one in await asyncio.gather(*first)] == [200, 200]
        assert status(await raw(server, closing(b"x" * 90_000))) == 200
        assert server.held_bytes == 0


# Answers


async def test_an_answer_leaves_only_after_handle_has_returned():
    device = Device(gate=asyncio.Event())
    async with served(open_to_all(device)) as server:
        waiting = asyncio.create_task(raw(server, closing()))
        async with asyncio.timeout(2):
            while not device.got:
                await asyncio.sleep(0.01)
        assert not (await asyncio.wait([waiting], timeout=0.1))[0]
        device.gate.set()
        assert status(await waiting) == 200


async def test_what_fails_is_500_and_the_next_is_served():
    device = Device(fails=ZeroDivisionError("a bug"))
    async with served(open_to_all(device)) as server:
        assert status(await raw(server, closing())) == 500
        device.fails = None
        assert status(await raw(server, closing())) == 200
    assert server.counters["failed"] == 1


async def test_a_device_that_goes_away_meanwhile_is_handled_to_the_end():
    device = Device(gate=asyncio.Event())
    async with served(open_to_all(device)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(b"x" * 1000))
        async with asyncio.timeout(2):
            while not device.got:
                await asyncio.sleep(0.01)
        writer.transport.abort()
        async with asyncio.timeout(2):
            while server.connections:
                await asyncio.sleep(0.01)
        device.gate.set()
        async with asyncio.timeout(2):
            while server.held_bytes:
                await asyncio.sleep(0.01)


async def test_an_address_that_is_taken_is_a_link_that_is_lost(task):
    async with served(open_to_all(Device())) as server:
        other = HttpServer(open_to_all(Device(), port=server.port), now=lambda: NOW, monotonic_ms=lambda: 0)
        with pytest.raises(LinkLost):
            await other.run()


async def test_devices_in_conflict_are_not_served():
    device = Device()
    with pytest.raises(ConfigInvalid, match="cannot be told apart"):
        async with served([device.mount("a"), device.mount("b")]):
            pass


# Places


def place(device: str, link: str = "http-server://0.0.0.0:8080/a", **access) -> Place:
    return place_of(device, link, Access(**({"users": {"u": "env:U"}} | access)))


ANYBODY = {"auth": "none", "users": {}, "peers": ("10.0.0.0/24",)}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (place("a"), place("b"), "cannot be told apart"),
        (place("a"), place("b", users={"v": "env:V"}), ""),
        (place("a"), place("b", "http-server://0.0.0.0:8080/b"), ""),
        (place("a"), place("b", "http-server://0.0.0.0:8080/a/b"), ""),
        (place("a"), place("b", "http-server://0.0.0.0:8080//a/"), "cannot be told apart"),
        (place("a"), place("b", "http-server://0.0.0.0:8081/a"), ""),
        (place("a"), place("b", "http-server://127.0.0.1:8080/b"), "cannot both listen"),
        (place("a", "http-server://10.0.0.1:8080/a"), place("b", "http-server://10.0.0.2:8080/a"), ""),
        (place("a", peers=("10.0.0.5",)), place("b", peers=("10.0.0.6",)), ""),
        (place("a", peers=("10.0.0.5",)), place("b", peers=("10.0.0.0/24",)), "cannot be told apart"),
        (place("a", peers=("10.0.0.5",)), place("b"), "cannot be told apart"),
        (place("a", peers=("10.0.0.5",)), place("b", peers=("::/0",)), ""),
        (place("a", **ANYBODY), place("b", **ANYBODY), "cannot be told apart"),
        (place("a", **ANYBODY), place("b", **(ANYBODY | {"peers": ("10.0.1.0/24",)})), ""),
        (place("a", **ANYBODY), place("b"), "different logins"),
        (place("a", auth="basic"), place("b", users={"v": "env:V"}), "different logins"),
    ],
)
def test_two_devices_that_cannot_be_told_apart_are_a_mistake(one, other, expected):
    for pair in ([one, other], [other, one]):
        found = conflicts(pair)
        assert [expected in text and "a" in text and "b" in text for text in found] == ([True] if expected else [])


@pytest.mark.parametrize(
    "link",
    [
        "http-server://host/a",
        "http-server://:8080/a",
        "http-server://host:99999/a",
        "http-server://host:80/a?b=c",
        "http-server://user@host:80/a",
        "http-server://host:80/../a",
        "http://host:80/a",
        "http-server://[::1:80/a",
    ],
)
def test_a_link_that_is_no_place(link):
    with pytest.raises(ConfigInvalid):
        place_of("a", link, Access(users={"u": "env:U"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": "none"},
        {"auth": "none", "peers": ("10.0.0.1",), "users": {"u": "env:U"}},
        {"auth": "digest"},
        {"users": {"u": "secret"}},
        {"users": {"u:v": "env:U"}},
        {"users": {"u": "env:U"}, "peers": ("10.0.0.1/24",)},
        {"users": {"u": "env:U"}, "peers": ("everywhere",)},
        {"users": {"u": "env:U"}, "algorithms": ()},
        {"users": {"u": "env:U"}, "silent_after_s": -1},
    ],
)
def test_access_that_is_none(wrong):
    with pytest.raises(ValidationError):
        Access(**wrong)
