"""The API's frame: FastAPI with problems, units of work, trace ids, a cap on bodies and request metrics."""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from central import problems
from central.db import Database, new_id, transient
from central.errors import TooLarge, Unavailable
from central.idempotency import Idempotency
from central.metrics import Metrics
from central.unit import Authenticate, UnitOfWork

MAX_BODY_BYTES: Final = 1024 * 1024
_TRACEPARENT: Final = re.compile(r"^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router whose requests are units of work and whose errors are problems."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=UnitOfWork, responses=problems.RESPONSES)


def create_api(
    *,
    database: Database,
    authenticate: Authenticate,
    metrics: Metrics,
    routers: Iterable[APIRouter],
    version: str,
    body_limits: Mapping[str, int] | None = None,
) -> FastAPI:
    """Return the app. `body_limits` gives path prefixes that may send more than MAX_BODY_BYTES."""
    app = FastAPI(title="gatefleet central", version=version, docs_url="/docs", redoc_url=None)
    app.state.database = database
    app.state.authenticate = authenticate
    app.state.idempotency = Idempotency()
    problems.install(app)
    for one in routers:
        app.include_router(one)
    app.add_middleware(_BodyCap, limits=dict(body_limits or {}))
    app.add_middleware(_Traced, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document, with the schema that every problem refers to."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        made = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(made.pop("$defs", {}))
        schemas["Problem"] = made
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema


def _answer(request: Request, error: Exception) -> Response:
    """Return the problem of what no handler took: the database is away, or a mistake of ours."""
    if transient(error):
        return problems.of_error(request, Unavailable("the database does not answer", cure="try again"))
    return problems.of_bug(request, error)


class _BodyCap:
    """Refuses a body over the limit: by its stated length at once, otherwise as soon as it has grown past it."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = max((size for prefix, size in self._limits.items() if scope["path"].startswith(prefix)), default=0)
        limit = limit or MAX_BODY_BYTES
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > limit:
            request = Request(scope)
            await problems.of_error(request, TooLarge(f"at most {limit} bytes"))(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooLarge(f"at most {limit} bytes")
            return message

        await self._app(scope, counted, send)


class _Traced:
    """Gives each request a trace id (the caller's, where it sends a traceparent), and measures it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _TRACEPARENT.match(dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1"))
        trace = scope["trace_id"] = given[1] if given else new_id()
        started, status, begun = time.perf_counter(), 500, False

        async def traced(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message["headers"], (b"x-trace-id", trace.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(trace_id=trace):
            try:
                await self._app(scope, receive, traced)
            except Exception as error:  # noqa: BLE001 (the outermost frame of a request)
                answer = _answer(Request(scope), error)
                if not begun:
                    await answer(scope, receive, traced)
        route = getattr(scope.get("route"), "path_format", "unmatched")
        labels = (scope["method"], route, f"{status // 100}xx")
        self._metrics.requests.labels(*labels).observe(time.perf_counter() - started)
