"""A face-match terminal (gatefleet face 1) that pushes its comparisons, honest or misbehaving on purpose."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from simulators.pushing import Misbehaviour, Pusher


@dataclass(slots=True)
class FaceTerminal:
    """One terminal; `pending` are comparisons that were not yet accepted: they are sent again, older."""

    pusher: Pusher
    name: str = "F01"
    leaks: str = ""
    """A terminal that does not know how to behave sends this field with a picture or a template."""
    pending: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0

    async def compare(self, score: float, liveness: float | None = 0.99) -> int:
        """Compare a face and push what came out; return the status of the answer."""
        self._number += 1
        capture = self.pusher.random.randbytes(64)
        compared: dict[str, Any] = {
            "attempt": f"{self.name}-{self._number:06d}",
            "score": score,
            "taken_s": asyncio.get_running_loop().time(),
            "capture": {"digest": f"sha256:{hashlib.sha256(capture).hexdigest()}", "bytes": 48_000},
        }
        if liveness is not None:
            compared["liveness"] = liveness
        self.pending.append(compared)
        return await self.push()

    async def push(self) -> int:
        """Send what is pending, oldest first; what is refused for ever is given up. Return the last status."""
        status = 0
        for compared in tuple(self.pending):
            status = await self.pusher.post(json.dumps(self._body(compared)).encode(), "application/json")
            if status not in {200, 400, 413}:
                break
            self.pending.remove(compared)
        return status

    async def beat(self) -> int:
        """Say what it is."""
        value = {
            "version": 1,
            "terminal": self.name,
            "model": "FT-SIM",
            "serial": f"SIM-{self.name}",
            "software": "3.2",
        }
        return await self.pusher.post(json.dumps(value).encode(), "application/json")

    def _body(self, compared: dict[str, Any]) -> dict[str, Any]:
        age_s = asyncio.get_running_loop().time() - compared["taken_s"]
        value = {
            "version": 1,
            "terminal": self.name,
            "at": self.pusher.stamp(),
            "age_ms": round(age_s * 1000),
            "matcher": "fm-sim-1",
            **{name: found for name, found in compared.items() if name != "taken_s"},
        }
        if self.leaks:
            value[self.leaks] = self.pusher.random.randbytes(64).hex()
        if self.pusher.is_bad(Misbehaviour.OVERSIZE):
            value["padding"] = "x" * (9 << 20)
        return value
