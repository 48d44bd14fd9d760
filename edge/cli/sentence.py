"""One sentence of the tables by which findings become words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is so, and what to do about it; both may name arguments in braces."""

    why: str
    cure: str = ""
    short: str = ""
    """Is said instead of `why` where the finding lacks one of its arguments."""
