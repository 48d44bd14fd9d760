"""The programs of the fault bench, as bench/stack.py makes them, killed again and again."""

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.stack import Program, ProgramEnded


class Hangs(ProgramEnded):
    """Nothing moves any more, or a fault had no occasion to strike."""

    code = "hangs"


@dataclass(slots=True)
class Part:
    """A program under fire. `kills` counts only those that found it alive."""

    program: Program
    works_to_an_end: bool = False
    """Ends by itself, with 0, when its work is done."""
    excuses: int = 0
    """How often it may yet end by itself and be started again, as a service manager does."""
    kills: int = 0
    restarts: int = 0
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def finished(self) -> bool:
        """Tell whether it has done its work; raise ProgramEnded where it ended in any other way, without an excuse."""
        process = self.program.process
        if self._busy.locked() or process is None or process.returncode is None:
            return False
        if process.returncode == 0 and self.works_to_an_end:
            return True
        if not self.excuses:
            self.program.check()
        self.excuses -= 1
        self.restarts += 1
        async with self._busy:
            await asyncio.sleep(0.5)
            await self.program.start()
        return False

    async def kill(self, pause_s: float) -> None:
        """SIGKILL (or what the program's death is), and start it again after a pause."""
        async with self._busy:
            process = self.program.process
            if process is None or process.returncode is not None:
                return
            await self.program.kill()
            self.kills += 1
            await asyncio.sleep(pause_s)
            await self.program.start()


def edge_program(folder: Path, port: int, events: int, seed: int) -> Program:
    """Return the edge that makes numbered events; it is not started yet."""
    home = folder / "edge"
    home.mkdir()
    options = ["--buffer", home / "buffer.db", "--side", home / "side", "--port", port]
    options += ["--events", events, "--seed", seed]
    return Program("fault-edge", [sys.executable, "-m", "bench.fault_edge", *map(str, options)], folder)
