"""The barriers of one channel, two or three in a row, pair into one passage of one vehicle.

    leg at a barrier --same plate--> the passage that has it
                     --no plate, or one misread--> the passage that was at an earlier barrier first, in time
                     --else--> a new passage
    passage --last barrier, none missing--> told     --last barrier, some missing--> told after `settle_ms`
            --no leg for `travel_timeout_ms`--> told as timed out

Promises
1. Each leg is in exactly one passage, told exactly once; a leg handed in again, also after a restart, changes nothing.
2. A leg whose plate was read surely is never paired by order with a passage whose plate was read surely.
3. What is open is bounded: beyond MAX_OPEN the oldest is told with what it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.clearance.model import Direction
from core.messages.vehicle_events import ChannelLeg, ChannelPassed, PairedBy, VehicleCleared
from edge.lanes.words import Commit, Tick

MAX_OPEN: Final = 64
_REMEMBERED: Final = 256
"""Attempts of passages that were told, so that a leg handed in again is known."""
_BY_ORDER: Final = 0.6
"""How sure a passage is that was paired once without a plate; each further time multiplies."""


class ChannelSettings(BaseModel):
    """The barriers in the order of travel, and how long the way takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    barriers: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1, max_length=8)
    least_travel_ms: int = Field(default=1_000, ge=0, le=600_000)
    """No vehicle is at the next barrier sooner."""
    most_travel_ms: int = Field(default=300_000, ge=1_000, le=7_200_000)
    """Legs further apart are not paired by order."""
    settle_ms: int = Field(default=5_000, ge=0, le=600_000)
    """How long a leg may be late that an earlier barrier owes."""
    travel_timeout_ms: int = Field(default=1_800_000, ge=1_000, le=86_400_000)
    """After so long without a leg the passage is told as it is."""
    sure: float = Field(default=0.8, ge=0, le=1)
    """A plate read with less confidence may be misread."""

    @field_validator("barriers")
    @classmethod
    def _once_each(cls, barriers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(barriers)) != len(barriers):
            raise ValueError("a barrier stands in the channel once")
        return barriers


class OpenPassage(BaseModel):
    """A vehicle that is between the barriers."""

    model_config = ConfigDict(frozen=True)

    direction: Direction
    legs: tuple[ChannelLeg, ...]
    tokens: tuple[str, ...] = ()
    sure: bool = False
    """Its plate was read surely at some barrier."""
    by_order: int = 0
    began_ms: int
    last_ms: int
    recovered: bool = False

    def has(self, barrier: int) -> bool:
        """Tell whether this barrier has told of it."""
        return any(leg.barrier == barrier for leg in self.legs)


