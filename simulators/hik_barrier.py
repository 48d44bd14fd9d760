"""A plate camera with a barrier at its own contacts, found by ISAPI: its gate, alarm outputs and alarm inputs.

The mechanics are a `Barrier`; the camera is in front of it and may be slow, tell nonsense, refuse, or lose its inputs.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from core.errors import GatefleetError
from drivers.barrier.contacts import Moves
from drivers.digest import Login, holds, parse_digest
from drivers.hik_barrier.layout import CameraBarrierMap, GateStep, OutputStep
from drivers.markup import parse_xml, text
from drivers.profile import Profile, checked_map
from simulators.barrier import Barrier

LOGIN: Final = Login("operator", "Gate&fleet<2>")
_NAMESPACE: Final = 'version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"'
_STATUS: Final = {"closed": "1", "open": "2"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Key = tuple[str, int, str]
"""`gate` or `output`, its number, and the word."""


@dataclass(slots=True)
class Habits:
    """What the camera does wrong; set while it runs."""

    slow_s: float = 0.0
    garbled: bool = False
    refusing: bool = False
    """Orders are answered with a statusCode of their own."""
    lying: bool = False
    """Orders are taken and not done, as while the gate is locked."""
    unplugged: bool = False
    """It has no alarm inputs any more."""
    huge: bool = False
    """Answers do not end."""


@dataclass(slots=True)
class GateCamera:
    """One camera; `login` None lets anybody in."""

    barrier: Barrier
    layout: CameraBarrierMap
    login: Login | None = LOGIN
    habits: Habits = field(default_factory=Habits)
    outputs: dict[int, str] = field(default_factory=dict)
    """What each alarm output was set to last."""
    asked: int = 0
    _nonces: set[str] = field(default_factory=set)
    _actions: dict[Key, Callable[[], None]] = field(init=False)

    def __post_init__(self) -> None:
        self._actions = _actions(self.barrier, self.layout.outputs)

    def app(self) -> web.Application:
        """Return what it serves."""
        app = web.Application()
        for path, answer in (
            ("/ISAPI/System/deviceInfo", self._info),
            ("/ISAPI/System/IO/status", self._inputs),
            ("/ISAPI/Parking/channels/{number}/barrierGate/barrierGateStatus", self._arm),
        ):
            app.router.add_get(path, self._known(answer))
        for path, order in (
            ("/ISAPI/Parking/channels/{number}/barrierGate", self._gate),
            ("/ISAPI/System/IO/outputs/{number}/trigger", self._output),
        ):
            app.router.add_put(path, self._known(order))
        return app

    def _known(
        self, answer: Callable[[web.Request, bytes], str]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if self.login is not None and not self._holds(request, self.login):
                return self._challenge()
            self.asked += 1
            if self.habits.slow_s:
                await asyncio.sleep(self.habits.slow_s)
            if self.habits.huge:
                return web.Response(body=b"<a>" + b" " * (1 << 20), content_type="application/xml")
            told = answer(request, body)
            if self.habits.garbled:
                told = told[: len(told) // 2]
            return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?>{told}', content_type="application/xml")

        return handle

    def _holds(self, request: web.Request, login: Login) -> bool:
        try:
            params = parse_digest(request.headers.get("Authorization", ""))
            fresh = params.get("nonce") in self._nonces and params.get("uri") == request.path_qs
            return fresh and holds(login, request.method, params)
        except GatefleetError:
            return False

    def _challenge(self) -> web.Response:
        nonce = secrets.token_hex(8)
        self._nonces.add(nonce)
        header = f'Digest realm="camera", qop="auth", nonce="{nonce}", algorithm=MD5'
        return web.Response(status=401, headers={"WWW-Authenticate": header})

    def forget_nonces(self) -> None:
        """Let all Digest nonces be stale."""
        self._nonces.clear()

    def _info(self, _request: web.Request, _body: bytes) -> str:
        told = "<model>simulated gate camera</model><serialNumber>SIM-1</serialNumber>"
        return f"<DeviceInfo {_NAMESPACE}>{told}<firmwareVersion>V1.0</firmwareVersion></DeviceInfo>"

    def _inputs(self, _request: web.Request, _body: bytes) -> str:
        inputs, barrier = self.layout.inputs, self.barrier
        on = (barrier.on - barrier.blind) | {barrier.arm} | barrier.faults
        rows = [
            _port(place, "input", active=(name in on) is not (name in inputs.inverted))
            for name, place in inputs.named.items()
        ]
        rows += [_port(number, "output", active=state == "high") for number, state in self.outputs.items()]
        return f"<IOPortStatusList {_NAMESPACE}>{'' if self.habits.unplugged else ''.join(rows)}</IOPortStatusList>"

    def _arm(self, _request: web.Request, _body: bytes) -> str:
        told = _STATUS.get(self.barrier.arm, "0")
        return f"<BarrierGateStatus {_NAMESPACE}><barrierGateStatus>{told}</barrierGateStatus></BarrierGateStatus>"

    def _gate(self, request: web.Request, body: bytes) -> str:
        return self._ordered(("gate", int(request.match_info["number"]), text(parse_xml(body), "ctrlMode")))

    def _output(self, request: web.Request, body: bytes) -> str:
        number, state = int(request.match_info["number"]), text(parse_xml(body), "outputState")
        self.outputs[number] = state
        return self._ordered(("output", number, state))

    def _ordered(self, key: Key) -> str:
        if self.habits.refusing or key not in self._actions:
            code, said = "4", "Invalid Operation</statusString><subStatusCode>notSupport</subStatusCode>"
            return f"<ResponseStatus {_NAMESPACE}><statusCode>{code}</statusCode><statusString>{said}</ResponseStatus>"
        if not self.habits.lying:
            self._actions[key]()
        said = "<statusString>OK</statusString><subStatusCode>ok</subStatusCode>"
        return f"<ResponseStatus {_NAMESPACE}><statusCode>1</statusCode>{said}</ResponseStatus>"


def _port(number: int, kind: str, *, active: bool) -> str:
    state = "active" if active else "inactive"
    inner = f"<ioPortID>{number}</ioPortID><ioPortType>{kind}</ioPortType><ioState>{state}</ioState>"
    return f"<IOPortStatus>{inner}</IOPortStatus>"


def _actions(barrier: Barrier, moves: Moves) -> dict[Key, Callable[[], None]]:
    """Return what the first step of each move does; those after it, such as the end of a pulse, do nothing."""
    found: dict[Key, Callable[[], None]] = {}
    for steps, act in (
        (moves.raise_arm, lambda: barrier.order("raise")),
        (moves.lower_arm, lambda: barrier.order("lower")),
        (moves.light_on, lambda: barrier.set_light(on=True)),
        (moves.light_off, lambda: barrier.set_light(on=False)),
    ):
        keys = [_key(step) for step in steps]
        found |= dict.fromkeys(keys[:1], act)
        found |= {key: _nothing for key in keys[1:] if key not in found}
    return found


def _key(step: GateStep | OutputStep) -> Key:
    return ("gate", step.channel, step.gate) if isinstance(step, GateStep) else ("output", step.output, step.state)


def _nothing() -> None:
    """Do nothing: an output falls back."""


@contextlib.asynccontextmanager
async def serve_gate_camera(
    profile: Profile, barrier: Barrier, host: str = "127.0.0.1", port: int = 0, login: Login | None = LOGIN
) -> AsyncIterator[tuple[GateCamera, str]]:
    """Serve a camera; give it and its link, such as isapi://127.0.0.1:40080."""
    camera = GateCamera(barrier, checked_map(profile, CameraBarrierMap), login)
    runner = web.AppRunner(camera.app(), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield camera, f"isapi://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
