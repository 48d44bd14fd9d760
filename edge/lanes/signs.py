"""What the driver is shown: the fill light for the camera, and the display's words in Chinese and English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from core.clearance.model import Effect
from core.messages.events import LaneMode
from edge.lanes.vehicle_words import FREE_MODES, Action, State, ToDisplay, ToLight

_NAMES_THE_PLATE: Final = frozenset({State.HELD, State.RELEASING, State.PASSING, State.LEAVING})


class Showing(StrEnum):
    """What a display tells; the words stand in a table."""

    WELCOME = "welcome"
    READING = "reading"
    RELEASE = "release"
    REFUSE = "refuse"
    DIVERT = "divert_secondary"
    HOLD = "hold_manual"
    SAMPLE = "sample_inspection"
    NO_PLATE = "no_plate"
    WAIT = "wait"
    FREE = "free"
    LOCKED = "locked"
    BACK = "back"


OF_EFFECT: Final[Mapping[Effect, Showing]] = {effect: Showing(effect.value) for effect in Effect}
DISPLAY_WORDS: Final[Mapping[Showing, tuple[str, str]]] = {
    Showing.WELCOME: ("欢迎", "Welcome"),
    Showing.READING: ("识别中", "Reading plate"),
    Showing.RELEASE: ("请通行", "Please go"),
    Showing.REFUSE: ("禁止通行", "No entry"),
    Showing.DIVERT: ("请到复查区", "Go to inspection"),
    Showing.HOLD: ("请等待人工", "Wait for officer"),
    Showing.SAMPLE: ("抽查,请到查验区", "Selected for check"),
    Showing.NO_PLATE: ("未识别车牌", "No plate read"),
    Showing.WAIT: ("请等候", "Please wait"),
    Showing.FREE: ("免检通行", "Free passage"),
    Showing.LOCKED: ("车道关闭", "Lane closed"),
    Showing.BACK: ("请倒车", "Please back out"),
}
"""What a LED display shows: Chinese, English. A site may give its own table with the same keys."""


def showing(state: State, mode: LaneMode, held: Showing) -> Showing:
    """Return what a display tells in a state; `held` is what it tells a vehicle that was not released."""
    match state:
        case State.RELEASING | State.PASSING | State.LEAVING:
            return Showing.RELEASE
        case State.READING:
            return Showing.READING
        case State.HELD:
            return held
        case _ if mode in FREE_MODES:
            return Showing.FREE
        case _ if mode is LaneMode.LOCKED:
            return Showing.LOCKED
        case State.INTRUDED:
            return Showing.BACK
        case State.IDLE:
            return Showing.WELCOME
    return Showing.WAIT


def held_showing(effect: Effect, *, read: bool) -> Showing:
    """Return what a vehicle that is not let through is told; a release that could not be recorded is a refusal."""
    if effect in {Effect.REFUSE, Effect.RELEASE}:
        return Showing.REFUSE
    return OF_EFFECT[effect] if read else Showing.NO_PLATE


def masked(text: str) -> str:
    """Return a plate as a display may show it: its middle hidden."""
    if len(text) <= 2:
        return text[:1] + "*" * (len(text) - 1)
    head, tail = (2, 2) if len(text) >= 7 else (1, 1)
    return text[:head] + "*" * (len(text) - head - tail) + text[-tail:]


@dataclass(slots=True)
class Signs:
    """The light and the display of a lane, as they were told last."""

    words: Mapping[Showing, tuple[str, ...]] = field(default_factory=lambda: DISPLAY_WORDS)
    _light: bool | None = None
    _lines: tuple[str, ...] | None = None

    def change(self, state: State, mode: LaneMode, held: Showing, plates: Sequence[str]) -> list[Action]:
        """Return what they must be told now, if anything; `plates` are of the vehicle that was judged."""
        light, named = state is not State.IDLE, plates if state in _NAMES_THE_PLATE else ()
        lines = (*map(masked, named), *self.words[showing(state, mode, held)])
        actions: list[Action] = [] if light is self._light else [ToLight(light)]
        actions += [] if lines == self._lines else [ToDisplay(lines)]
        self._light, self._lines = light, lines
        return actions
