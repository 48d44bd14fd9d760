"""A command line that is run in this process, and daemons that answer it: real control servers on real sockets."""

import asyncio
import io
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.errors import NotFound
from edge.cli import language
from edge.cli.main import main
from edge.control import ControlServer

STATUS = {
    "edge": "hq-bridge.gates",
    "version": "0.1.0",
    "uptime_s": 93784,
    "boot_id": "8c2f",
    "epoch": "01JD0000000000000000000000",
    "uplink": {
        "state": "down",
        "since": "2026-11-21T08:00:00+00:00",
        "url": "mqtts://central",
        "last_error": "refused",
    },
    "clock": {"source": "ntp", "offset_ms": 3, "error_ms": 12},
    "buffer": {
        "healthy": True,
        "quota_bytes": 1 << 30,
        "used_bytes": 5 << 20,
        "streams": {
            "vital": {
                "entries": 40,
                "bytes": 20480,
                "oldest": "2026-11-21T08:00:01+00:00",
                "newest": 1040,
                "acked": 1000,
                "dropped": 0,
            },
            "telemetry": {"entries": 2, "bytes": 900, "oldest": None, "newest": 7, "acked": 5, "dropped": 3},
        },
    },
    "lanes": [
        {
            "id": "E03",
            "state": "idle",
            "mode": "normal",
            "gate": "gate-03",
            "reader": "reader-03",
            "passages": 12,
            "refusals": 1,
        }
    ],
    "devices": {"ok": 1, "degraded": 0, "fault": 1, "offline": 0, "unknown": 0},
    "lists": [{"list_id": "hq-block", "version": 7, "entries": 2, "confirmed_at": "2026-11-21T07:59:00+00:00"}],
}
GATE = {
    "id": "gate-03",
    "driver": "turnstile",
    "profile": "reference/swing-gate",
    "kind": "turnstile",
    "lane": "E03",
    "link": "modbus+tcp://10.1.2.3?unit=1",
    "health": "fault",
    "faults": ["door_jam"],
    "since": "2026-11-21T08:10:00+00:00",
    "last_seen": "2026-11-21T08:20:00+00:00",
}
READER = {**GATE, "id": "reader-03", "driver": "reader", "kind": "reader", "health": "ok", "faults": []}
FINDINGS = [{"code": "fault_bit", "args": {"name": "door_jam"}, "since": "2026-11-21T08:10:00+00:00"}]
PASSAGES = [
    {
        "at": f"2026-11-21T08:00:0{n}+00:00",
        "lane": lane,
        "kind": "decided",
        "effect": "release",
        "direction": "in",
        "reasons": ["no_hit"],
        "attempt": f"A{n}",
        "ms": 4.5,
    }
    for n, lane in enumerate(("E03", "E04", "E03"))
]


@dataclass
class Result:
    """What a run of the command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """The operations of a daemon, with canned answers; remembers what it was asked to do."""

    passages = PASSAGES
    findings = FINDINGS

    def __init__(self, status: Mapping[str, Any], devices: list[dict[str, Any]]) -> None:
        self.status = status
        self.devices = devices
        self.acts: list[Mapping[str, Any]] = []
        self.gate_result = "done"
        self.facts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def server(self, path: Path) -> ControlServer:
        operations = {
            "status": self._status,
            "devices": self._devices,
            "device": self._device,
            "why": self._why,
            "gate": self._act,
            "list_apply": self._apply,
        }
        return ControlServer(path, operations, {"watch": self._watch, "passages": self._passages})

    async def _status(self, request: Mapping[str, Any]) -> Any:
        return self.status

    async def _devices(self, request: Mapping[str, Any]) -> Any:
        return self.devices

    async def _device(self, request: Mapping[str, Any]) -> Any:
        found = [one for one in self.devices if one["id"] == request["id"]]
        if not found:
            raise NotFound("no such device")
        more = {"vendor": "Reference", "model": "Swing", "counters": {"reads": 5}, "facts": {"in_count": 9}}
        return {**found[0], **more, "findings": FINDINGS}

    async def _why(self, request: Mapping[str, Any]) -> Any:
        return {"id": request["id"], "health": "fault", "findings": FINDINGS}

    async def _act(self, request: Mapping[str, Any]) -> Any:
        self.acts.append(request)
        return {"lane": request["lane"], "mode": "normal", "result": self.gate_result, "detail": ""}

    async def _apply(self, request: Mapping[str, Any]) -> Any:
        self.acts.append(request)
        return {"list_id": "hq-block", "version": 8, "entries": 3}

    async def _watch(self, request: Mapping[str, Any]) -> AsyncIterator[Any]:
        while True:
            yield await self.facts.get()

    async def _passages(self, request: Mapping[str, Any]) -> AsyncIterator[Any]:
        for one in PASSAGES[-request["last"] :]:
            yield one


@pytest.fixture(autouse=True)
def no_columns(monkeypatch):
    """Whoever runs the tests may have said how wide his terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gf-") as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """No variable of the machine, and no daemon of it, has a part in these tests."""
    for name in ("GATEFLEET_LANG", "GATEFLEET_CENTRAL", "GATEFLEET_API_KEY", "XDG_RUNTIME_DIR", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, "C")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("GATEFLEET_SOCKET", str(folder / "none.sock"))
    yield
    language.speak("en")


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
async def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Start daemons; the command line finds all of them."""
    paths: list[Path] = []
    async with AsyncExitStack() as stack:

        async def start(
            *,
            status: Mapping[str, Any] | None = None,
            devices: list[dict[str, Any]] | None = None,
            at: Path | None = None,
        ) -> Desk:
            """Start one; only where no place is told does GATEFLEET_SOCKET name it."""
            desk = Desk(STATUS if status is None else status, [GATE, READER] if devices is None else devices)
            path = at or folder / f"{len(paths)}.sock"
            path.parent.mkdir(parents=True, exist_ok=True)
            server = await desk.server(path).serve()
            stack.callback(server.close)
            if at is None:
                paths.append(path)
                monkeypatch.setenv("GATEFLEET_SOCKET", ":".join(map(str, paths)))
            return desk

        yield start
