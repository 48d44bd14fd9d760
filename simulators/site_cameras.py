"""Many ONVIF cameras of one process: each on a port of its own, all in one application."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

from simulators.onvif_camera import Camera

_SERVICES: Final = ("device_service", "media", "media2", "events", "ptz", "subscription")
_HOST: Final = "127.0.0.1"


@contextlib.asynccontextmanager
async def serve_cameras(cameras: Mapping[str, Camera]) -> AsyncIterator[dict[str, str]]:
    """Serve cameras at free ports of loopback; yield their device services by the cameras' names."""
    at: dict[int, Camera] = {}

    async def soap(request: web.Request) -> web.StreamResponse:
        return await _asked(at, request).soap(request)

    async def still(request: web.Request) -> web.StreamResponse:
        return await _asked(at, request).still(request)

    app = web.Application(client_max_size=1 << 20)
    app.add_routes([*(web.post(f"/onvif/{name}", soap) for name in _SERVICES), web.get("/snap.jpg", still)])
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        for camera in cameras.values():
            await web.TCPSite(runner, _HOST, 0).start()
            port = runner.addresses[-1][1]
            at[port] = camera
            camera.url = f"http://{_HOST}:{port}/onvif/device_service"
        yield {name: camera.url for name, camera in cameras.items()}
    finally:
        await runner.cleanup()


def _asked(at: Mapping[int, Camera], request: web.Request) -> Camera:
    """Return the camera that a request came to, by its port."""
    here = request.transport.get_extra_info("sockname") if request.transport else None
    if here is None:
        raise web.HTTPServiceUnavailable
    return at[here[1]]
