"""What is found out about a camera beside what it tells."""

from dataclasses import dataclass

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class StreamJudged(Fact):
    """Whether a camera's stream delivers pictures."""

    delivers: bool
    why: str = ""
    """The code of the error, where it does not."""
    detail: str = ""
    first_ms: int = 0
    """From the connection to the first packet."""
