"""Running: named tasks in one group, the API's server among them, until a signal says to stop."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
import uvicorn
from fastapi import FastAPI

from central.config import HttpSection
from central.metrics import Metrics

_log = structlog.get_logger(__name__)

_GRACE_S: Final = 5
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Worker:
    """Work that goes on until it is cancelled."""

    name: str
    work: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Work that is done again and again. What there is to do stands in the database: a restart forgets nothing."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    api: FastAPI,
    section: HttpSection,
    workers: Sequence[Worker],
    sweeps: Sequence[Sweep],
    *,
    metrics: Metrics,
    listening: Callable[[int], None] | None = None,
) -> None:
    """Run it all until SIGTERM or SIGINT. A worker that fails ends it all, with its error: the service is restarted."""
    server = _Server(_settings(api, section))
    with _listener(section) as listener, _told_to_stop() as stop:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one.work(), name=one.name) for one in workers]
            running += [tasks.create_task(_again(one, metrics), name=f"sweep:{one.name}") for one in sweeps]
            serving = tasks.create_task(server.serve(sockets=[listener]), name="http")
            port = listener.getsockname()[1]
            _log.info("central.up", host=section.host, port=port)
            if listening is not None:
                listening(port)
            await stop.wait()
            _log.info("central.stopping")
            server.should_exit = True
            await serving
            for task in running:
                task.cancel()
    _log.info("central.down")


@contextmanager
def _told_to_stop() -> Iterator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _again(sweep: Sweep, metrics: Metrics) -> None:
    while True:
        try:
            await sweep.work()
        except Exception:  # noqa: BLE001 (the outermost frame of the task)
            _log.exception("sweep.failed", sweep=sweep.name)
            metrics.task_failures.labels(f"sweep:{sweep.name}").inc()
        await asyncio.sleep(sweep.every_s)


def _listener(section: HttpSection) -> socket.socket:
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((section.host, section.port))
    except OSError:
        made.close()
        raise
    return made


def _settings(api: FastAPI, section: HttpSection) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=section.behind_proxy,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=section.tls_cert,
        ssl_keyfile=section.tls_key,
    )
