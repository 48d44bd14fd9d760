"""The table of single simulators, and one of them at work until it is told to stop."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import ConfigInvalid, LinkLost
from drivers.digest import Login
from edge.config import read_secret
from edge.device_entry import as_toml
from edge.profiles import load_profile, profile_names
from simulators import single_calling as calling
from simulators import single_lane as at_lane
from simulators import single_served as served
from simulators.single import PTY, Running, Single, Wish, parse_place, parse_target

_MODBUS: Final = ("modbus+tcp", PTY)
_STREAM: Final = ("tcp", PTY)
_HTTP: Final = ("http", "https")
_INSTRUMENT_BAD: Final = (*served.LINE_BAD, "swapped", "no-value", "implausible")
_CABIN_BAD: Final = (*served.LINE_BAD, "bolt-stuck", "counts-one-more", "counts-nonsense", "sleepy-watchdog")
_NO_DTD: Final = tuple(word for word in calling.PUSH_BAD if word != "dtd")

_ROWS: Final = (
    Single("turnstile", "a swing gate; whoever is let in walks through", "turnstile", served.turnstile,
           "reference/swing-gate", _MODBUS, bad=(*served.LINE_BAD, "jammed")),
    Single("barrier", "a barrier at a road; vehicles stop at it", "barrier", at_lane.barrier,
           "reference/barrier", _MODBUS, bad=(*served.LINE_BAD, *at_lane.BARRIER_BAD)),
    Single("hik-barrier", "a barrier at a plate camera's own contacts; vehicles stop at it", "hik-barrier",
           at_lane.hik_barrier, "hikvision/isapi-barrier-gate", ("isapi",),
           bad=(*at_lane.BARRIER_BAD, *at_lane.GATE_CAMERA_BAD)),
    Single("display", "a LED display at a lane", "display", at_lane.display,
           "olm/led-64x64", _STREAM, bad=at_lane.DISPLAY_BAD),
    Single("reader", "a document reader; specimens are shown to it", "reader", served.reader,
           "generic/line-reader", _STREAM, bad=("twice", "garbled")),
    Single("instrument", "an instrument behind registers", "instrument", served.instrument,
           "reference/ballast-meter", _MODBUS, bad=_INSTRUMENT_BAD),
    Single("power", "a UPS behind registers", "power", served.instrument,
           "apc/smart-ups", _MODBUS, bad=_INSTRUMENT_BAD),
    Single("cabin", "a boarding-verification cabin with its watchdog", "cabin", served.cabin,
           "reference/cabin", _MODBUS, bad=_CABIN_BAD),
    Single("nmea0183", "a GNSS receiver that drives round a circle", "nmea0183", served.nmea0183,
           "generic/nmea0183", _STREAM, bad=("slow", "garbled", "lying", "no-fix")),
    Single("jt808", "vehicle terminals that call and drive about", "jt808", calling.jt808, "reference/jt808",
           calls=("tcp",), bad=("wrong-checksum", "unescaped", "early", "wrong-code", "reads-slowly"), counts=True),
    Single("hik-anpr", "a plate camera that posts ISAPI alerts", "hik-anpr", calling.hik_anpr,
           "hikvision/isapi-anpr", calls=_HTTP, bad=calling.PUSH_BAD),
    Single("dahua-anpr", "a plate camera that pushes ITSAPI JSON", "dahua-anpr", calling.dahua_anpr,
           "dahua/itsapi", calls=_HTTP, bad=_NO_DTD),
    Single("hik-counting", "a people counter that posts its totals", "hik-counting", calling.hik_counting,
           "hikvision/isapi-counting", calls=_HTTP, bad=calling.PUSH_BAD),
    Single("gat1400", "a camera that pushes to a view library (GA/T 1400)", "gat1400", calling.gat1400,
           "generic/gat1400-camera", calls=_HTTP, bad=calling.GAT1400_BAD),
    Single("face-terminal", "a terminal that compares faces", "face-terminal", calling.face_terminal,
           "reference/face-terminal", calls=_HTTP, bad=_NO_DTD),
    Single("dock", "a dock for radios and recorders", "dock", calling.dock, "reference/dock", calls=_HTTP, bad=_NO_DTD),
    Single("desk", "a verification desk", "desk", calling.desk, "reference/desk", calls=_HTTP, bad=_NO_DTD),
    Single("onvif-camera", "an ONVIF camera with a dome and a digital input", "onvif-camera", served.onvif_camera,
           "onvif/camera", ("http",), bad=("slow", "garbled", "old", "frozen", "black")),
    Single("snmp", "a switch with PoE, read by SNMP 2c", "snmp", served.snmp, "generic/snmp-switch", ("snmp",),
           bad=("silent", "garbled", "refusing", "endless", "wrong-id")),
    Single("ntp", "a time server", "ntp", served.ntp, "generic/ntp", ("ntp",),
           bad=("silent", "garbled", "lying", "unsynchronised", "replaying")),
    Single("gb28181", "a platform above that registers lower ones (GB/T 28181)", "gb28181", served.gb28181,
           "generic/gb28181-platform", ("sip",), bad=("slow", "garbled", "silent")),
)  # fmt: skip
DEVICES: Final = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line, as it stands."""

    listen: str = ""
    to: str = ""
    user: str = ""
    password: str = ""
    """Where it is, never the password."""
    profile: str = ""
    misbehave: Sequence[str] = ()
    seed: int = 1
    count: int = 1
    every_s: float = 5.0


