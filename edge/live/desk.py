"""What a technician may ask of the live view through the control socket."""

from typing import TYPE_CHECKING, Any

from core.errors import Unsupported
from edge.control import Operation, Request, text_of

if TYPE_CHECKING:
    from edge.live.live import Live


class LiveDesk:
    """The live view's operations; those of a daemon without one say so."""

    def __init__(self, live: "Live | None" = None) -> None:
        self._live = live

    def operations(self) -> dict[str, Operation]:
        """Return what answers once."""
        return {"camera_view": self._view}

    async def _view(self, request: Request) -> dict[str, Any]:
        if self._live is None:
            raise Unsupported("this daemon shows no pictures", cure="add a [live] section to its configuration")
        device, actor = text_of(request, "id", longest=64), text_of(request, "actor", longest=100)
        url, expires_at = self._live.grant(device, f"local:{actor}")
        return {"device": device, "url": url, "expires_at": expires_at.isoformat(timespec="seconds")}
