"""What a face-match terminal tells."""

from dataclasses import dataclass
from datetime import datetime

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class FaceCompared(Fact):
    """A live face was compared with the portrait of the document. The capture stays with the terminal."""

    attempt: str
    """The terminal's own name of the comparison: the same again is the same comparison."""
    score: float
    """0 to 1."""
    age_ms: int
    """How long before the push the face was taken, by the terminal's running time."""
    liveness: float | None = None
    """0 to 1; None where the terminal does not tell."""
    capture_digest: str = ""
    """`sha256:` or `sm3:` and 64 hexadecimal digits."""
    capture_bytes: int | None = None
    at: datetime | None = None
    """The terminal's time, with its zone: to be shown, not to be relied on."""
    terminal: str = ""
    matcher: str = ""
    """Algorithm and version."""
    pushed_ms: int | None = None
    """When its push began, by the edge's running clock: `age_ms` counts from there, however slowly the push came."""