class ChannelMemo(BaseModel):
    """What a channel must know after a restart; committed with every change."""

    model_config = ConfigDict(frozen=True)

    open: tuple[OpenPassage, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(slots=True)
class Channel:
    """The state of one channel. Feed it with every `VehicleCleared` of its lanes, and time; do what it returns."""

    channel: str
    settings: ChannelSettings = field(default_factory=ChannelSettings)
    memo: ChannelMemo = field(default_factory=ChannelMemo)
    _awake: bool = False

    @property
    def deadline_ms(self) -> int | None:
        """Return when the next `Tick` is due."""
        return min((self._due(passage) for passage in self.memo.open), default=None)

    def handle(self, happened: VehicleCleared | Tick, now_ms: int) -> tuple[Commit, ...]:
        """Take a leg or the time at the monotonic time `now_ms`; return the commit of what changed, if anything."""
        before = self.memo
        if not self._awake:
            self._awake = True
            self._rebase(now_ms)
        told = [self._tell(one, timed_out=not self._at_end(one)) for one in self._overdue(now_ms)]
        if isinstance(happened, VehicleCleared) and happened.barrier in self.settings.barriers:
            told += self._leg(happened, now_ms)
        return (Commit(tuple(told)),) if told or self.memo != before else ()

    def _leg(self, leg: VehicleCleared, now_ms: int) -> list[ChannelPassed]:
        known = {*self.memo.told, *(one.attempt for passage in self.memo.open for one in passage.legs)}
        if leg.attempt in known:
            return []
        told: list[ChannelPassed] = []
        home = self._by_plate(leg, now_ms)
        if home is None:
            # The same plate at the same barrier, or back at an earlier one: its round before is over.
            over = [one for one in self.memo.open if set(one.tokens) & set(leg.plate_tokens)]
            told += [self._tell(one, timed_out=not self._at_end(one)) for one in over]
            order = self._by_order(leg, now_ms)
            joined = self._join(order, leg, now_ms, by_order=True) if order else self._begin(leg, now_ms)
        else:
            joined = self._join(home, leg, now_ms, by_order=False)
        if not self._missing(joined):
            told.append(self._tell(joined))
        while len(self.memo.open) > MAX_OPEN:
            told.append(self._tell(self.memo.open[0], timed_out=True))
        return told

    # -- pairing -----------------------------------------------------------------------------------------------------

    def _by_plate(self, leg: VehicleCleared, now_ms: int) -> OpenPassage | None:
        for passage in self.memo.open:
            if not set(passage.tokens) & set(leg.plate_tokens) or passage.has(leg.barrier):
                continue
            ahead = self._place(leg.barrier) > self._furthest(passage)
            if ahead or now_ms - passage.last_ms <= self.settings.settle_ms:
                return passage
        return None

    def _by_order(self, leg: VehicleCleared, now_ms: int) -> OpenPassage | None:
        """Return who left an earlier barrier first: in a channel nobody overtakes."""
        surely = self._surely(leg)
        found = [
            passage
            for passage in self.memo.open
            if self._furthest(passage) < self._place(leg.barrier)
            and self.settings.least_travel_ms <= now_ms - passage.last_ms <= self.settings.most_travel_ms
            and passage.direction is leg.direction
            and not (surely and passage.sure)
        ]
        return min(found, key=lambda one: (-self._furthest(one), one.last_ms), default=None)

    def _surely(self, leg: VehicleCleared) -> bool:
        return bool(leg.plate_tokens) and leg.confidence >= self.settings.sure

    def _begin(self, leg: VehicleCleared, now_ms: int) -> OpenPassage:
        begun = OpenPassage(
            direction=leg.direction,
            legs=(_leg_of(leg),),
            tokens=leg.plate_tokens,
            sure=self._surely(leg),
            began_ms=now_ms,
            last_ms=now_ms,
            recovered=leg.recovered,
        )
        self.memo = self.memo.model_copy(update={"open": (*self.memo.open, begun)})
        return begun

    def _join(self, passage: OpenPassage, leg: VehicleCleared, now_ms: int, *, by_order: bool) -> OpenPassage:
        legs = sorted((*passage.legs, _leg_of(leg)), key=lambda one: self._place(one.barrier))
        joined = passage.model_copy(
            update={
                "legs": tuple(legs),
                "tokens": _surest_first(passage, leg, surely=self._surely(leg)),
                "sure": passage.sure or self._surely(leg),
                "by_order": passage.by_order + by_order,
                "last_ms": now_ms,
                "recovered": passage.recovered or leg.recovered,
            }
        )
        open_now = tuple(joined if one is passage else one for one in self.memo.open)
        self.memo = self.memo.model_copy(update={"open": open_now})
        return joined

    # -- the end of a passage ----------------------------------------------------------------------------------------

    def _overdue(self, now_ms: int) -> Sequence[OpenPassage]:
        return [passage for passage in self.memo.open if now_ms >= self._due(passage)]

    def _due(self, passage: OpenPassage) -> int:
        wait = self.settings.settle_ms if self._at_end(passage) else self.settings.travel_timeout_ms
        return passage.last_ms + wait

    def _at_end(self, passage: OpenPassage) -> bool:
        return passage.has(self.settings.barriers[-1])

    def _tell(self, passage: OpenPassage, *, timed_out: bool = False) -> ChannelPassed:
        told = (*self.memo.told, *(leg.attempt for leg in passage.legs))[-_REMEMBERED:]
        rest = tuple(one for one in self.memo.open if one is not passage)
        self.memo = ChannelMemo(open=rest, told=told)
        paired = PairedBy.ORDER if passage.by_order else PairedBy.PLATE
        return ChannelPassed(
            channel=self.channel,
            passage=passage.legs[0].attempt,
            direction=passage.direction,
            plate_token=passage.tokens[0] if passage.tokens else "",
            plate_tokens=passage.tokens,
            legs=passage.legs,
            missing=self._missing(passage),
            paired_by=paired if len(passage.legs) > 1 else PairedBy.SINGLE,
            confidence=round(_BY_ORDER**passage.by_order, 3),
            duration_ms=0 if passage.recovered else max(0, passage.last_ms - passage.began_ms),
            timed_out=timed_out,
            recovered=passage.recovered,
        )

    def _missing(self, passage: OpenPassage) -> tuple[int, ...]:
        return tuple(barrier for barrier in self.settings.barriers if not passage.has(barrier))

    def _place(self, barrier: int) -> int:
        """Return where a barrier stands; one that the settings no longer name stands before all."""
        return self.settings.barriers.index(barrier) if barrier in self.settings.barriers else -1

    def _furthest(self, passage: OpenPassage) -> int:
        return max(self._place(leg.barrier) for leg in passage.legs)

    def _rebase(self, now_ms: int) -> None:
        """Take the passages of a former life as if their latest leg were now: its clock told other numbers."""
        shift = now_ms - max((passage.last_ms for passage in self.memo.open), default=now_ms)
        moved = (
            one.model_copy(update={"began_ms": one.began_ms + shift, "last_ms": one.last_ms + shift, "recovered": True})
            for one in self.memo.open
        )
        self.memo = self.memo.model_copy(update={"open": tuple(moved)})


def _leg_of(leg: VehicleCleared) -> ChannelLeg:
    return ChannelLeg(barrier=leg.barrier, lane=leg.lane, attempt=leg.attempt)


def _surest_first(passage: OpenPassage, leg: VehicleCleared, *, surely: bool) -> tuple[str, ...]:
    first, second = passage.tokens, leg.plate_tokens
    if surely and not passage.sure:
        first, second = second, first
    return tuple(dict.fromkeys((*first, *second)))[:_MAX_TOKENS]


_MAX_TOKENS: Final = 8
"""Of one passage: three plates, and a few misreadings of them."""
