"""What devices tell of themselves, against the clock and in words that people can be told: findings of the board.

Promises
1. A finding is told when its reason comes, changes or goes, not with every fact; the board is asked for nothing else.
2. Dates are judged when they are told and every hour: what ends soon is mild, what has ended makes a device sick.
3. What is kept is bounded: so many conditions of each device, and no text longer than a line.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from drivers.facts import Fact
from edge.board import Finding

SOON_D: Final = 30
_MOST: Final = 32
_HOUR_S: Final = 3600.0
_CLOCK_S: Final = (5.0, 3.0)
"""A clock this far off is wrong; nearer than the second it is right again."""

WATCHED: Final = frozenset(
    {"sensor_fault", "poe_fault", "poe_supply_fault", "table_truncated", "antenna_fault"}
    | {"lens_dirty", "mark_not_found", "probe_lost", "flow_lost"}
)
"""Signals that say, when on, that somebody should look after the device, beside `edge.reporting.ALARMS`."""

_OF_DATES: Final = {
    "calibration": (Finding("calibration_due", mild=True), Finding("calibration_over")),
    "licence": (Finding("licence_ends", mild=True), Finding("licence_over")),
    "certificate": (Finding("certificate_ends", mild=True), Finding("certificate_over")),
}
"""What is told of a day that is near, and of one that is over."""

Noted = Callable[[str, str, Finding | None], None]


class Conditions:
    """The conditions of all devices. `noted` hears (device, name of the condition, finding or None)."""

    def __init__(self, noted: Noted, wall: Callable[[], datetime]) -> None:
        self._noted = noted
        self._wall = wall
        self._now: dict[str, dict[str, Finding]] = {}
        self._dates: dict[tuple[str, str], tuple[str, date, Mapping[str, Any]]] = {}

    def fact(self, device: str, fact: Fact) -> None:
        """Take a fact; most say nothing here."""
        # By name, since importing the drivers of all facts would load them into daemons that do not use them.
        rule = _RULES.get(type(fact).__name__)
        if rule is not None:
            rule(self, device, fact)

    def of(self, device: str) -> Mapping[str, Finding]:
        """Return the conditions of a device by their names."""
        return self._now.get(device, {})

    async def run(self) -> None:
        """Judge all dates every hour; runs for ever."""
        while True:
            await asyncio.sleep(_HOUR_S)
            self.judge()

    def judge(self) -> None:
        """Judge all dates by the clock as it is now."""
        for (device, name), (kind, day, args) in self._dates.items():
            self._judge_date(device, name, kind, day, args)

    def _set(self, device: str, name: str, finding: Finding | None) -> None:
        known = self._now.setdefault(device, {})
        if known.get(name) == finding or (finding is not None and name not in known and len(known) >= _MOST):
            return
        if finding is None:
            known.pop(name, None)
        else:
            known[name] = finding
        self._noted(device, name, finding)

    def _date(self, device: str, name: str, kind: str, day: date | None, args: Mapping[str, Any]) -> None:
        key = (device, name)
        if day is None:
            self._dates.pop(key, None)
            self._set(device, name, None)
        elif key in self._dates or len(self.dates(device)) < _MOST:
            self._dates[key] = (kind, day, args)
            self._judge_date(device, name, kind, day, args)

    def dates(self, device: str) -> Mapping[str, date]:
        """Return the dates of a device by the names of their conditions."""
        return {name: day for (one, name), (_, day, _) in self._dates.items() if one == device}

    def _judge_date(self, device: str, name: str, kind: str, day: date, args: Mapping[str, Any]) -> None:
        left_d = (day - self._wall().astimezone().date()).days
        told = {**args, "until": day.isoformat(), "left_d": left_d}
        soon, over = _OF_DATES[kind]
        finding = replace(soon, args=told) if left_d >= 0 else replace(over, args=told)
        self._set(device, name, finding if left_d < SOON_D else None)

    # What a fact says; the facts are of their drivers, so their fields are read as they stand there.

    def _calibration(self, device: str, fact: Any) -> None:
        self._date(device, "calibration", "calibration", fact.due, {"certificate": _line(fact.certificate)})

    def _licence(self, device: str, fact: Any) -> None:
        name = _line(fact.name)
        self._date(device, f"licence {name}", "licence", fact.until, {"name": name})

    def _desk(self, device: str, fact: Any) -> None:
        desk, locked, told = _line(fact.desk), None, set[str]()
        for one in fact.certificates[:_MOST]:
            args = {"desk": desk, "serial": _line(one.serial)}
            name = f"certificate {desk} {args['serial']}"
            told.add(name)
            day = one.not_after.astimezone(UTC).date() if one.not_after else None
            self._date(device, name, "certificate", day, args)
            locked = Finding("pin_locked", args) if one.pin_locked else locked
        for name in self.dates(device).keys() - told:
            if name.startswith(f"certificate {desk} "):
                self._date(device, name, "certificate", None, {})
        self._set(device, f"pin {desk}", locked)

    def _signal(self, device: str, fact: Any) -> None:
        topic, source = fact.topic, _line(fact.source)
        match topic:
            case "unsynchronised":
                self._set(device, topic, Finding("time_unsynchronised", {"problem": source}) if fact.on else None)
            case "offset_large":
                self._set(device, topic, Finding("time_offset", {}) if fact.on else None)
            case _ if topic in WATCHED or topic.endswith("_unreadable"):
                told = Finding("signal", {"topic": topic, "source": source})
                self._set(device, f"signal {topic} {source}"[:128], told if fact.on else None)

    def _measured(self, device: str, fact: Any) -> None:
        readings, known = fact.readings, self.of(device)
        offset_s = readings.get("clock_offset_s")
        if offset_s is not None:
            wrong, right = _CLOCK_S
            is_wrong = abs(offset_s) > (right if "clock" in known else wrong)
            if not is_wrong or "clock" not in known:
                self._set(device, "clock", Finding("clock", {"offset_s": round(offset_s, 1)}) if is_wrong else None)
        if "offset_ms" in readings and "offset_large" in known:
            self._set(device, "offset_large", Finding("time_offset", {"offset_ms": round(readings["offset_ms"])}))

    def _stream(self, device: str, fact: Any) -> None:
        args = {"why": _line(fact.why), "detail": _line(fact.detail)}
        self._set(device, "stream", None if fact.delivers else Finding("stream_silent", args))

    def _slot(self, device: str, fact: Any) -> None:
        args = {"slot": fact.slot, "fault": _line(fact.fault), "equipment": _line(fact.equipment)}
        self._set(device, f"slot {fact.slot}", Finding("slot_fault", args) if fact.kind == "fault" else None)


_Rule = Callable[[Conditions, str, Any], None]
_RULES: Final[Mapping[str, _Rule]] = {
    "CalibrationStated": Conditions._calibration,  # noqa: SLF001 its own table
    "LicenceTold": Conditions._licence,  # noqa: SLF001
    "DeskReported": Conditions._desk,  # noqa: SLF001
    "DeviceSignal": Conditions._signal,  # noqa: SLF001
    "Measured": Conditions._measured,  # noqa: SLF001
    "SlotChanged": Conditions._slot,  # noqa: SLF001
    "StreamJudged": Conditions._stream,  # noqa: SLF001
}
"""By the name of the fact's class."""


def _line(text: str) -> str:
    return text[:64]
