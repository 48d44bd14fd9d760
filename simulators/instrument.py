"""An instrument, a UPS or an environment transmitter behind the registers of its profile, for `simulators.modbus`.

meter = Instrument(profile, seed=7)
async with serve_tcp({1: meter.bank}) as server:
    meter.set("draught_m", 7.25)
    meter.faults.swapped = True
    server.faults[1].dead = True        # silent: that is the line's, not the instrument's
"""

import math
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.base import Space
from drivers.modbus_points import Point, PointMap, Signal, Text, Type, grouped
from drivers.modbus_values import Kind, Order, registers_of
from drivers.profile import Profile, checked_map
from simulators.modbus import Bank

_PERIOD_S: Final = (600.0, 3_600.0)
_SWING: Final = 0.1
_SPAN: Final = 100.0
"""Of a point without limits."""


@dataclass(slots=True)
class InstrumentFaults:
    """How an instrument misbehaves; set while it runs."""

    sentinel: set[str] = field(default_factory=set)
    """Points that say they have no value, by the first of the profile's sentinels."""
    implausible: set[str] = field(default_factory=set)
    """Points that jump beyond their limits."""
    swapped: bool = False
    """Words of wider values come in the other order, as after a firmware that changed it."""


class Instrument:
    """The values of one device: each follows a curve that depends on the seed and the clock alone, unless it is set."""

    def __init__(self, profile: Profile, *, seed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.faults = InstrumentFaults()
        self.texts = {"model": profile.model, "firmware": "1.0", "serial": f"SIM{seed:05d}"}
        self._layout = checked_map(profile, PointMap)
        self._points = {point.name: point for point in self._layout.point}
        self._signals = {signal.topic: signal for signal in self._layout.signal}
        self._seed = seed
        self._clock = clock
        self._set: dict[str, float] = {}
        self._on: dict[str, bool] = dict.fromkeys(self._signals, False)
        self.bank = Bank(before_read=lambda *_: self._refresh())
        for group in grouped(self._layout):
            poll = group.poll
            self._cells(poll.space).update(dict.fromkeys(range(poll.address, poll.address + poll.count), 0))

    def value(self, name: str) -> float:
        """Return what a point shows now, in its unit, before any misbehaviour."""
        return self._set.get(name, self._curve(self._points[name]))

    def set(self, name: str, value: float) -> None:
        """Hold a point at a value."""
        self._set[self._points[name].name] = value

    def switch(self, topic: str, *, on: bool) -> None:
        """Turn a switch."""
        self._on[self._signals[topic].topic] = on

    def _curve(self, point: Point) -> float:
        draw = random.Random(f"{self._seed}:{point.name}")
        low = point.min if point.min is not None else 0.0
        high = point.max if point.max is not None else low + _SPAN
        period_s, phase = draw.uniform(*_PERIOD_S), draw.random()
        wave = math.sin(2 * math.pi * (self._clock() / period_s + phase))
        return (low + high) / 2 + (high - low) / 2 * _SWING * wave

    def _refresh(self) -> None:
        for cells in (self.bank.coils, self.bank.discretes, self.bank.holdings, self.bank.inputs):
            cells.update(dict.fromkeys(cells, 0))
        for point in self._points.values():
            self._cells(point.space).update(enumerate(self._shown(point), point.address))
        for signal in self._signals.values():
            self._show_switch(signal)
        for text in self._layout.text:
            self._cells(text.space).update(enumerate(self._text_registers(text), text.address))

    def _shown(self, point: Point) -> tuple[int, ...]:
        if point.name in self.faults.sentinel:
            registers = _unsigned_registers(point.invalid[0], point.words, point.order)
        else:
            value = self.value(point.name)
            if point.name in self.faults.implausible:
                value = _beyond(point, value)
            registers = registers_for(point, value)
        return registers[::-1] if self.faults.swapped else registers

    def _show_switch(self, signal: Signal) -> None:
        wanted = signal.on if self._on[signal.topic] != signal.invert else signal.off
        cells = self._cells(signal.space)
        cells[signal.address] |= wanted[0] << (signal.bit or 0)

    def _text_registers(self, text: Text) -> tuple[int, ...]:
        raw = self.texts[text.tells].encode("ascii")[: 2 * text.length].ljust(2 * text.length)
        return struct.unpack(f">{text.length}H", raw)

    def _cells(self, space: Space) -> dict[int, int]:
        bank = self.bank
        return {
            Space.COIL: bank.coils,
            Space.DISCRETE: bank.discretes,
            Space.HOLDING: bank.holdings,
            Space.INPUT: bank.inputs,
        }[space]


def registers_for(point: Point, value: float) -> tuple[int, ...]:
    """Return the registers that show a value; raise FrameInvalid if it does not fit."""
    raw = (value - point.offset) / point.scale
    match point.type:
        case Type.F64:
            return _unsigned_registers(struct.unpack(">Q", struct.pack(">d", raw))[0], 4, point.order)
        case Type.U64:
            return _unsigned_registers(round(raw), 4, point.order)
        case Type.BCD | Type.BCD32:
            return _unsigned_registers(int(str(round(raw)), 16), point.words, point.order)
        case Type.F32:
            return registers_of(raw, Kind.F32, point.order)
        case _:
            return registers_of(round(raw), Kind(point.type.value), point.order)


def _unsigned_registers(value: int, words: int, order: Order) -> tuple[int, ...]:
    plain = [value >> 16 * place & 0xFFFF for place in reversed(range(words))]
    if order in {Order.CDAB, Order.DCBA}:
        plain.reverse()
    if order in {Order.BADC, Order.DCBA}:
        plain = [word >> 8 | (word & 0xFF) << 8 for word in plain]
    return tuple(plain)


def _beyond(point: Point, value: float) -> float:
    """Return a value outside a point's limits that its registers can still show, if there is one."""
    if point.max is not None:
        return point.max + abs(point.max) * 0.05 + 1
    return value if point.min is None else point.min - 1
