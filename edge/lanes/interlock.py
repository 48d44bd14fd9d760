"""Two doors of which at most one is free.

Promises
1. A door is told to be free only when a look, taken long enough after the other was told to lock, showed it closed and
   bolted.
2. `EVERYBODY` frees both at once, without looking.
3. As soon as the guarded door is seen open or unbolted, the freed one is told to lock again.
4. What the cabin shows otherwise than it was told is told again, not more often than every `again_ms`.
"""

from dataclasses import dataclass
from enum import StrEnum

from drivers.cabin.commands import SetDoors
from drivers.cabin.facts import CabinObserved, Door


class Way(StrEnum):
    """Which way is open."""

    NOBODY = "nobody"
    ENTRANCE = "entrance"
    EXIT = "exit"
    EVERYBODY = "everybody"


@dataclass(slots=True)
class Interlock:
    """What the doors are to be, and what they were told."""

    settle_ms: int
    """A look within this time after a lock command may be older than the command."""
    again_ms: int
    way: Way = Way.NOBODY
    _told: SetDoors | None = None
    _told_at: int = 0
    _entrance_locked_at: int | None = None
    _exit_locked_at: int | None = None
    _agrees: bool = False

    @property
    def settled(self) -> bool:
        """Tell whether the last look showed what is wanted."""
        return self._agrees

    def forget(self) -> None:
        """Know nothing of the doors any more: they may have freed themselves."""
        self.way, self._told = Way.NOBODY, None
        self._entrance_locked_at = self._exit_locked_at = None
        self._agrees = False

    def aim(self, way: Way, now_ms: int) -> tuple[SetDoors, ...]:
        """Want another way; a door that is not to be free is told to lock now, a free one follows by `look`."""
        self.way, self._agrees = way, False
        if way is Way.EVERYBODY:
            return self._tell(entrance=False, exit_=False, now_ms=now_ms)
        # What is free the right way may stay so; nothing is freed here, and after EVERYBODY nothing may stay.
        told = self._told
        alone = told is not None and (told.entrance_locked or told.exit_locked)
        return self._tell(
            entrance=not (alone and told and way is Way.ENTRANCE and not told.entrance_locked),
            exit_=not (alone and told and way is Way.EXIT and not told.exit_locked),
            now_ms=now_ms,
        )

    def look(self, seen: CabinObserved, now_ms: int) -> tuple[SetDoors, ...]:
        """Take what the doors show; return what they are to be told."""
        entrance, exit_ = self.way is not Way.ENTRANCE, self.way is not Way.EXIT
        if self.way is Way.EVERYBODY:
            entrance = exit_ = False
        elif not exit_:
            exit_ = not self._guards(seen.entrance, self._entrance_locked_at, now_ms)
        elif not entrance:
            entrance = not self._guards(seen.exit, self._exit_locked_at, now_ms)
        shown = seen.entrance.locked is entrance and seen.exit.locked is exit_
        self._agrees = shown and self._is_wanted(entrance, exit_)
        if self._told == SetDoors(entrance_locked=entrance, exit_locked=exit_):
            if shown or now_ms - self._told_at < self.again_ms:
                return ()
            self._told = None
        return self._tell(entrance=entrance, exit_=exit_, now_ms=now_ms)

    def _guards(self, door: Door, locked_at: int | None, now_ms: int) -> bool:
        return door.secure and locked_at is not None and now_ms - locked_at >= self.settle_ms

    def _is_wanted(self, entrance: bool, exit_: bool) -> bool:
        return (entrance, exit_) == {
            Way.NOBODY: (True, True),
            Way.ENTRANCE: (False, True),
            Way.EXIT: (True, False),
            Way.EVERYBODY: (False, False),
        }[self.way]

    def _tell(self, *, entrance: bool, exit_: bool, now_ms: int) -> tuple[SetDoors, ...]:
        command = SetDoors(entrance_locked=entrance, exit_locked=exit_)
        if command == self._told:
            return ()
        if not entrance:
            self._entrance_locked_at = None
        elif self._entrance_locked_at is None:
            self._entrance_locked_at = now_ms
        if not exit_:
            self._exit_locked_at = None
        elif self._exit_locked_at is None:
            self._exit_locked_at = now_ms
        self._told, self._told_at = command, now_ms
        return (command,)
