"""Dock events -> facts. Keeps nothing between requests: who stores the facts tells a repeated event by its id."""

import json
import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.dock.facts import RecordedFile, RecordingsUploaded, SlotChanged
from drivers.facts import Fact
from drivers.push import MAX_REJECTED, Reading, at_path, parse_json, refused, scalar_text
from drivers.stamps import Zone, zone_of

MAX_EVENTS: Final = 256
MAX_FILES: Final = 1000
_MAX_SIZE: Final = 1 << 50
_MAX_SECONDS: Final = 7 * 86_400
_DIGEST = re.compile(r"(sha256|sm3):[0-9a-f]{64}")
_UPLOADED: Final = "uploaded"
_KINDS: Final = ("inserted", "removed", "charging", "full", "uploading", _UPLOADED, "fault")


class Spelling(BaseModel):
    """The dock's name of each value, below an event or below one of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: str = "events"
    event_id: str = "id"
    at: str = "at"
    slot: str = "slot"
    kind: str = "kind"
    equipment: str = "equipment"
    charge_pct: str = "charge_pct"
    temperature_c: str = "temperature_c"
    fault: str = "fault"
    files: str = "files"
    file_name: str = "name"
    file_size: str = "size"
    file_digest: str = "digest"
    file_started_at: str = "started_at"
    file_seconds: str = "seconds"


class DockMap(BaseModel):
    """The `map` of a dock's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times that tell none."""
    slots: int = Field(default=64, ge=1, le=64)
    kinds: dict[str, str] = Field(default={kind: kind for kind in _KINDS})
    """The dock's word -> one of inserted, removed, charging, full, uploading, uploaded, fault."""
    spelling: Spelling = Spelling()


class DockEvents:
    """What one dock pushes to."""

    def __init__(self, layout: DockMap) -> None:
        self._map = layout
        self._zone = zone_of(layout.zone)

    def receive(self, request: Request) -> Pushed:
        """Return the facts of one request; its answer names each event that was taken, and why another was not."""
        if request.method not in {"POST", "PUT"}:
            return refused(405, f"method {request.method[:10]}")
        try:
            events = at_path(parse_json(request.body), self._map.spelling.events)
        except FrameInvalid as error:
            return refused(400, error.detail)
        if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
            return refused(400, f"a list of 1..{MAX_EVENTS} events is wanted at {self._map.spelling.events!r}")
        return self._taken(events)

    def _taken(self, events: list[Any]) -> Pushed:
        facts: dict[str, Fact] = {}
        wrong: list[dict[str, str]] = []
        for raw in events:
            event_id = scalar_text(at_path(raw, self._map.spelling.event_id))[:64]
            try:
                fact = self._event(raw)
            except FrameInvalid as error:
                wrong.append({"id": event_id, "why": error.detail[:200]})
                continue
            if facts.setdefault(event_id, fact) != fact:
                wrong.append({"id": event_id, "why": "another event in this request bears the same id"})
        body = json.dumps({"accepted": list(facts), "refused": wrong}, ensure_ascii=False).encode()
        reasons = tuple(f"event {one['id']!r}: {one['why']}" for one in wrong[:MAX_REJECTED])
        return Pushed(tuple(facts.values()), Answer(200 if facts else 400, body), reasons)

    def _event(self, raw: object) -> Fact:
        """Return one event, wholly right; raise FrameInvalid with all that is wrong."""
        spelled, reading = self._map.spelling, Reading()
        event_id = self._needed(reading, raw, spelled.event_id, 64)
        slot = reading.whole("slot", self._needed(reading, raw, spelled.slot), 1, self._map.slots)
        at = reading.stamp("at", self._needed(reading, raw, spelled.at), self._zone)
        told = scalar_text(at_path(raw, spelled.kind))
        kind = self._map.kinds.get(told)
        if kind not in _KINDS:
            reading.reject(f"kind {told[:20]!r} is none of {sorted(self._map.kinds)}")
        equipment = reading.word("equipment", scalar_text(at_path(raw, spelled.equipment)), 64)
        if kind == _UPLOADED and not equipment:
            reading.reject("an upload without equipment")
        files = self._files(raw, reading) if kind == _UPLOADED else ()
        charge = reading.number("charge", scalar_text(at_path(raw, spelled.charge_pct)), 0, 100)
        temperature = reading.number("temperature", scalar_text(at_path(raw, spelled.temperature_c)), -60, 150)
        fault = reading.word("fault", scalar_text(at_path(raw, spelled.fault)), 64)
        if reading.rejected or slot is None or at is None or kind is None:
            raise FrameInvalid("; ".join(reading.rejected))
        if kind == _UPLOADED:
            return RecordingsUploaded(event_id, slot, at, equipment, files)
        return SlotChanged(event_id, slot, kind, at, equipment, charge, temperature, fault)

    def _files(self, raw: object, reading: Reading) -> tuple[RecordedFile, ...]:
        rows = at_path(raw, self._map.spelling.files)
        if not isinstance(rows, list) or len(rows) > MAX_FILES:
            reading.reject(f"an upload without a list of at most {MAX_FILES} files")
            return ()
        return tuple(file for row in rows if (file := self._file(row, reading)) is not None)

    def _file(self, row: object, reading: Reading) -> RecordedFile | None:
        spelled = self._map.spelling
        name = self._needed(reading, row, spelled.file_name, 255)
        if "/" in name or "\\" in name or name in {".", ".."}:
            reading.reject(f"file name {name[:40]!r} with a folder")
        digest = scalar_text(at_path(row, spelled.file_digest)).lower()
        if _DIGEST.fullmatch(digest) is None:
            reading.reject(f"file {name[:40]!r} without a SHA-256 or SM3 digest")
        size = reading.whole("size", self._needed(reading, row, spelled.file_size), 0, _MAX_SIZE)
        seconds = reading.number("seconds", self._needed(reading, row, spelled.file_seconds), 0, _MAX_SECONDS)
        started_at = reading.stamp("started_at", self._needed(reading, row, spelled.file_started_at), self._zone)
        if size is None or seconds is None or started_at is None:
            return None
        return RecordedFile(name, size, digest, started_at, seconds)

    @staticmethod
    def _needed(reading: Reading, raw: object, path: str, limit: int = 64) -> str:
        text = scalar_text(at_path(raw, path))
        if not text:
            reading.reject(f"{path} is missing")
        return reading.word(path, text, limit)
