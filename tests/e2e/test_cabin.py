"""A boarding, end to end: the daemon in its own process, central and broker in theirs, and a cabin that exists.

Modbus TCP, a pty, HTTP pushes, the technician's tool, MQTT and central's API are the real ones; the machinery is simulated.
"""

import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from core.messages.envelope import packed_event
from drivers.cabin.commands import Screen
from drivers.cabin.layout import CabinMap
from drivers.digest import Login
from drivers.profile import checked_map
from edge.profiles import load_profile
from simulators.boarding import CabinPlace, boarding_plan, meet, tally
from simulators.cabin import Cabin, Controller, Side
from simulators.demo.fleet import start_fleet
from simulators.demo.processes import Child, free_port
from simulators.face_terminal import FaceTerminal
from simulators.faults import MqttProxy
from simulators.modbus import serve_tcp
from simulators.pushing import pushing
from simulators.reader import serve_pty_reader

pytestmark = pytest.mark.slow

EDGE = "airport-test.cabins"
LIST = "hq-block"
WATCHDOG_S = 1.5


async def cli(*words, ok=True):
    """Run the technician's tool; return its JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli.main", *words, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode == 0) is ok, (words, out.decode(), err.decode())
    return json.loads(out)


@dataclass
class Airport:
    """The cabin, what people do in it, and the daemon that owns it."""

    folder: Path
    cabin: Cabin
    links: dict
    reader: object
    stack: contextlib.AsyncExitStack
    trusted: tuple = ()
    mqtt_url: str = "mqtt://127.0.0.1:9"
    central_url: str = ""
    edge: Child | None = None

    @property
    def socket(self):
        return self.folder / "control.sock"

    def write(self):
        face = {"users": {"face": f"file:{self.folder / 'face.key'}"}, "peers": ["127.0.0.0/8"]}
        devices = [
            {"id": "C1-IO", "driver": "cabin", "profile": "reference/cabin", "link": self.links["cabin"]},
            {"id": "C1-RD", "driver": "reader", "profile": "generic/line-reader", "link": self.reader.url},
            {
                "id": "C1-FT",
                "driver": "face-terminal",
                "profile": "reference/face-terminal",
                "link": self.links["face"],
            },
        ]
        devices[2]["access"] = face
        names = {"cabin": "C1-IO", "reader": "C1-RD", "face": "C1-FT"}
        rules = {"default": "release", "lists": [LIST], "when_stale": "release"}
        table = {
            "schema": 1,
            "edge": {"site": "airport-test", "name": "cabins"},
            "buffer": {"path": str(self.folder / "buffer.db"), "quota_mb": 64},
            "uplink": {"url": self.mqtt_url},
            "crypto": {
                "suite": "sm",
                "trusted_keys": list(self.trusted),
                "token_key": f"file:{self.folder / 'token.key'}",
                "seal_key": f"file:{self.folder / 'seal.key'}",
            },
            "control": {"socket": str(self.socket)},
            "metrics": {"host": ""},
            "device": devices,
            "lane": [{"id": "C1", "kind": "cabin", "direction": "in", "rules": rules, **names}],
        }
        if self.central_url:
            table["uplink"] |= {"central_url": self.central_url, "api_key": f"file:{self.folder / 'edges.key'}"}
        (self.folder / "edge.toml").write_text(tomli_w.dumps(table), encoding="utf-8")

    async def start(self):
        """Start the daemon; return once it holds both doors."""
        config = str(self.folder / "edge.toml")
        self.edge = Child(EDGE, ["-m", "edge.cli.main", "edge", "run", "-c", config], self.folder / "edge.log")
        await self.edge.start()
        await self.cabin.until(lambda cabin: any(cabin.powered.values()), 30)

    async def place(self):
        pusher = await self.stack.enter_async_context(
            pushing(self.links["face"].replace("http-server", "http"), login=Login("face", "secret"))
        )
        return CabinPlace(self.cabin, self.reader, FaceTerminal(pusher))

    async def show(self):
        return (await cli("boarding", "show", "C1", "--socket", str(self.socket)))["cabins"][0]

    async def act(self, *words, ok=True):
        return await cli("boarding", *words, "--socket", str(self.socket), ok=ok)

    async def rule(self, ruling):
        """Rule on whoever is held, by the tool."""
        async with asyncio.timeout(15):
            while (held := (await self.show())["held"]) is None:
                await asyncio.sleep(0.05)
        await self.act("rule", "C1", held, ruling, "--reason", "seen in person")

    async def open(self, plan, *how):
        manifest = self.folder / "manifest.txt"
        manifest.write_text("".join(f"{one}\n" for one in plan.expected), encoding="utf-8")
        how = how or ("--documents", str(manifest))
        told = await self.act("open", "C1", "--flight", plan.flight, "--stand", plan.stand, "--id", plan.boarding, *how)
        manifest.unlink()
        return told


@pytest.fixture
async def airport():
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gf-")))
        controller = Controller(Cabin(), checked_map(load_profile("reference/cabin"), CabinMap))
        stack.callback(controller.close)
        server = await stack.enter_async_context(serve_tcp({1: controller.bank}))
        reader = await stack.enter_async_context(serve_pty_reader())
        links = {"cabin": f"{server.url}?unit=1", "face": f"http-server://127.0.0.1:{free_port()}/C1-FT"}
        (folder / "face.key").write_text("secret", encoding="utf-8")
        made = Airport(folder, controller.cabin, links, reader, stack)
        yield made
        if made.edge is not None:
            await made.edge.stop()


@pytest.fixture
async def alone(airport):
    """The daemon with broker and central off."""
    (airport.folder / "token.key").write_text("a token key of thirty-two bytes!", encoding="utf-8")
    await cli("edge", "seal-key", "new", str(airport.folder / "seal.key"))
    airport.write()
    await airport.start()
    return airport


async def got(api, path):
    return await api.call("GET", path)


async def test_a_boarding_with_the_uplink_cut_adds_up_at_central_once_it_is_back(airport):
    broker_port = free_port()
    proxy = await airport.stack.enter_async_context(MqttProxy("127.0.0.1", broker_port).serve())
    fleet = await start_fleet(airport.folder, proxy, broker_port)
    airport.stack.push_async_callback(fleet.stop)
    key = await cli("edge", "seal-key", "new", str(airport.folder / "seal.key"))
    assert (airport.folder / "seal.key").stat().st_mode & 0o777 == 0o600
    await cli("edge", "seal-key", "new", str(airport.folder / "seal.key"), ok=False)
    await fleet.api.call("PUT", f"/v1/edges/{EDGE}/seal-keys/{key['key_id']}", {"public_key": key["public_key"]})
    airport.trusted, airport.mqtt_url = (fleet.public_key,), f"mqtt://127.0.0.1:{proxy.port}"
    airport.central_url = fleet.api.base
    airport.write()
    await airport.start()
    fleet.edges[EDGE] = airport.edge
    plan = boarding_plan(11, 9)
    await fleet.block(plan.listed)
    await fleet.lists_delivered({EDGE})

    # -- all of it with the uplink down
    proxy.take_down()
    place = await airport.place()
    opened = await airport.open(plan)
    assert (opened["result"], opened["counts"]["expected"]) == ("done", len(plan.expected))
    truth = await meet(plan, place, airport.rule)
    counts = tally(plan, truth)
    assert (await airport.show())["counts"] == counts
    closed = await airport.act("close", "C1")
    assert closed["result"] == "done"
    monitor = fleet.keys["monitor"]
    assert (await got(monitor, "/v1/boardings"))["items"] == []

    _no_number_is_kept(airport.folder, plan)

    # -- and it is all there when it is back
    proxy.bring_up()
    async with asyncio.timeout(60):
        while not [one for one in (await got(monitor, "/v1/boardings"))["items"] if one["state"] == "closed"]:
            await asyncio.sleep(0.2)
    (line,) = (await got(monitor, "/v1/boardings"))["items"]
    told = await got(monitor, f"/v1/boardings/{line['id']}")
    assert (told["seal"], told["key_id"], told["counts"]) == ("valid", key["key_id"], counts)
    assert {name: counts[name] for name in told["tally"]} == told["tally"]
    rows = (await got(monitor, f"/v1/boardings/{line['id']}/passengers"))["items"]
    for one in truth:
        mine = [row for row in rows if row["token"] == fleet.token_of(one.document)]
        wanted = [] if one.outcome == "no_show" else [(one.outcome, one.left)]
        assert [(row["outcome"], row["left_at"] is not None) for row in mine] == wanted
    assert all(row["offline"] for row in rows)
    assert {row["why"] for row in rows if row["why"]} == {"face_mismatch", "clearance", "not_expected"}
    kinds = {one["kind"] for one in (await got(monitor, "/v1/cabin-anomalies"))["items"]}
    assert {"crowded", "egress"} <= kinds

    _no_number_is_kept(airport.folder, plan)
    await _ordered_from_central(airport, fleet, place)


async def _ordered_from_central(airport, fleet, place):
    """A second boarding is opened, ruled on and closed from central."""

    async def order(action, **body):
        sent = await fleet.api.call("POST", f"/v1/lanes/C1:{action}", {"reason": "by the duty officer", **body})
        done = await fleet.api.call("GET", f"/v1/commands/{sent['id']}?wait_s=20")
        return done["state"], done["detail"]

    plan = boarding_plan(12, 2)
    known, stranger = (one.document for one in plan.passengers)
    opening = {"boarding": plan.boarding, "flight": plan.flight, "stand": plan.stand, "ttl_s": 30}
    assert await order("open-boarding", **opening, tokens=[fleet.token_of(known)]) == ("done", "")
    assert (await order("open-boarding", **opening | {"boarding": "other"}, expected=3))[0] == "failed"
    await place.enter()
    await place.show_document(stranger)
    await place.show_face()
    held = (await airport.show())["held"]
    assert (await order("rule", attempt=f"{held}x", ruling="release", ttl_s=30))[0] == "failed"
    assert await order("rule", attempt=held, ruling="refuse", ttl_s=30) == ("done", "")
    await place.go_back()
    assert (await order("close-boarding", boarding="another", ttl_s=30))[0] == "failed"
    assert await order("close-boarding", boarding=plan.boarding, ttl_s=30) == ("done", "")
    async with asyncio.timeout(30):
        while True:
            lines = (await got(fleet.keys["monitor"], "/v1/boardings"))["items"]
            if (line := next((one for one in lines if one["boarding"] == plan.boarding), None)) and line["counts"]:
                break
            await asyncio.sleep(0.1)
    assert (line["counts"]["refused"], line["counts"]["no_show"], line["counts"]["unexpected"]) == (1, 1, 1)
    assert (await got(fleet.keys["monitor"], f"/v1/boardings/{line['id']}"))["seal"] == "valid"


async def test_sigkill_in_the_middle_of_a_visit_frees_the_doors_and_the_boarding_goes_on(alone):
    plan = boarding_plan(5, 3)
    one, two, three = (passenger.document for passenger in plan.passengers)
    await alone.open(plan)
    place = await alone.place()

    # -- while the document is read: she is locked in, and the watchdog lets her out
    await place.enter()
    await place.show_document(one)
    await alone.cabin.until(lambda cabin: all(cabin.powered.values()), 5)
    began = asyncio.get_running_loop().time()
    await alone.edge.kill()
    await alone.cabin.until(lambda cabin: not any(cabin.powered.values()), 5)
    assert asyncio.get_running_loop().time() - began < WATCHDOG_S + 0.5
    assert alone.cabin.trips == 1
    await alone.start()
    await place.go_back()
    await place.enter()
    await place.show_document(one)
    await place.show_face()
    await place.leave()
    assert (await alone.show())["counts"]["verified"] == 1

    # -- when he was released and has not left yet: he goes while nobody looks, and is counted once
    await place.enter()
    await place.show_document(two)
    await place.show_face()
    await place.shows(Screen.GO)
    await alone.edge.kill()
    await place.walk(Side.EXIT, -1)
    await alone.start()
    await place.shows(Screen.ENTER)
    assert (await alone.show())["counts"]["verified"] == 2

    # -- and nobody gets in again with a document that has left
    await place.enter()
    await place.show_document(two)
    await place.show_face()
    await alone.rule("refuse")
    await place.go_back()
    closed = await alone.act("close", "C1")
    assert closed["result"] == "done"
    kept = _vital(alone.folder / "buffer.db")
    counts = next(data for kind, data in kept if kind == "BoardingClosed")["counts"]
    assert (counts["seen"], counts["verified"], counts["no_show"]) == (2, 2, 1)
    left = [data for kind, data in kept if kind == "PassengerLeft"]
    assert [data["recovered"] for data in left] == [False, True]
    assert next(data for kind, data in kept if kind == "PassengerHeld")["why"] == "already_left"
    assert three not in json.dumps(kept)


async def test_an_emergency_frees_both_doors_within_one_poll(alone):
    await alone.act("open", "C1", "--flight", "NX101", "--stand", "1", "--expected", "1")
    place = await alone.place()
    await place.enter()
    await alone.cabin.until(lambda cabin: all(cabin.powered.values()), 5)
    began = asyncio.get_running_loop().time()
    alone.cabin.press("emergency")
    await alone.cabin.until(lambda cabin: not any(cabin.powered.values()), 2)
    took_s = asyncio.get_running_loop().time() - began
    print(f"both doors are without power {took_s * 1000:.0f} ms after the button")
    assert took_s < 0.3
    alone.cabin.step(-1) if alone.cabin.push(Side.EXIT) else pytest.fail("the exit is bolted")
    why = await cli("why", "C1-IO", "--socket", str(alone.socket))
    assert {"cabin_emergency", "cabin_mode"} <= {one["code"] for one in why["findings"]}
    refused = await cli("gate", "release", "C1", "--reason", "over", "--socket", str(alone.socket), ok=False)
    assert "still pressed" in refused["detail"]
    alone.cabin.press("emergency", on=False)
    alone.cabin.shut(Side.EXIT)
    async with asyncio.timeout(5):
        while (await alone.show())["mode"] != "normal":
            await cli("gate", "release", "C1", "--reason", "over", "--socket", str(alone.socket))
    await place.shows(Screen.ENTER)


def _no_number_is_kept(folder, plan):
    numbers = [one.document.split("|")[1][:9].encode() for one in plan.passengers]
    for file in ("buffer.db", "buffer.db-wal", "edge.log", "central.db", "central.db-wal", "central.log"):
        content = (folder / file).read_bytes() if (folder / file).exists() else b""
        assert not [number for number in numbers if number in content], file
    assert plan.boarding.encode() in (folder / "buffer.db").read_bytes() + (folder / "buffer.db-wal").read_bytes()


def _vital(path):
    """Return (kind, data) of what a dead daemon's buffer holds, in order."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        rows = conn.execute("SELECT body FROM vital WHERE seq > 0 ORDER BY seq").fetchall()
    return [(kind.split(".")[1], data) for kind, data in (packed_event(body) for (body,) in rows)]
