"""One camera's live picture, looked at as a browser does: central's grant, the page's offer, pictures that move."""

from dataclasses import asdict, dataclass
from typing import Any

from core.errors import GatefleetError
from simulators.demo.fleet import Fleet
from simulators.live_check import Looked, live_check


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of looking. Without a camera nobody looked, since there is no video here."""

    camera: str
    looked: Looked | None = None
    error: str = ""

    @property
    def good(self) -> bool:
        """Tell whether the picture moves, where there is one."""
        return not self.camera or (self.looked is not None and self.looked.moving)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        if not self.camera:
            return {"camera": "", "why": "no video here: the extra `video` is not installed"}
        moving = self.looked is not None and self.looked.moving
        found = asdict(self.looked) if self.looked is not None else {}
        return {"camera": self.camera, "moving": moving} | found | ({"error": self.error} if self.error else {})


async def live_picture(fleet: Fleet, camera: str) -> Seen:
    """Ask central for a view of a camera, and look."""
    if not camera:
        return Seen("")
    try:
        view = await fleet.keys["monitor"].call("POST", f"/v1/cameras/{camera}/views", {"reason": "the demo looks"})
        return Seen(camera, await live_check(view["url"]))
    except GatefleetError as error:
        return Seen(camera, error=str(error))
