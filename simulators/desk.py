"""A verification desk or hand-held terminal (gatefleet desk 1) that sends heartbeats."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from simulators.pushing import Misbehaviour, Pusher


@dataclass(slots=True)
class Desk:
    """One desk. `certificates`: serial -> days until it expires."""

    pusher: Pusher
    name: str = "V01"
    software: str = "4.2.1"
    free_bytes: int = 48 << 30
    battery_pct: float | None = None
    certificates: dict[str, int] = field(default_factory=lambda: {"SIM-01": 200})

    async def beat(self) -> int:
        """Send one heartbeat; return the status of the answer."""
        value: dict[str, Any] = {
            "version": 1,
            "desk": self.name,
            "at": self.pusher.stamp(),
            "model": "SVD-SIM",
            "serial": f"SIM-{self.name}",
            "software": self.software,
            "storage": {"free_bytes": self.free_bytes, "total_bytes": 64 << 30},
            "certificates": [self._certificate(*one) for one in self.certificates.items()],
        }
        if self.battery_pct is not None:
            value["battery_pct"] = self.battery_pct
        if self.pusher.is_bad(Misbehaviour.OVERSIZE):
            value["padding"] = "x" * (9 << 20)
        return await self.pusher.post(json.dumps(value).encode(), "application/json")

    def _certificate(self, serial: str, days: int) -> dict[str, Any]:
        expires = (self.pusher.now() + timedelta(days=days)).isoformat(timespec="seconds")
        return {"serial": serial, "issuer": "Simulated CA", "not_after": expires, "pin_locked": False}
