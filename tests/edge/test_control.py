"""The technician's socket: garbage is answered, nobody who hangs or vanishes is in anybody's way."""

import asyncio
import contextlib
import json
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import GatefleetError, LinkLost, MessageInvalid, NotFound
from edge import control as control_module
from edge.control import ControlServer, text_of

from .conftest import until


class Desk:
    def __init__(self):
        self.items = asyncio.Queue()
        self.watching = 0
        self.waiting = asyncio.Event()

    async def echo(self, request):
        return dict(request)

    async def none(self, request):
        raise NotFound("there is no such thing", place="desk", cure="look elsewhere")

    async def bug(self, request):
        raise ZeroDivisionError("a bug")

    async def wait(self, request):
        await self.waiting.wait()
        return "waited"

    async def watch(self, request):
        self.watching += 1
        try:
            if request.get("fail"):
                raise NotFound("nothing to watch")
            while True:
                yield await self.items.get()
        finally:
            self.watching -= 1

    async def three(self, request):
        for number in range(3):
            yield number

    def server(self, path):
        operations = {"echo": self.echo, "none": self.none, "bug": self.bug, "wait": self.wait}
        return ControlServer(path, operations, {"watch": self.watch, "three": self.three})


@pytest.fixture
async def desk(nook):
    desk = Desk()
    desk.path = nook / "sub" / "control.sock"
    server = await desk.server(desk.path).serve()
    yield desk
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Client:
    def __init__(self, path):
        self.path = path

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_unix_connection(self.path, limit=1 << 22)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, line):
        self.writer.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")

    async def answer(self):
        line = await asyncio.wait_for(self.reader.readline(), 3)
        return json.loads(line) if line else None

    async def ask(self, line):
        self.send(line)
        return await self.answer()


async def test_an_operation_answers_and_the_connection_serves_the_next(desk):
    async with Client(desk.path) as client:
        assert await client.ask({"op": "echo", "n": 1}) == {"ok": True, "data": {"op": "echo", "n": 1}}
        assert await client.ask({"op": "echo", "名": "港"}) == {"ok": True, "data": {"op": "echo", "名": "港"}}


async def test_an_error_has_code_detail_place_and_cure(desk):
    async with Client(desk.path) as client:
        answer = await client.ask({"op": "none"})
    error = {"code": "not_found", "detail": "there is no such thing", "place": "desk", "cure": "look elsewhere"}
    assert answer == {"ok": False, "error": error}


GARBAGE = [
    b"\n",
    b"hello\n",
    b"{\n",
    b"[]\n",
    b"null\n",
    b'{"op": 3}\n',
    b'{"op": null}\n',
    b"{}\n",
    b'"op"\n',
    b"\xff\xfe\x00\n",
    b"[" * 100_000 + b"\n",
    b'{"op": ' + b"[" * 100_000 + b"\n",
    b'{"op": "' + b"\\ud800" + b'"}\n',
    b'{"op": "nothing"}\n',
]


@pytest.mark.parametrize("line", GARBAGE, ids=[repr(line[:12]) for line in GARBAGE])
async def test_a_line_that_is_no_request_is_answered_so_and_the_next_is_served(desk, line):
    async with Client(desk.path) as client:
        answer = await client.ask(line)
        assert answer["ok"] is False
        assert answer["error"]["code"] in {"message_invalid", "unsupported"}
        assert (await client.ask({"op": "echo"}))["ok"]


async def test_an_unknown_operation_says_which_there_are(desk):
    async with Client(desk.path) as client:
        answer = await client.ask({"op": "format_disk"})
    assert answer["error"]["code"] == "unsupported"
    assert "echo" in answer["error"]["cure"]
    assert "watch" in answer["error"]["cure"]


async def test_a_bug_is_answered_and_tells_no_secret(desk):
    async with Client(desk.path) as client:
        answer = await client.ask({"op": "bug"})
        assert answer["error"]["code"] == "internal"
        assert "ZeroDivision" not in json.dumps(answer)
        assert (await client.ask({"op": "echo"}))["ok"]


async def test_a_line_without_an_end_is_cut_off_and_the_others_are_served(desk):
    async with Client(desk.path) as hog, Client(desk.path) as client:
        with contextlib.suppress(OSError):
            for _ in range(40):
                hog.send(bytes(100_000).replace(b"\0", b"x"))
                await hog.writer.drain()
        with contextlib.suppress(OSError):
            assert await asyncio.wait_for(hog.reader.read(), 3) == b""
        assert (await client.ask({"op": "echo"}))["ok"]


