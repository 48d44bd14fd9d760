"""What is wrong with a cabin, as findings of its controller: each stands until it is over, and is told on change."""

from collections.abc import Callable
from typing import Final

from core.messages.cabin_events import CabinAnomaly, CabinFault, PassengerVerified
from core.messages.event import Event
from core.messages.events import LaneMode
from drivers.cabin.commands import SetDoors
from drivers.cabin.facts import CabinObserved, Door
from drivers.cabin.layout import COUNT_STALE
from edge.board import Finding
from edge.lanes.cabin_words import Step

_BOLT_MS: Final = 3_000
"""So long after it was told to lock, a closed door is bolted."""
_OCCUPIED: Final = frozenset({CabinFault.UNKNOWN_OCCUPANT, CabinFault.NOT_LEFT})

Noted = Callable[[str, Finding | None], None]


class CabinFindings:
    """The findings of one cabin."""

    def __init__(self, noted: Noted) -> None:
        self._noted = noted
        self._standing: dict[str, Finding] = {}
        self._locked_ms: dict[str, int] = {}
        """Since when each door is told to be locked."""

    def look(self, seen: CabinObserved, now_ms: int) -> None:
        """Take what the cabin shows."""
        self._note("cabin power", None if seen.power_ok else Finding("cabin_power"))
        self._note("cabin emergency", Finding("cabin_emergency") if seen.emergency else None)
        faults = {f"cabin sensor {name}": _of_sensor(name) for name in sorted(seen.faults)}
        for name in [one for one in self._standing if one.startswith("cabin sensor ") and one not in faults]:
            self._note(name, None)
        for name, finding in faults.items():
            self._note(name, finding)
        for door, shows in (("entrance", seen.entrance), ("exit", seen.exit)):
            self._door(door, shows, now_ms - self._locked_ms.get(door, now_ms) >= _BOLT_MS)
        if seen.occupancy == 0:
            self._note("cabin occupied", None)

    def event(self, event: Event) -> None:
        """Take what the lane told."""
        match event:
            case CabinAnomaly(kind=CabinFault.DOOR_HELD_OPEN, door=door):
                self._note(f"cabin open {door}", Finding("cabin_door_open", {"door": door}))
            case CabinAnomaly(kind=CabinFault.DOOR_FORCED, door=door):
                self._note(f"cabin forced {door}", Finding("cabin_door_forced", {"door": door}))
            case CabinAnomaly(kind=CabinFault.OFFICER_LATE, attempt=attempt):
                self._note("cabin waits", Finding("cabin_officer_late", {"attempt": attempt or ""}))
            case CabinAnomaly(kind=kind, persons=persons) if kind in _OCCUPIED:
                self._note("cabin occupied", Finding("cabin_occupied", {"persons": persons or 0}))
            case PassengerVerified(unrecorded=True):
                self.recorded(ok=False)
            case _:
                pass

    def step(self, step: Step) -> None:
        """Take where the lane is."""
        if step is not Step.HELD:
            self._note("cabin waits", None)

    def mode(self, mode: LaneMode) -> None:
        """Take the lane's mode."""
        is_normal = mode is LaneMode.NORMAL
        self._note("cabin mode", None if is_normal else Finding("cabin_mode", {"mode": mode.value}))

    def recorded(self, *, ok: bool) -> None:
        """Take whether the last record is durable."""
        self._note("cabin record", None if ok else Finding("cabin_no_record"))

    def told(self, doors: SetDoors, now_ms: int) -> None:
        """Take what the doors were told."""
        for door, locked in (("entrance", doors.entrance_locked), ("exit", doors.exit_locked)):
            if locked:
                self._locked_ms.setdefault(door, now_ms)
            else:
                self._locked_ms.pop(door, None)
        self._note("cabin command", None)

    def not_told(self, error: str) -> None:
        """Take that the doors could not be told."""
        self._note("cabin command", Finding("cabin_command_failed", {"error": error[:120]}))

    def lost(self) -> None:
        """Take that the controller is not seen: its doors may have freed themselves."""
        self._locked_ms.clear()

    def _door(self, door: str, shows: Door, bolt_is_due: bool) -> None:
        stuck = bolt_is_due and shows.closed and not shows.locked
        self._note(f"cabin bolt {door}", Finding("cabin_bolt", {"door": door}) if stuck else None)
        if shows.closed:
            self._note(f"cabin open {door}", None)
        if shows.secure:
            self._note(f"cabin forced {door}", None)

    def _note(self, name: str, finding: Finding | None) -> None:
        if self._standing.get(name) == finding:
            return
        if finding is None:
            self._standing.pop(name, None)
        else:
            self._standing[name] = finding
        self._noted(name, finding)


def _of_sensor(name: str) -> Finding:
    return Finding("cabin_count_stale") if name == COUNT_STALE else Finding("cabin_sensor", {"name": name})
