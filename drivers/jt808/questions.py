"""What the edge asked of a terminal, and how it was answered.

A terminal answers most commands by a general reply (0x0001) with the serial of the message. A message in parts has a
serial for each: some terminals answer every part, some only the last or the first. So it is done when the last part was
answered well; where the first was, and nothing more comes, that is taken for the whole.
Questions are answered by their own message (0x0104, 0x0107, 0x0201): a good general reply before it says nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_OPEN: Final = 16
"""Commands of one connection that may wait for their answer; an older one is forgotten."""
_RESULTS: Final = {1: "it failed", 2: "the message is wrong", 3: "it does not support that"}
_UPGRADES: Final = {1: "the upgrade failed", 2: "the upgrade was cancelled"}
_WITH_ANSWER: Final = frozenset({0x8104, 0x8106, 0x8107, 0x8201})


@dataclass(slots=True, eq=False)
class Asked:
    """One command on its way."""

    msg_id: int
    serial: int
    """Of its first part."""
    frames: tuple[bytes, ...]
    outcome: str | None = None
    _answered: set[int] = field(default_factory=set)

    def holds(self, msg_id: int, serial: int) -> bool:
        """Tell whether a reply to this message id and serial is about this command."""
        return msg_id == self.msg_id and (serial - self.serial & 0xFFFF) < len(self.frames)

    def replied(self, serial: int, result: int) -> None:
        """Take a general reply (0x0001)."""
        if result:
            self._end(f"the terminal answered {result}: {_RESULTS.get(result, 'no result of the standard')}")
            return
        self._answered.add(serial - self.serial & 0xFFFF)
        whole = len(self.frames) - 1 in self._answered
        if whole and self.msg_id not in _WITH_ANSWER:
            self._end("")

    def told(self) -> None:
        """Take the answer that the question asked for."""
        self._end("")

    def upgraded(self, result: int) -> None:
        """Take the end of an upgrade (0x0108)."""
        failure = f"the terminal answered {result}: {_UPGRADES.get(result, 'no result of the standard')}"
        self._end(failure if result else "")

    def unanswered(self) -> str | None:
        """Return "" where the first of several parts was answered, and so the whole, None else."""
        return "" if 0 in self._answered and self.msg_id not in _WITH_ANSWER else None

    def _end(self, outcome: str) -> None:
        if self.outcome is None:
            self.outcome = outcome


class Questions:
    """The commands of one connection that were not answered yet: at most MOST_OPEN."""

    def __init__(self) -> None:
        self._open: list[Asked] = []

    def add(self, asked: Asked) -> None:
        """Know a command that is sent now."""
        self._open = [*self._about(), asked][-MOST_OPEN:]

    def replied(self, msg_id: int, serial: int, result: int) -> None:
        """Take a general reply."""
        for asked in self._about():
            if asked.holds(msg_id, serial):
                asked.replied(serial, result)

    def told(self, msg_ids: frozenset[int], serial: int | None = None) -> None:
        """Take an answer to the oldest of these questions; to that with the serial, where the answer says it."""
        for asked in self._about():
            if asked.msg_id in msg_ids and serial in {None, asked.serial}:
                asked.told()
                return

    def upgraded(self, result: int) -> None:
        """Take the end of the oldest upgrade."""
        for asked in self._about():
            if asked.msg_id == 0x8108:
                asked.upgraded(result)
                return

    def _about(self) -> Iterator[Asked]:
        return (asked for asked in self._open if asked.outcome is None)