def wish(made: Single, asked: Asked) -> Wish:
    """Return what is wished of a device; raise ConfigInvalid with what it can do."""
    profile = load_profile(asked.profile or made.profile)
    if profile.driver != made.driver:
        fitting = ", ".join(name for name in profile_names() if load_profile(name).driver == made.driver)
        detail = f"{profile.name} is a profile of {profile.driver}, not of {made.driver}"
        raise ConfigInvalid(detail, place="--profile", cure=f"one of: {fitting}")
    if unknown := sorted(set(asked.misbehave) - set(made.bad)):
        known = ", ".join(made.bad)
        raise ConfigInvalid(f"a {made.name} does no {', '.join(unknown)}", place="--misbehave", cure=f"one of: {known}")
    if asked.count != 1 and not made.counts:
        raise ConfigInvalid(f"there is one {made.name}", place="--count", cure="start it again for another")
    if made.calls and asked.listen:
        raise ConfigInvalid(f"a {made.name} calls", place="--listen", cure="say whom with --to")
    if made.listens and asked.to:
        raise ConfigInvalid(f"a {made.name} is called", place="--to", cure="say where with --listen")
    if asked.user and (made.counts or made.listens):
        raise ConfigInvalid(f"a {made.name} has no login to give", place="--user", cure="leave it out")
    return Wish(
        profile=profile,
        **({"place": parse_place(asked.listen, made)} if made.listens else {"to": parse_target(asked.to, made)}),
        login=Login(asked.user, read_secret(asked.password) if asked.password else "") if asked.user else None,
        seed=asked.seed,
        bad=frozenset(asked.misbehave),
        count=asked.count,
        every_s=asked.every_s,
    )


def told(made: Single, wished: Wish, running: Running) -> dict[str, Any]:
    """Return what is told of a running device: where it is, and what goes into a site file."""
    entry: dict[str, Any] = {
        "id": f"sim-{made.name}",
        "driver": made.driver,
        "profile": wished.profile.name,
        "link": running.link or running.url,
    }
    entry |= {"settings": dict(running.settings)} if running.settings else {}
    entry |= {"access": dict(running.access)} if running.access else {}
    return {
        "device": made.name,
        "url": running.url,
        "entry": entry if running.device else None,
        "toml": as_toml(entry) if running.device else "",
        "settings": dict(running.settings),
        "environ": dict(running.environ),
    }


async def run(
    made: Single,
    wished: Wish,
    began: Callable[[dict[str, Any]], None],
    tell: Callable[[str], None],
    stopping: asyncio.Event | None = None,
) -> None:
    """Run a device until SIGINT, SIGTERM or `stopping`; `began` hears where it is. Raises LinkLost, ConfigInvalid."""
    stop = stopping or asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(made.open(wished))
        except OSError as error:
            raise LinkLost(f"cannot listen: {error.strerror or error}", place="--listen") from error
        began(told(made, wished, running))
        living = asyncio.create_task(_live(running, tell), name=made.name)
        waiting = asyncio.create_task(stop.wait(), name="stopping")
        try:
            await asyncio.wait((living, waiting), return_when=asyncio.FIRST_COMPLETED)
            if living.done():
                living.result()
        finally:
            living.cancel()
            waiting.cancel()
            await asyncio.gather(living, waiting, return_exceptions=True)


async def _live(running: Running, tell: Callable[[str], None]) -> None:
    if running.live is not None:
        await running.live(tell)
    await asyncio.get_running_loop().create_future()
