"""What this edge registers with: platforms above it that want to know of its cameras."""

from collections.abc import Callable
from datetime import datetime

from core.messages.events import Health
from drivers.gb28181.catalog import Camera
from edge.board import Board
from edge.config import read_secret
from edge.sections import PlatformSection
from edge.upward.gb28181 import UpperPlatform, Upward
from edge.upward.sip import Peer

_AWAY = frozenset({Health.OFFLINE, Health.UNKNOWN})


def build_platform(section: PlatformSection, board: Board, wall: Callable[[], datetime]) -> Upward:
    """Make the client of a platform; raise ConfigInvalid. Its cameras are as the board has them at each query."""
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

    def cameras() -> list[Camera]:
        return [camera(board, device, number) for device, number in section.cameras.items()]

    return Upward(settings, cameras, wall=lambda: wall().astimezone())


def camera(board: Board, device: str, number: str) -> Camera:
    """Return a camera as the platform is told of it."""
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
