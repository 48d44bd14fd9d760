"""A cabin that exists: doors with bolts, people, buttons and a watchdog; and a desk that does what the lane says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.clearance.model import Decision, Effect, Reason, ReasonCode
from core.errors import GatefleetError
from core.messages.cabin_events import BoardingClosed
from drivers.cabin.commands import SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved, Door
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import CredentialRead
from edge.clearance import Judged
from edge.lanes.boarding import CloseBoarding, OpenBoarding, Seal
from edge.lanes.cabin import Cabin
from edge.lanes.cabin_words import AskRule, CabinMemo, CabinSettings, CabinSilent, Ports, Refused, ToCabin
from edge.lanes.words import Commit, Recorded, Tick

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
POLL_MS = 100
WATCHDOG_MS = 1_500


def token(name):
    return "d" + name.ljust(43, "x")


def opening(boarding="B1", expected=None, who=("ann", "bob")):
    named = expected is None
    return OpenBoarding(
        boarding=boarding,
        flight="NX101",
        stand="12A",
        officer="P1",
        at=AT,
        expected=expected,
        tokens=tuple(map(token, who)) if named else (),
    )


CLOSING = CloseBoarding(officer="P2", at=AT.replace(hour=9))


@dataclass
class Rig:
    """Physics and desk. `said` is events, doors and screens in the order in which they happened."""

    settings: CabinSettings = field(default_factory=CabinSettings)
    memo: CabinMemo = field(default_factory=CabinMemo)
    effects: dict = field(default_factory=dict)
    now: int = 0
    said: list = field(default_factory=list)
    disk_ok: bool = True
    seal_ok: bool = True
    inside: int = 0
    entrance_open: bool = False
    exit_open: bool = False
    locks: list = field(default_factory=lambda: [False, False])
    call: bool = False
    egress: bool = False
    emergency: bool = False
    power_ok: bool = True
    faces: int = 0
    online: bool = True
    both_free: list = field(default_factory=list)
    refused: str = ""

    def __post_init__(self):
        self.durable = self.memo
        self.start()

    def start(self):
        """Start the edge anew with what is on the disk."""
        seal = Seal("K1", self.sign, lambda data: f"len:{len(data)}")
        self.lane = Cabin("C1", self.settings, Ports(self.judge, seal, lambda: True), memo=self.durable)

    def sign(self, data):
        if not self.seal_ok:
            raise GatefleetError("no key")
        return f"signed {len(data)}"

    def judge(self, text):
        effect = self.effects.get(text, Effect.RELEASE)
        decision = Decision(effect, (Reason(code=ReasonCode.DEFAULT, rule_id="t", effect=effect.value),), 7)
        return Judged(decision, "" if text.startswith("?") else token(text), "passport", "other")

    def feed(self, happened, after=0):
        self.now += after
        self.refused = ""
        self._do(happened)
        return self

    def _do(self, happened):
        for action in self.lane.handle(happened, self.now):
            match action:
                case Commit(events=events, answer=answer, otherwise=otherwise):
                    self.said += events if self.disk_ok else otherwise or events
                    self.durable = self.lane.memo
                    if answer:
                        self._do(Recorded(self.disk_ok))
                case ToCabin(command=SetDoors() as doors):
                    self.said.append(doors)
                    if self.online:
                        self.locks = [doors.entrance_locked, doors.exit_locked]
                    if not doors.entrance_locked and not doors.exit_locked:
                        self.both_free.append(self.lane.step)
                case ToCabin(command=ShowScreen(screen=screen)):
                    self.said.append(f"[{screen}]")
                case Refused(why=why):
                    self.refused = why

    def state(self):
        if self.emergency:
            self.locks = [False, False]
        return CabinObserved(
            Door(not self.entrance_open, self.locks[0] and not self.entrance_open),
            Door(not self.exit_open, self.locks[1] and not self.exit_open),
            self.inside,
            call=self.call,
            egress=self.egress,
            emergency=self.emergency,
            power_ok=self.power_ok,
        )

    def look(self, polls=1):
        for _ in range(polls):
            self.feed(self.state(), POLL_MS)
        return self

    def settle(self):
        return self.look(6)

    # -- what people do ---------------------------------------------------------------------------------------------

    def can_open(self, door):
        return not self.locks[0 if door == "entrance" else 1]

    def goes_in(self, persons=1):
        assert self.can_open("entrance")
        self.entrance_open = True
        self.look()
        self.inside += persons
        self.look()
        self.entrance_open = False
        return self.settle()

    def goes_out(self, door, persons=1):
        assert self.can_open(door)
        setattr(self, f"{door}_open", True)
        self.look()
        self.inside -= persons
        self.look()
        setattr(self, f"{door}_open", False)
        return self.settle()

    def document(self, text):
        return self.feed(CredentialRead(text), 50)

    def face(self, score=0.95, liveness=0.99, age=10, attempt=None):
        self.faces += 1
        return self.feed(FaceCompared(attempt or f"F{self.faces}", score, age, liveness, "sm3:" + "0" * 64), 50)

    def passes(self, who):
        return self.goes_in().document(who).face().settle().goes_out("exit")

    def silence(self, ms=WATCHDOG_MS):
        """The controller is not reached for a while; longer than its watchdog, and the doors are free."""
        self.feed(CabinSilent(), ms)
        if ms >= WATCHDOG_MS:
            self.locks = [False, False]
        return self

    def restart(self, ms=500):
        self.now += ms
        if ms >= WATCHDOG_MS:
            self.locks = [False, False]
        self.start()
        return self

    def ticks(self, ms):
        return self.feed(Tick(), ms)

    # -- what was said ----------------------------------------------------------------------------------------------

    def events(self, kind=None):
        found = [word for word in self.said if not isinstance(word, SetDoors | str)]
        return [word for word in found if kind is None or isinstance(word, kind)]

    def words(self):
        return [
            type(word).__name__ + "".join(f":{getattr(word, name)}" for name in ("why", "kind", "ruling") if hasattr(word, name))
            for word in self.events()
        ]  # fmt: skip


def ready(boarding=None, **more):
    """Return a rig with an open boarding, waiting for the first passenger."""
    return Rig(**more).settle().feed(boarding or opening()).settle()


def rule_on(cabin, ruling, attempt=None):
    held = cabin.lane.memo.visit
    return cabin.feed(AskRule(attempt or (held.attempt if held else "B1-0001"), ruling, "P1", "seen in person"), 100)


def close(cabin):
    cabin.feed(CLOSING, 100)
    (closed,) = cabin.events(BoardingClosed)
    return closed
