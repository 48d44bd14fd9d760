"""An upper video platform (GB/T 28181), as the daemon keeps it."""

from contextlib import AsyncExitStack
from typing import Final

from core.messages.events import Health
from drivers.gb28181.catalog import Camera
from edge.board import Board
from edge.config import read_secret
from edge.sections import VideoPlatformSection
from edge.upward.gb28181 import UpperPlatform, Upward
from edge.upward.ground import Ground, Standing
from edge.upward.sip import Peer

_AWAY: Final = frozenset({Health.OFFLINE, Health.UNKNOWN})


class VideoPlatform:
    """A platform of GB/T 28181: it is told of our cameras, as the board has them at each query."""

    def __init__(self, section: VideoPlatformSection, ground: Ground) -> None:
        self.section = section
        self._last_error = "not tried yet"
        settings = UpperPlatform(
            peer=Peer(section.host, section.port, section.transport),
            upper_id=section.upper_id,
            own_id=section.own_id,
            password=read_secret(section.password),
            username=section.username,
            domain=section.domain,
            expires_s=section.expires_s,
            keepalive_s=section.keepalive_s,
        )
        cameras = section.cameras.items()
        self._upward = Upward(
            settings,
            lambda: [camera(ground.board, device, number) for device, number in cameras],
            wall=lambda: ground.wall().astimezone(),
        )

    async def open(self, stack: AsyncExitStack) -> None:
        """Nothing is kept for it."""

    async def run(self) -> None:
        """Register and stay."""
        await self._upward.run()

    def lost(self, error: Exception) -> None:
        """Hear why it ended."""
        self._last_error = str(error)

    def standing(self) -> Standing:
        """Return how it stands."""
        registered = self._upward.state.registered
        state = self._upward.state
        return Standing(registered, last_error="" if registered else self._last_error, clock_offset_s=state.drift_s)

    def feed(self, device: str) -> None:
        """It takes nothing."""

    def mount(self) -> None:
        """It calls on the wire that we opened."""


def camera(board: Board, device: str, number: str) -> Camera:
    """Return a camera as a video platform is told of it."""
    record = board.record(device)
    profile = record.spec.profile
    return Camera(
        number,
        device,
        online=record.health not in _AWAY,
        faulty=record.health in {Health.FAULT, Health.DEGRADED},
        vendor=profile.vendor,
        model=profile.model,
    )
