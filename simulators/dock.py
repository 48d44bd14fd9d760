"""A dock for radios and recorders (gatefleet dock 1). It keeps its events until they are accepted."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.pushing import Misbehaviour, Pusher

_BATCH: Final = 64


@dataclass(slots=True)
class Dock:
    """One dock; `pending` is what central's edge has not yet accepted, `refused` what it never will."""

    pusher: Pusher
    name: str = "D1"
    pending: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    _slots: dict[int, str] = field(default_factory=dict)

    def insert(self, slot: int, equipment: str) -> None:
        """Put a radio or recorder into a slot; it begins to charge."""
        self._slots[slot] = equipment
        self._tell(slot, "inserted")
        self._tell(slot, "charging", charge_pct=self.pusher.random.randrange(5, 60), temperature_c=28)

    def fill(self, slot: int) -> None:
        """Charge what is in a slot to the full."""
        self._tell(slot, "full", charge_pct=100)

    def upload(self, slot: int, count: int) -> None:
        """Take the files of a recorder, half an hour each."""
        self._tell(slot, "uploading")
        files = [self._file(number) for number in range(1, count + 1)]
        self._tell(slot, "uploaded", files=files)

    def remove(self, slot: int) -> None:
        """Take out what is in a slot."""
        self._tell(slot, "removed")
        del self._slots[slot]

    def fault(self, slot: int, code: str) -> None:
        """Break a slot."""
        self._tell(slot, "fault", fault=code)

    async def push(self) -> int:
        """Send what is pending, oldest first; return the status of the answer."""
        batch = self.pending[:_BATCH]
        value: dict[str, Any] = {"version": 1, "dock": self.name, "events": batch}
        if self.pusher.is_bad(Misbehaviour.OVERSIZE):
            value["padding"] = "x" * (9 << 20)
        status = await self.pusher.post(json.dumps(value).encode(), "application/json")
        if status == 200:
            told = json.loads(self.pusher.answers[-1][1])
            refused = {one["id"] for one in told["refused"]}
            done = refused | set(told["accepted"])
            self.refused += [event for event in batch if event["id"] in refused]
            self.pending = [event for event in self.pending if event["id"] not in done]
        return status

    def _tell(self, slot: int, kind: str, **more: object) -> None:
        event = {"id": f"{self.name}-{self.pusher.name()}", "at": self.pusher.stamp(), "slot": slot, "kind": kind}
        self.pending.append({**event, "equipment": self._slots.get(slot, ""), **more})

    def _file(self, number: int) -> dict[str, Any]:
        content = self.pusher.random.randbytes(16)
        return {
            "name": f"{number:04d}.mp4",
            "size": self.pusher.random.randrange(10_000_000, 900_000_000),
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "started_at": self.pusher.stamp(),
            "seconds": 1800,
        }
