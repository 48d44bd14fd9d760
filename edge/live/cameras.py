"""The cameras of a daemon whose pictures can be shown: those that its ONVIF clients own."""

from collections.abc import Iterable

from core.errors import LinkLost
from drivers.digest import Login
from edge.library import LibrarySession
from edge.links.onvif import OnvifCamera
from edge.live.words import Camera

DRIVER = "onvif-camera"


class OwnedCamera:
    """One camera, by its session: the client comes with its first connection."""

    def __init__(self, session: LibrarySession) -> None:
        self._session = session

    def stream(self) -> tuple[str, Login | None]:
        """Return its RTSP address and login; raise LinkLost or Unsupported."""
        return self._client().stream()

    async def still(self) -> bytes:
        """Return a JPEG that the camera made; raise as its client does."""
        return await self._client().still()

    def _client(self) -> OnvifCamera:
        client = self._session.client
        if not isinstance(client, OnvifCamera):
            raise LinkLost("not connected", place=self._session.spec.id)
        return client


def owned_cameras(sessions: Iterable[object]) -> dict[str, Camera]:
    """Return the cameras among the sessions, by device."""
    cameras = [one for one in sessions if isinstance(one, LibrarySession) and one.spec.driver.name == DRIVER]
    return {one.spec.id: OwnedCamera(one) for one in cameras}
