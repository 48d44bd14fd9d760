"""The reads of a lane, vehicle by vehicle: the one that waits, the one that was judged, the one whose rear is due.

Promises
1. A late read of the judged vehicle is not counted for the one behind it. One sign apart, it is of the one behind only
   where the approach was free meanwhile, and the plate is sound, surely read, and was never read of the first.
2. Reads that are too old are of a vehicle that went elsewhere, and are dropped.
"""

from dataclasses import dataclass, field

from core.identity.plates import parse_plate
from drivers.facts import PlateRead
from edge.lanes.vehicle_words import PlateSeen, VehicleSettings
from edge.lanes.votes import Ballot, CameraRole, Verdict, disagree, same_plate


@dataclass(frozen=True, slots=True)
class Gone:
    """A cleared vehicle whose rear may still be read."""

    attempt: str
    tokens: tuple[str, ...]
    front: Verdict
    until_ms: int


@dataclass(slots=True)
class Reads:
    """What the cameras of one lane told."""

    settings: VehicleSettings
    device: str = ""
    """The camera that told of the present vehicle first."""
    judged: Verdict = field(default_factory=Verdict)
    gone: Gone | None = None
    another: bool = False
    """Whether something has come to the approach since the last vehicle was judged."""
    _texts: frozenset[str] = frozenset()
    """All that was read of that vehicle, right or wrong."""
    _present: Ballot = field(default_factory=Ballot)
    _front: Verdict = field(default_factory=Verdict)
    _rear: Ballot = field(default_factory=Ballot)
    _first_ms: int = 0
    _last_ms: int = 0

    @property
    def any(self) -> bool:
        """Tell whether the vehicle that waits was read."""
        return bool(self._present.sightings)

    @property
    def window_ends_ms(self) -> int:
        """Return when the vehicle that waits is judged with what there is."""
        return self._first_ms + self.settings.read_window_ms

    @property
    def sure(self) -> bool:
        """Tell whether no more reads are needed."""
        best = self._present.verdict().plates[:1]
        wanted = self.settings
        return bool(best) and best[0].reads >= wanted.reads_wanted and best[0].confidence >= wanted.confidence_wanted

    def add(self, seen: PlateSeen, now_ms: int) -> None:
        """Count a read for the vehicle that waits."""
        self.forget_old(now_ms)
        if not self.any:
            self._first_ms, self.device = now_ms, seen.device
        self._present = self._present.add(seen.role, seen.read, seen.device)
        self._last_ms = now_ms

    def add_rear(self, seen: PlateSeen) -> None:
        """Count a read for the rear of the vehicle that was judged last."""
        self._rear = self._rear.add(seen.role, seen.read, seen.device)

    def is_judged(self, read: PlateRead) -> bool:
        """Tell whether a read is of the vehicle that was judged last."""
        plate = parse_plate(read.plate)
        return bool(plate.text) and any(same_plate(plate, vote.plate) for vote in self.judged.plates)

    def is_anothers(self, read: PlateRead) -> bool:
        """Tell whether a read like that of the judged vehicle is nevertheless of the one behind it."""
        plate, confidence = parse_plate(read.plate), read.confidence or 0.0
        sure = plate.valid and confidence >= self.settings.confidence_wanted
        return self.another and sure and plate.text not in self._texts

    def adds_nothing(self, read: PlateRead) -> bool:
        """Tell whether a read while somebody is served makes no other vehicle; only a sound plate does."""
        plate = parse_plate(read.plate)
        return not plate.text or bool(self.judged.plates and not plate.valid) or self.is_judged(read)

    def forget_old(self, now_ms: int) -> None:
        """Drop the reads of a vehicle that never came."""
        if self.any and now_ms - self._last_ms > self.settings.read_kept_ms:
            self._present = Ballot()

    def drop(self) -> Verdict:
        """Begin anew; return what was read of the vehicle that waited."""
        verdict, self._present = self._present.verdict(), Ballot()
        return verdict

    def close(self) -> Verdict:
        """End the vote: return what the vehicle that waits carries. Its front counts where the rear differs."""
        front, rear = self._present.verdict(CameraRole.FRONT), self._present.verdict(CameraRole.REAR)
        apart = disagree(front, rear, self.settings.mismatch_confidence)
        self.judged, self._front = front if apart else self._present.verdict(), front
        self._texts = frozenset(one.text for one in self._present.sightings)
        self.another = False
        self._rear = Ballot(tuple(one for one in self._present.sightings if one.role is CameraRole.REAR))
        self._present = Ballot()
        return self.judged

    def forget_judged(self) -> None:
        """Forget who was judged: whatever is read next is judged anew."""
        self.judged = self._front = Verdict()

    def passed(self, attempt: str, tokens: tuple[str, ...], now_ms: int) -> None:
        """Note that the judged vehicle is through: for a while the rear camera may tell of it."""
        self.gone = Gone(attempt, tokens, self._front, now_ms + self.settings.rear_window_ms)

    def differing_rear(self, now_ms: int | None = None) -> tuple[Gone, Verdict] | None:
        """Return, once, the cleared vehicle whose rear is plainly another plate; its time is over, or no time given."""
        gone = self.gone
        if gone is None or (now_ms is not None and now_ms < gone.until_ms):
            return None
        rear, self._rear, self.gone = self._rear.verdict(), Ballot(), None
        return (gone, rear) if disagree(gone.front, rear, self.settings.mismatch_confidence) else None
