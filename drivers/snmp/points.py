"""Scalars and tables that a profile names: what differs between makers is data."""

from collections.abc import Mapping

from drivers.facts import DeviceSignal, Fact, Measured
from drivers.snmp.facts import LicenceTold
from drivers.snmp.layout import Point, Scalar, SnmpMap, Table
from drivers.snmp.memory import Answer, Counters, Description, Query, Told, labels
from drivers.snmp.values import Value, date_of, number_of, text_of


class _Reading:
    """What values of points mean; `row` is empty for a scalar."""

    def __init__(self, layout: SnmpMap, description: Description) -> None:
        self._layout = layout
        self._description = description
        self.counters = Counters()
        self.told = Told()

    def number(self, point: Point, row: str, value: Value, at_ms: int) -> float | None:
        """Return a gauge's value or a counter's rate, in its unit; None where there is none."""
        if isinstance(value, int) and value in point.invalid:
            return None
        found: float | None
        if point.kind == "counter":
            found = (
                self.counters.rate(point.name, row, value, at_ms, bits=point.bits, ceiling=point.max)
                if isinstance(value, int)
                else None
            )
            return None if found is None else found * point.scale
        found = number_of(value)
        if found is None:
            return None
        found *= point.scale
        low, high = point.min, point.max
        return None if (low is not None and found < low) or (high is not None and found > high) else found

    def words(self, point: Point, row: str, value: Value) -> list[Fact]:
        """Return what an enum, a text or a date says, where that is new."""
        if point.kind == "date":
            return self._licence(point, row, value)
        text = text_of(value)
        text = point.words.get(text, text) if point.kind == "enum" else text
        if point.tells:
            self._description.learn(**{point.tells: text})
            return self._description.news()
        signal = self.told.signal(point.name, text in point.alarm, row) if point.alarm else []
        return [*self.told.text(point.name, text, row), *signal]

    def _licence(self, point: Point, row: str, value: Value) -> list[Fact]:
        text = text_of(value) if not isinstance(value, bytes) or value.isascii() else value.hex()[:64]
        known = date_of(value, point.formats)
        endless = text.lower() in self._layout.perpetual_words or known in self._layout.perpetual_dates
        readable = endless or known is not None
        facts: list[Fact] = [*self.told.signal(f"{point.name}_unreadable", not readable, row)]
        if readable and self.told.changed(point.name, text, row):
            facts.append(LicenceTold(row or point.name, None if endless else known, text))
        return facts


class ScalarPoints:
    """All scalars of a profile, grouped by their interval."""

    def __init__(self, layout: SnmpMap, description: Description) -> None:
        self._points: dict[str, tuple[Scalar, ...]] = {}
        self._reading = _Reading(layout, description)
        groups: dict[int, list[Scalar]] = {}
        for point in layout.scalar:
            groups.setdefault(point.interval_ms, []).append(point)
        self._queries = tuple(
            Query(f"scalars_{interval}", interval, scalars=tuple(point.oid for point in points))
            for interval, points in sorted(groups.items())
        )
        self._points = {f"scalars_{interval}": tuple(points) for interval, points in groups.items()}

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return one query for each interval."""
        return self._queries

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:
        """Return readings, and words that changed."""
        facts: list[Fact] = []
        readings: dict[str, float] = {}
        for point in self._points[query.name]:
            value = answer.scalars.get(point.oid)
            if value is None:
                continue
            if point.kind not in {"gauge", "counter"}:
                facts += self._reading.words(point, "", value)
            elif (number := self._reading.number(point, "", value, at_ms)) is not None:
                readings[point.name] = number
        return [*facts, Measured(readings)] if readings else facts

    def forget(self) -> None:
        """Forget the counters."""
        self._reading.counters.clear()


class TablePoints:
    """One table of a profile."""

    def __init__(self, table: Table, layout: SnmpMap, description: Description) -> None:
        self._table = table
        self._reading = _Reading(layout, description)
        oids = [point.oid for point in table.column]
        columns = tuple(dict.fromkeys([*([table.label] if table.label else []), *oids]))
        self._query = Query(f"table_{table.name}", table.interval_ms, columns=columns, rows=table.rows)

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return the table's one query."""
        return (self._query,)

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:  # noqa: ARG002 there is but one
        """Return readings by row, and words that changed."""
        rows = self._rows(answer)
        facts: list[Fact] = []
        readings: dict[str, float] = {}
        for index, label in rows.items():
            numbers = self._numbers(answer, index, label, at_ms, facts)
            for point in self._table.column:
                whole = numbers.get(point.of, 0.0)
                if point.name not in numbers or (point.of and not whole):
                    continue
                number = numbers[point.name]
                readings[f"{point.name}[{label}]"] = 100 * number / whole if point.of else number
        self._reading.counters.only(rows.values())
        gone: list[Fact] = [fact for fact in self._reading.told.only(rows.values()) if isinstance(fact, DeviceSignal)]
        facts += gone
        return [*facts, Measured(readings)] if readings else facts

    def forget(self) -> None:
        """Forget the counters."""
        self._reading.counters.clear()

    def _rows(self, answer: Answer) -> Mapping[str, str]:
        indexes = {index: "" for point in self._table.column for index in answer.column(point.oid)}
        named = answer.column(self._table.label) if self._table.label else {}
        found = labels({index: named.get(index, "") for index in indexes})
        keep = self._table.keep
        return {index: label for index, label in found.items() if not keep or label.startswith(keep)}

    def _numbers(self, answer: Answer, index: str, label: str, at_ms: int, facts: list[Fact]) -> dict[str, float]:
        """Return the numbers of a row by their points; what is no number goes to `facts`."""
        numbers: dict[str, float] = {}
        for point in self._table.column:
            value = answer.column(point.oid).get(index)
            if value is None:
                continue
            if point.kind not in {"gauge", "counter"}:
                facts += self._reading.words(point, label, value)
            elif (number := self._reading.number(point, label, value, at_ms)) is not None:
                numbers[point.name] = number
        return numbers
