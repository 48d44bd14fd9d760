"""Where a Modbus device is: `modbus+tcp://host:502?unit=1&timeout_ms=500`, `modbus+rtu:///dev/ttyS0?baud=9600&unit=3`.

Devices whose URLs differ only in `unit` and `timeout_ms` are on one bus: equal `BusAddress`, one owner.
"""

import time
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from core.errors import ConfigInvalid
from drivers.modbus_client import AsciiAsker, Asker, RtuAsker, TcpAsker
from edge.links.modbus import Bus, Timing
from edge.links.modbus_wire import Clock, Opener, open_serial, open_tcp

SCHEMES: Final = ("modbus+tcp", "modbus+rtu", "modbus+rtutcp", "modbus+ascii")
"""`rtutcp` is RTU frames through a serial device server."""
_LINE_KEYS: Final = {"baud", "parity", "stop"}
_UNIT_KEYS: Final = {"unit", "timeout_ms"}
_BAUDS: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
_MAX_TIMEOUT_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class BusAddress:
    """One TCP connection (`host`, `port`) or one serial line (`device`, `baud`, `parity`, `stop`)."""

    scheme: str
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    stop: int = 1

    def __str__(self) -> str:
        if self.device:
            return f"{self.scheme}://{self.device}?baud={self.baud}&parity={self.parity}&stop={self.stop}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ModbusUrl:
    """One device: its bus, its unit there, and how long it may take to answer."""

    bus: BusAddress
    unit: int
    timeout_s: float


def parse_modbus_url(url: str) -> ModbusUrl:
    """Read a URL; raise ConfigInvalid with the allowed values."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigInvalid(f"scheme {parts.scheme!r}", place=url, cure=f"one of: {', '.join(SCHEMES)}")
    serial = parts.scheme in {"modbus+rtu", "modbus+ascii"}
    keys = _keys(url, parts.query, _UNIT_KEYS | (_LINE_KEYS if serial else set()))
    bus = _line(url, parts.scheme, parts.path, keys) if serial else _peer(url, parts.scheme)
    if serial and parts.netloc:
        raise ConfigInvalid(f"{parts.netloc!r} before the path", place=url, cure="three slashes: modbus+rtu:///dev/...")
    unit = _number(url, "unit", keys.get("unit", "1"), 0, 255 if bus.host else 247)
    timeout_ms = _number(url, "timeout_ms", keys.get("timeout_ms", "500"), 10, _MAX_TIMEOUT_MS)
    return ModbusUrl(bus, unit, timeout_ms / 1000)


def timing_of(address: BusAddress) -> Timing:
    """Return the timing of a bus (Modbus over Serial Line V1.02, 2.5.1.1: 3.5 characters, 1.75 ms above 19200 baud)."""
    if not address.device:
        return replace(Timing(), renew_after=3 if address.scheme == "modbus+tcp" else 0)
    data_bits = 7 if address.scheme == "modbus+ascii" else 8
    char_s = (1 + data_bits + (address.parity != "N") + address.stop) / address.baud
    gap_s = max(0.00175, 3.5 * char_s) if address.baud <= 19200 else 0.00175
    return replace(Timing(), char_s=char_s, gap_s=gap_s, settle_s=max(0.02, 2 * gap_s))


def open_bus(address: BusAddress, *, timing: Timing | None = None, clock: Clock = time.monotonic) -> Bus:
    """Return the bus of an address; nothing is opened before its `run`."""
    return Bus(
        name=str(address),
        open_transport=_opener(address),
        framing=_FRAMINGS[address.scheme],
        timing=timing or timing_of(address),
        clock=clock,
    )


_FRAMINGS: Final[dict[str, type[Asker]]] = {
    "modbus+tcp": TcpAsker,
    "modbus+rtu": RtuAsker,
    "modbus+rtutcp": RtuAsker,
    "modbus+ascii": AsciiAsker,
}


def _opener(address: BusAddress) -> Opener:
    if not address.device:
        return open_tcp(address.host, address.port)
    return open_serial(
        address.device,
        baud=address.baud,
        parity=address.parity,
        stop_bits=address.stop,
        data_bits=7 if address.scheme == "modbus+ascii" else 8,
    )


def _keys(url: str, query: str, allowed: set[str]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    keys = dict(pairs)
    if unknown := sorted(keys.keys() - allowed):
        raise ConfigInvalid(f"unknown {', '.join(unknown)}", place=url, cure=f"one of: {', '.join(sorted(allowed))}")
    if len(keys) < len(pairs):
        raise ConfigInvalid("a key stands twice", place=url)
    return keys


def _line(url: str, scheme: str, path: str, keys: dict[str, str]) -> BusAddress:
    if len(path) < 2:
        raise ConfigInvalid("no serial device", place=url, cure=f"{scheme}:///dev/ttyS0")
    baud = _number(url, "baud", keys.get("baud", "9600"), _BAUDS[0], _BAUDS[-1])
    parity, stop = keys.get("parity", "N"), keys.get("stop", "1")
    if baud not in _BAUDS:
        raise ConfigInvalid(f"baud {baud}", place=url, cure=f"one of: {', '.join(map(str, _BAUDS))}")
    if parity not in {"N", "E", "O"}:
        raise ConfigInvalid(f"parity {parity!r}", place=url, cure="one of: N, E, O")
    return BusAddress(scheme, device=path, baud=baud, parity=parity, stop=_number(url, "stop", stop, 1, 2))


def _peer(url: str, scheme: str) -> BusAddress:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigInvalid(f"port: {error}", place=url) from error
    if not parts.hostname or parts.username or parts.path not in {"", "/"}:
        raise ConfigInvalid("not host and port", place=url, cure=f"{scheme}://host:502?unit=1")
    return BusAddress(scheme, host=parts.hostname, port=502 if port is None else port)


def _number(url: str, key: str, text: str, low: int, high: int) -> int:
    if text.isascii() and text.isdigit() and low <= int(text) <= high:
        return int(text)
    raise ConfigInvalid(f"{key} {text!r}", place=url, cure=f"{low}..{high}")
