"""Figures and their table: what was measured, what was aimed at, this machine's limit, and what others did.

`OTHERS` was measured on machines of this kind with the programs named, not in this run: it is printed as remembered.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `limit` is this machine's in the same run; `ratio` the median of value / limit by pairs."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    limit: float | None = None
    limit_of: str = ""
    ratio: float | None = None
    others: str = ""
    note: str = ""

    @property
    def good(self) -> bool | None:
        """Tell whether the aim is met; None without an aim."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None

    @property
    def aim(self) -> str:
        """Return the aim in words."""
        if self.at_least is not None:
            return f">= {short(self.at_least)}"
        return f"<= {short(self.at_most)}" if self.at_most is not None else ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"good": self.good}


OTHERS = {
    "events": "events/s: ThingsBoard gateway 1,360; Node-RED 20,600 (nothing persisted); NATS leaf 15,200-19,200; "
    "bare forwarder with SQLite 25,300; bare MQTT to COPY 31,000, to SQLite 27,500",
    "cpu": "CPU-s per 10k events: ThingsBoard gateway 8.3",
    "command": "command p50 in ms: ThingsBoard gateway 263; Node-RED 44",
    "modbus": "500 Modbus devices at 1 Hz: ThingsBoard gateway 62 % of a core",
}


def short(value: float) -> str:
    """Return a value with three digits that count, thousands parted."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits)}f}" if digits < 6 else f"{value:.2g}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the middle value; the lower one of two."""
    return quantile(values, 0.5)


def table(figures: Sequence[Figure]) -> str:
    """Return the table as text."""
    rows = [("", "measured", "aim", "limit here", "ratio")]
    for one in figures:
        mark = {True: "", False: "  MISSED", None: ""}[one.good]
        limit = f"{short(one.limit)} {one.limit_of}" if one.limit is not None else ""
        ratio = f"{one.ratio:.2f}" if one.ratio is not None else ""
        rows.append((one.name, f"{short(one.value)} {one.unit}", one.aim + mark, limit, ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"  {one.name}: {one.note}" for one in figures if one.note]
    remembered = dict.fromkeys(one.others for one in figures if one.others)
    lines += [f"  Remembered from others, not this run: {others}" for others in remembered]
    return "\n".join(lines)
