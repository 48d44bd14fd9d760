"""What the rooms of the live view say to one another."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, Protocol

from core.errors import GatefleetError, Whose
from drivers.digest import Login


class Why(StrEnum):
    """Why somebody does not get to see a picture; a label of `gatefleet_live_refused_total`."""

    NO_GRANT = "no_grant"
    MALFORMED = "malformed"
    SIGNATURE = "signature"
    OTHER_EDGE = "other_edge"
    OTHER_CAMERA = "other_camera"
    EXPIRED = "expired"
    CLOCK = "clock"
    """It cannot be told whether it is in time: the edge's clock is not set."""
    REPLAYED = "replayed"
    UNRECORDED = "unrecorded"
    """The buffer cannot commit who looks."""
    FULL = "full"
    OVER = "over"
    """No view of that camera is open for who asks."""
    NO_CAMERA = "no_camera"
    NO_PATH = "no_path"
    REQUEST = "request"
    TOO_LARGE = "too_large"
    OFFER = "offer"
    CODEC = "codec"
    CAMERA = "camera"
    """The camera gives no picture."""
    NOT_INSTALLED = "not_installed"
    BUG = "bug"


STATUS: Final = {
    Why.NO_GRANT: 401,
    Why.MALFORMED: 401,
    Why.SIGNATURE: 401,
    Why.OTHER_EDGE: 403,
    Why.OTHER_CAMERA: 403,
    Why.EXPIRED: 403,
    Why.CLOCK: 403,
    Why.REPLAYED: 403,
    Why.UNRECORDED: 503,
    Why.FULL: 503,
    Why.OVER: 401,
    Why.NO_CAMERA: 404,
    Why.NO_PATH: 404,
    Why.REQUEST: 400,
    Why.TOO_LARGE: 413,
    Why.OFFER: 400,
    Why.CODEC: 409,
    Why.CAMERA: 502,
    Why.NOT_INSTALLED: 501,
    Why.BUG: 500,
}


class ViewRefused(GatefleetError):
    """Nothing is shown; `why` says it in one word."""

    code = "view_refused"
    whose = Whose.REFUSED

    def __init__(self, why: Why, detail: str, *, cure: str = "") -> None:
        super().__init__(detail, cure=cure)
        self.why = why


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant that was found good; it is not used up yet."""

    id: str
    device: str
    actor: str
    granted_by: Literal["central", "local"]
    expires_at: datetime
    until: datetime
    left_s: float


class Camera(Protocol):
    """A camera, as far as its picture goes. What it raises are errors of core.errors."""

    def stream(self) -> tuple[str, Login | None]:
        """Return its RTSP address and login; raise LinkLost or Unsupported."""

    async def still(self) -> bytes:
        """Return a JPEG that the camera made; raise LinkLost or Unsupported where it makes none."""
