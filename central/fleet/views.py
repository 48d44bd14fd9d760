"""Who may look at which camera: grants to see a live picture, made here and redeemed once at the camera's edge.

Promises:
1. A grant leaves only after it is committed who gets it, for which camera and why: that row is the audit.
2. A camera is where its last CameraOffered said; a camera that shows nothing gets no grant.
3. What is kept of a grant redeems nothing: its text is in the one answer, and for a retry in the kept answer, where it
   is worth nothing once the grant is over or was redeemed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import ANY_SITE, Principal
from central.bus import Bus, Recorded
from central.columns import kept
from central.db import new_id, now
from central.errors import Conflict, Missing
from central.fleet import view_store
from core.messages.signed import Signer
from core.messages.view_events import CameraOffered
from core.messages.view_grant import ViewGrant

REDEEM_S: Final = 60
_WEB: Final = ("https://", "http://")


class CameraAmbiguous(Conflict):
    """Several edges have a camera of that id; say which by `<edge>.<camera>`."""

    code = "camera_ambiguous"


class CameraDark(Conflict):
    """The camera's edge shows no live pictures."""

    code = "camera_dark"


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant as its caller gets it, and the row that says so."""

    text: str
    url: str
    row: Mapping[str, Any]


class Cameras:
    """Knows the cameras and makes grants."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def register(self, bus: Bus) -> None:
        """Take part in ingest."""
        bus.project(CameraOffered, self._offered)

    async def _offered(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            event = row.event
            assert isinstance(event, CameraOffered)
            latest[row.edge, kept(event.device, 64)] = {
                "edge": row.edge,
                "device": kept(event.device, 64),
                "site": row.site,
                "live_url": kept(event.live_url, 256) if event.live_url.startswith(_WEB) else "",
                "seen_at": row.occurred_at,
                "position": row.position,
            }
        await view_store.put_cameras(conn, [latest[key] for key in sorted(latest)])

    async def camera(self, conn: AsyncConnection, name: str, caller: Principal) -> Row[Any]:
        """Return `<edge>.<camera>`, or a camera by its id where only one at the caller's sites has it.

        Raise Missing, Forbidden where others have it, or CameraAmbiguous, which names none that is not the caller's.
        """
        rows = await view_store.cameras_named(conn, name, caller.sites)
        if not rows:
            for row in await view_store.cameras_named(conn, name, (ANY_SITE,)):
                caller.must_site(row.site)
            raise Missing(f"no camera {name}")
        if len(rows) > 1:
            found = ", ".join(sorted(f"{row.edge}.{row.device}" for row in rows))
            raise CameraAmbiguous(f"several cameras are called {name}", cure=f"say which: {found}")
        return rows[0]

    async def grant(self, conn: AsyncConnection, camera: Row[Any], reason: str, for_s: int, actor: str) -> Granted:
        """Write down who may look, and return the grant; raise CameraDark."""
        if not camera.live_url:
            raise CameraDark("its edge shows no live pictures", cure="add a [live] section to the edge's configuration")
        moment = now()
        made = ViewGrant(
            id=new_id(),
            edge=camera.edge,
            device=camera.device,
            actor=actor,
            issued_at=moment,
            expires_at=moment + timedelta(seconds=min(REDEEM_S, for_s)),
            until=moment + timedelta(seconds=for_s),
        )
        row = {
            "id": made.id,
            "edge": camera.edge,
            "site": camera.site,
            "device": camera.device,
            "actor": actor,
            "reason": reason,
            "issued_at": moment,
            "expires_at": made.expires_at,
            "until": made.until,
        }
        await view_store.add_view(conn, row)
        text = made.text(self._signer)
        return Granted(text, f"{camera.live_url}/live/{camera.device}#{text}", row)
