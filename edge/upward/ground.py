"""What a platform above stands on, how it stands, and what every kind of platform offers."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from core.messages.envelope import Stamp
from core.messages.event import Event
from edge.board import Board
from edge.files import PLAIN, Vault
from edge.sections import PlatformSection
from edge.session import Deliver

if TYPE_CHECKING:
    from edge.links.http_server import Mount


@dataclass(frozen=True, slots=True)
class Ground:
    """What platforms stand on."""

    board: Board
    wall: Callable[[], datetime]
    stamp: Callable[[], Stamp]
    folder: Path
    """Beside the daemon's buffer, of this daemon alone."""
    tell: Callable[[Event], None]
    vault: Vault = PLAIN


@dataclass(slots=True)
class Standing:
    """How one platform stands."""

    registered: bool = False
    since: datetime | None = None
    """Of what `registered` says."""
    last_error: str = "not tried yet"
    waiting: int = 0
    oldest: datetime | None = None
    delivered: int = 0
    set_aside: int = 0
    last_refusal: str = ""
    pictures_dropped: int = 0
    objects_lost: int = 0
    stored_bytes: int = 0
    clock_offset_s: float | None = None
    """Its clock less ours, as it last told: shown, never used."""
    trouble: str = ""
    """Why nothing can be committed for it now."""


class Platform(Protocol):
    """One platform above."""

    @property
    def section(self) -> PlatformSection:
        """Return its table."""

    async def open(self, stack: AsyncExitStack) -> None:
        """Get ready; raise BufferUnavailable."""

    async def run(self) -> None:
        """Register and serve until that ends, by an error."""

    def lost(self, error: Exception) -> None:
        """Hear why it ended."""

    def standing(self) -> Standing:
        """Return how it stands."""

    def feed(self, device: str) -> Deliver | None:
        """Return what takes a device's facts up; None where it takes none."""

    def mount(self) -> "Mount | None":
        """Return where the platform calls us; None where it does not."""
