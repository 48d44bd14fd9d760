"""One named task for each thing that runs; the only place that retries.

A link that is lost is tried again after 0.5 s, doubling to 30 s, with jitter so that a power cut does not end in a
stampede. What ran for a while starts again at once. An error that trying again cannot cure (`retriable` False) waits
the longest time at once. A bug in one task, or in who hears of its end, is logged with its trace and stops nothing
else.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from core.errors import GatefleetError

_FIRST_S: Final = 0.5
_LONGEST_S: Final = 30.0
_GOOD_RUN_S: Final = 20.0
_STOP_AGAIN_S: Final = 2.0
_MAX_DOUBLINGS: Final = 16
"""More would say nothing new, and would overflow a float after a day of failures."""

log = structlog.get_logger()


class Supervisor:
    """Keeps tasks alive inside a TaskGroup; `stop` ends them all."""

    def __init__(self, group: asyncio.TaskGroup, *, first_s: float = _FIRST_S, longest_s: float = _LONGEST_S) -> None:
        self._group = group
        self._first_s = first_s
        self._longest_s = longest_s
        self._tasks: list[asyncio.Task[None]] = []
        self.restarts: dict[str, int] = {}

    def keep(
        self, name: str, run: Callable[[], Awaitable[None]], on_end: Callable[[Exception], None] | None = None
    ) -> None:
        """Run `run` again and again under `name`; `on_end` hears why it ended each time."""
        self._tasks.append(self._group.create_task(self._keep(name, run, on_end), name=name))

    async def stop(self) -> None:
        """Cancel all tasks, last started first, and wait for them; one that lost the first asking is asked again."""
        while running := [task for task in reversed(self._tasks) if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=_STOP_AGAIN_S)

    async def _keep(
        self, name: str, run: Callable[[], Awaitable[None]], on_end: Callable[[Exception], None] | None
    ) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            ended: Exception
            try:
                await run()
                ended = GatefleetError("ended by itself", place=name)
            except GatefleetError as error:
                ended = error
                log.info("task.lost", task=name, code=error.code, error=str(error))
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                ended = GatefleetError("something it waited for was cancelled", place=name)
                log.warning("task.stray_cancel", task=name)
            except Exception as error:  # the task's outermost frame
                ended = error
                log.exception("task.failed", task=name)
            self.restarts[name] = self.restarts.get(name, 0) + 1
            failures = 1 if time.monotonic() - began > _GOOD_RUN_S else failures + 1
            try:
                if on_end is not None:
                    on_end(ended)
            except Exception:  # the task's outermost frame, as above
                log.exception("task.end_not_heard", task=name)
            await asyncio.sleep(self._pause_s(failures, ended))

    def _pause_s(self, failures: int, ended: Exception) -> float:
        hopeless = isinstance(ended, GatefleetError) and not ended.retriable
        doubled = self._first_s * 2 ** min(failures - 1, _MAX_DOUBLINGS)
        pause = self._longest_s if hopeless else min(self._longest_s, doubled)
        return pause * random.uniform(0.7, 1.0)  # noqa: S311 jitter, not a secret


def _is_cancelled() -> bool:
    """Tell whether the present task itself was told to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
