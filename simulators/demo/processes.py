"""The child processes of a demo: started, killed, started again, stopped; each with a log of its own."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from core.errors import GatefleetError
from simulators.ports import free_port

__all__ = ["Child", "ChildFailed", "free_port", "wait_port"]

_STOP_S = 10.0


class ChildFailed(GatefleetError):
    """A process of the demo ended by itself."""

    code = "child_failed"


@dataclass(slots=True)
class Child:
    """One process. `argv` is run with this Python."""

    name: str
    argv: list[str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, adding to its log."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.argv, stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"}
            )

    def check(self) -> None:
        """Raise ChildFailed with the end of its log if it is not running."""
        if self.process is not None and self.process.returncode is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-600:]
            raise ChildFailed(f"ended with {self.process.returncode}: ...{tail}", place=self.name)

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after a while."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), _STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


async def wait_port(port: int, child: Child, seconds: float = 30.0) -> None:
    """Return once something listens; raise ChildFailed or TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            child.check()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