async def test_one_that_waits_holds_up_no_other(desk):
    async with Client(desk.path) as slow, Client(desk.path) as quick:
        slow.send({"op": "wait"})
        assert (await quick.ask({"op": "echo"}))["ok"]
        desk.waiting.set()
        assert (await slow.answer())["data"] == "waited"


async def test_a_stream_goes_on_until_the_caller_closes(desk):
    async with Client(desk.path) as client:
        client.send({"op": "watch"})
        for number in range(3):
            desk.items.put_nowait(number)
            assert await client.answer() == {"ok": True, "data": number}
    await until(lambda: desk.watching == 0)


async def test_a_stream_that_ends_leaves_the_connection_for_the_next(desk):
    async with Client(desk.path) as client:
        client.send({"op": "three"})
        assert [(await client.answer())["data"] for _ in range(3)] == [0, 1, 2]
        assert (await client.ask({"op": "echo"}))["ok"]


async def test_a_stream_that_cannot_begin_says_why(desk):
    async with Client(desk.path) as client:
        assert (await client.ask({"op": "watch", "fail": True}))["error"]["code"] == "not_found"
    assert desk.watching == 0


async def test_a_caller_that_vanishes_in_mid_stream_is_forgotten(desk):
    async with Client(desk.path) as client:
        client.send({"op": "watch"})
        desk.items.put_nowait("one")
        await client.answer()
        client.writer.transport.abort()
    await until(lambda: desk.watching == 0)


async def test_a_caller_that_does_not_read_is_given_up(desk, monkeypatch):
    monkeypatch.setattr(control_module, "_WRITE_S", 0.05)
    async with Client(desk.path) as client:
        client.writer.transport.pause_reading()
        client.send({"op": "watch"})
        await until(lambda: desk.watching)
        for _ in range(50):
            desk.items.put_nowait("x" * 100_000)
        await until(lambda: desk.watching == 0)


async def test_hundred_callers_at_once(desk):
    async def one(number):
        async with Client(desk.path) as client:
            return (await client.ask({"op": "echo", "n": number}))["data"]["n"]

    assert await asyncio.gather(*(one(number) for number in range(100))) == list(range(100))


async def test_the_socket_is_for_its_owner_and_group(desk):
    mode = desk.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


async def test_a_second_daemon_on_the_same_socket_is_refused_and_the_first_goes_on(desk):
    with pytest.raises(LinkLost, match="another daemon listens there") as caught:
        await Desk().server(desk.path).serve()
    assert caught.value.place == str(desk.path)
    async with Client(desk.path) as client:
        assert (await client.ask({"op": "echo"}))["ok"]


async def test_a_stale_socket_file_is_replaced(nook):
    path = nook / "control.sock"
    first = await Desk().server(path).serve()
    first.close()
    assert path.is_socket()
    second = await Desk().server(path).serve()
    async with Client(path) as client:
        assert (await client.ask({"op": "echo"}))["ok"]
    second.close()


async def test_a_file_that_is_no_socket_is_not_removed(nook):
    path = nook / "buffer.db"
    path.write_text("a thousand passages", encoding="utf-8")
    with pytest.raises(LinkLost, match="no socket"):
        await Desk().server(path).serve()
    assert path.read_text(encoding="utf-8") == "a thousand passages"


@pytest.mark.parametrize("name", ["x" * 200, "folder", "file/inside"], ids=["too long", "a folder", "inside a file"])
async def test_a_path_that_cannot_be_says_why(nook, name):
    (nook / "folder").mkdir()
    (nook / "file").touch()
    with pytest.raises(LinkLost) as caught:
        await Desk().server(nook / name).serve()
    assert "None" not in caught.value.detail


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_answered_or_end_the_connection(data):
    async def talk():
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory(prefix="gf-") as folder:
            path = Path(folder) / "c.sock"
            server = await Desk().server(path).serve()
            async with Client(path) as client:
                client.send(data + b"\n")
                client.send({"op": "echo", "last": True})
                while True:
                    answer = await client.answer()
                    if answer is None or (answer["ok"] and answer["data"].get("last")):
                        break
            server.close()

    asyncio.run(talk())


@pytest.mark.parametrize("value", [None, 3, "", "x" * 513, ["x"], {"a": 1}])
def test_a_text_argument_is_a_text_of_some_length(value):
    with pytest.raises(MessageInvalid, match="'id' must be a text of 1 to 512"):
        text_of({"op": "why", "id": value}, "id")


def test_a_text_argument_may_have_a_default():
    assert text_of({"op": "x"}, "direction", default="in") == "in"
    assert text_of({"op": "x", "a": ""}, "a", default="") == ""
    with pytest.raises(GatefleetError):
        text_of({"op": "x"}, "direction")
