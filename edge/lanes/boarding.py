"""A boarding: the meeting of one aircraft at one cabin, from its opening to its sealed summary. Values, no clock.

Promises
1. Each passenger is one row: a second attempt with the same token joins the first.
2. Whatever the order, verified + held + released_by_officer + refused == seen == expected - no_show + unexpected.
3. Who has left by the exit stays counted as they left; an officer's refusal stays until an officer rules again.
4. The summary is the exact text that is signed, under a purpose of its own; it binds every row by a digest.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.messages.cabin_events import BoardingClosed, BoardingCounts, BoardingOpened
from core.messages.commands import Meeting

MAX_ROWS: Final = 1_300
"""With them, and as many expected, a memo stays below the 256 KiB that the buffer takes."""
_PURPOSE: Final = b"gatefleet/v1/boarding\n"

_Name = Annotated[str, Field(min_length=1, max_length=64)]


class Outcome(StrEnum):
    """How it stands with a passenger."""

    VERIFIED = "verified"
    HELD = "held"
    RELEASED = "released_by_officer"
    REFUSED = "refused"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenBoarding(Meeting):
    """An officer wants to meet an aircraft."""

    officer: _Name
    at: AwareDatetime


class CloseBoarding(_Value):
    """An officer has met everybody who came."""

    officer: _Name
    at: AwareDatetime


class Row(_Value):
    """One passenger."""

    outcome: Outcome
    expected: bool
    attempts: int = 1
    last: int
    """The number of the last visit."""
    left: bool = False


@dataclass(frozen=True, slots=True)
class Seal:
    """How a summary is sealed: SM2 or whatever the site's suite is."""

    key_id: str
    sign: Callable[[bytes], str]
    """Raises GatefleetError where the key cannot be used."""
    digest: Callable[[bytes], str]
    """With the algorithm's name in front: `sm3:...`."""


class BoardingSummary(_Value):
    """What is sealed."""

    version: Literal[1] = 1
    cabin: str
    boarding: str
    flight: str
    stand: str
    opened_by: str
    opened_at: AwareDatetime
    closed_by: str
    closed_at: AwareDatetime
    counts: BoardingCounts
    visits: int
    anomalies: int
    passengers_digest: str
    """Over the rows as `passengers_text` writes them."""

    def text(self) -> str:
        """Return the canonical JSON: names sorted, no spaces, UTF-8."""
        return canonical(self.model_dump(mode="json"))


class Boarding(_Value):
    """An open boarding; every change is a new value."""

    boarding: str
    flight: str
    stand: str
    officer: str
    opened_at: AwareDatetime
    expected: int
    tokens: tuple[str, ...] = ()
    rows: dict[str, Row] = Field(default_factory=dict)
    """By token, or by attempt where no document could be read."""
    visits: int = 0
    anomalies: int = 0

    @classmethod
    def of(cls, ask: OpenBoarding) -> Self:
        """Return a boarding that begins."""
        return cls(
            boarding=ask.boarding,
            flight=ask.flight,
            stand=ask.stand,
            officer=ask.officer,
            opened_at=ask.at,
            expected=len(ask.tokens) if ask.expected is None else ask.expected,
            tokens=ask.tokens,
        )

    def opened(self, cabin: str) -> BoardingOpened:
        """Return the event of the opening."""
        return BoardingOpened(
            lane=cabin,
            boarding=self.boarding,
            flight=self.flight,
            stand=self.stand,
            officer=self.officer,
            expected=self.expected,
            named=bool(self.tokens),
        )

    @property
    def full(self) -> bool:
        """Tell whether nobody more can be counted."""
        return len(self.rows) >= MAX_ROWS

    def expects(self, token: str) -> bool:
        """Tell whether a passenger may come; where only a number is known, anybody may."""
        return not self.tokens or token in self.tokens

    def row(self, token: str) -> Row | None:
        """Return what is known of a passenger."""
        return self.rows.get(token) if token else None

    def visited(self) -> tuple[Self, str]:
        """Return the boarding with one visit more, and the name of that attempt."""
        visits = self.visits + 1
        return self.model_copy(update={"visits": visits}), f"{self.boarding}-{visits:04d}"

    def alarmed(self) -> Self:
        """Return the boarding with one anomaly more."""
        return self.model_copy(update={"anomalies": self.anomalies + 1})

    def ended(self, attempt: str, token: str, outcome: Outcome) -> Self:
        """Return the boarding after an attempt came to an outcome, or to another one than before."""
        rows = {key: row for key, row in self.rows.items() if key != attempt}
        key = token or attempt
        before, visit = self.rows.get(key), visit_number(attempt)
        kept = before is not None and (
            before.left or (before.outcome is Outcome.REFUSED and outcome is Outcome.HELD and before.last != visit)
        )
        attempts = (before.attempts + (before.last != visit)) if before else 1
        rows[key] = Row(
            outcome=before.outcome if before and kept else outcome,
            expected=self.expects(token),
            attempts=attempts,
            last=visit,
            left=bool(before and before.left),
        )
        return self.model_copy(update={"rows": rows})

    def has_left(self, attempt: str, token: str) -> Self:
        """Return the boarding after a released passenger went out by the exit."""
        key = token or attempt
        row = self.rows[key].model_copy(update={"left": True})
        return self.model_copy(update={"rows": {**self.rows, key: row}})

    @property
    def counts(self) -> BoardingCounts:
        """Return the counts as they stand."""
        outcomes = Counter(row.outcome for row in self.rows.values())
        seen = len(self.rows)
        strangers = sum(not row.expected for row in self.rows.values())
        unexpected = strangers if self.tokens else max(0, seen - self.expected)
        return BoardingCounts(
            expected=self.expected,
            seen=seen,
            unexpected=unexpected,
            no_show=self.expected - (seen - unexpected),
            **{outcome.value: outcomes[outcome] for outcome in Outcome},
        )

    def closed(self, cabin: str, ask: CloseBoarding, seal: Seal) -> BoardingClosed:
        """Return the event of the end, sealed; raises what the seal raises."""
        summary = BoardingSummary(
            cabin=cabin,
            boarding=self.boarding,
            flight=self.flight,
            stand=self.stand,
            opened_by=self.officer,
            opened_at=self.opened_at,
            closed_by=ask.officer,
            closed_at=ask.at,
            counts=self.counts,
            visits=self.visits,
            anomalies=self.anomalies,
            passengers_digest=seal.digest(passengers_text(self.rows).encode()),
        )
        text = summary.text()
        return BoardingClosed(
            lane=cabin,
            boarding=self.boarding,
            officer=ask.officer,
            counts=summary.counts,
            summary=text,
            signature=seal.sign(covered(text)),
            key_id=seal.key_id,
        )


def visit_number(attempt: str) -> int:
    """Return which visit of its boarding an attempt is."""
    return int(attempt.rpartition("-")[2])


def covered(summary: str) -> bytes:
    """Return the bytes that a seal covers, so that no other signed text can pass for a summary."""
    return _PURPOSE + summary.encode()


def passengers_text(rows: Mapping[str, Row]) -> str:
    """Return all rows as one canonical text."""
    return canonical([[key, row.model_dump(mode="json")] for key, row in sorted(rows.items())])


def canonical(value: Any) -> str:
    """Return JSON in the one form that is signed."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
