"""Blocks of registers -> readings, switches and doubts, as a `PointMap` says.

Promises:
- A value that is a sentinel, implausible, no number, or a jump not yet confirmed is never in `Measured`.
- A doubt is told when it begins and when it ends, not at every poll.
- A switch is told at the first look (`baseline`) and when it changes.
- Keeps one value a point; nothing grows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Poll, Write
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured
from drivers.modbus_points import (
    NotBcd,
    NotText,
    Point,
    PointDoubtful,
    PointMap,
    PointTrusted,
    Signal,
    Text,
    grouped,
    hexadecimal,
    raw_of,
    text_of,
    unsigned_of,
)

_QUIET_POLLS: Final = 60
"""A value within its deadband is told again after so many polls, so that a constant is not taken for silence."""


@dataclass(slots=True)
class _Kept:
    """What is known of one point."""

    told: float | None = None
    quiet: int = 0
    good: float | None = None
    candidate: float | None = None


class PointObserver:
    """The register map of one device whose profile lists points."""

    def __init__(self, layout: PointMap, *, vendor: str = "", model: str = "", source: str = "") -> None:
        self._groups = {group.poll.name: group for group in grouped(layout)}
        self._source = source
        self._kept = {point.name: _Kept() for point in layout.point}
        self._doubts: dict[str, str] = {}
        self._on: dict[str, bool] = {}
        self._texts: dict[str, str] = {}
        self._described = DeviceDescribed(vendor=vendor, model=model)
        self._told_described = False

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the blocks to read."""
        return tuple(group.poll for group in self._groups.values())

    @property
    def signals(self) -> dict[str, bool]:
        """Return the switches as they are known."""
        return dict(self._on)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the facts of one block; raise FrameInvalid where it has not the size that was asked."""
        group = self._groups[poll.name]
        if len(values) != poll.count:
            raise FrameInvalid(f"{len(values)} cells, {poll.count} were asked", place=poll.name)
        facts: list[Fact] = []
        readings: dict[str, float] = {}
        for row in group.rows:
            cells = group.cells(row, values)
            match row:
                case Point():
                    facts.extend(self._point(row, cells, readings))
                case Signal():
                    facts.extend(self._signal(row, cells[0]))
                case Text():
                    facts.extend(self._text(row, cells))
        facts.extend(self._description())
        return (Measured(readings), *facts) if readings else tuple(facts)

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Refuse: what only measures takes no commands."""
        raise Unsupported(f"this device only measures: it has no {type(command).__name__}")

    def doubt(self, name: str, why: str, raw: str) -> Sequence[Fact]:
        """Return what to tell of a doubt, or with an empty `why` of its end: nothing where it is told already."""
        before = self._doubts.get(name, "")
        if why == before:
            return ()
        if why:
            self._doubts[name] = why
            return (PointDoubtful(name, why, raw),)
        del self._doubts[name]
        return (PointTrusted(name),)

    def _point(self, point: Point, cells: tuple[int, ...], readings: dict[str, float]) -> Sequence[Fact]:
        kept = self._kept[point.name]
        value, why = _judged(point, cells)
        if not why and point.max_step is not None:
            why = _stepped(kept, value, point.max_step)
        if not why and _worth_telling(kept, value, point.deadband):
            readings[point.name] = value
        return self.doubt(point.name, why, hexadecimal(cells))

    def _signal(self, signal: Signal, cell: int) -> Sequence[Fact]:
        value = cell if signal.bit is None else cell >> signal.bit & 1
        if value not in (*signal.on, *signal.off):
            return self.doubt(signal.topic, "unknown_value", hexadecimal((cell,)))
        facts = list(self.doubt(signal.topic, "", ""))
        on = (value in signal.on) != signal.invert
        before = self._on.get(signal.topic)
        self._on[signal.topic] = on
        if on != before:
            facts.append(DeviceSignal(signal.topic, on=on, source=self._source, baseline=before is None))
        return facts

    def _text(self, text: Text, cells: tuple[int, ...]) -> Sequence[Fact]:
        try:
            self._texts[text.tells] = text_of(cells)
        except NotText:
            return self.doubt(text.tells, "not_text", hexadecimal(cells))
        return self.doubt(text.tells, "", "")

    def _description(self) -> Sequence[Fact]:
        before = self._described
        now = DeviceDescribed(
            vendor=before.vendor,
            model=self._texts.get("model") or before.model,
            firmware=self._texts.get("firmware", ""),
            serial=self._texts.get("serial", ""),
        )
        if now == before and self._told_described:
            return ()
        self._described, self._told_described = now, True
        return (now,)


def _judged(point: Point, cells: tuple[int, ...]) -> tuple[float, str]:
    """Return the value in the point's unit, and why it is doubtful, empty where it is not."""
    if unsigned_of(cells, point.order) in point.invalid:
        return math.nan, "sentinel"
    try:
        # Nine places: finer than any scale here (1/512), coarser than the noise of binary tenths.
        value = round(raw_of(cells, point.type, point.order) * point.scale + point.offset, 9)
    except NotBcd:
        return math.nan, "not_bcd"
    except OverflowError:
        return math.nan, "not_a_number"
    if not math.isfinite(value):
        return value, "not_a_number"
    low, high = point.min, point.max
    if (low is not None and value < low) or (high is not None and value > high):
        return value, "implausible"
    return value, ""


def _stepped(kept: _Kept, value: float, most: float) -> str:
    """Judge a step: one too wide is doubted, and believed when the next poll says the same."""
    near = kept.good is None or abs(value - kept.good) <= most
    confirmed = kept.candidate is not None and abs(value - kept.candidate) <= most
    if near or confirmed:
        kept.good, kept.candidate = value, None
        return ""
    kept.candidate = value
    return "jump"


def _worth_telling(kept: _Kept, value: float, deadband: float) -> bool:
    kept.quiet += 1
    if kept.told is not None and deadband and abs(value - kept.told) < deadband and kept.quiet < _QUIET_POLLS:
        return False
    kept.told, kept.quiet = value, 0
    return True
