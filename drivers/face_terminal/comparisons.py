"""Face comparisons -> facts. Keeps nothing between requests, and takes nothing that a face could be made of again."""

import json
import re
from datetime import datetime, timezone
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import DeviceDescribed, Fact
from drivers.push import Reading, at_path, first_text, parse_json, refused, scalar_text
from drivers.stamps import Zone, zone_of

_MAX_AGE_MS: Final = 86_400_000
_MAX_CAPTURE: Final = 64 << 20
_MAX_STRING: Final = 256
"""A longer text would have room for a template."""
_MAX_NUMBERS: Final = 8
"""A longer list of numbers is a feature vector."""
_MAX_DEPTH: Final = 8
_DIGEST: Final = re.compile(r"(sha256|sm3):[0-9a-f]{64}")
Paths = tuple[str, ...]


class Spelling(BaseModel):
    """Where each value stands; the first that tells something counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: Paths = ("attempt",)
    score: Paths = ("score",)
    liveness: Paths = ("liveness",)
    age_ms: Paths = ("age_ms",)
    at: Paths = ("at",)
    capture_digest: Paths = ("capture.digest",)
    capture_bytes: Paths = ("capture.bytes",)
    matcher: Paths = ("matcher",)
    terminal: Paths = ("terminal",)
    vendor: Paths = ("vendor",)
    model: Paths = ("model",)
    serial: Paths = ("serial",)
    software: Paths = ("software",)


class FaceMap(BaseModel):
    """The `map` of a face terminal's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times that tell none."""
    score_scale: float = Field(default=1.0, gt=0, le=10_000)
    """What the terminal calls certain: 1, 100, ..."""
    trust_clock: bool = False
    """True for a terminal that tells no age, only its time: then its clock must be right."""
    forbidden: tuple[str, ...] = Field(
        default=("template", "feature", "embedding", "descriptor", "vector", "image", "photo", "picture", "portrait"),
        min_length=1,
    )
    """A body with a name that contains one of these is refused whole, whatever the value."""
    spelling: Spelling = Spelling()


class FaceComparisons:
    """What one face terminal pushes to."""

    def __init__(self, layout: FaceMap) -> None:
        self._map = layout
        self._zone: timezone = zone_of(layout.zone)

    def receive(self, request: Request) -> Pushed:
        """Return what one push means; one with anything biometric is refused, and its content is not told."""
        if request.method not in {"POST", "PUT"}:
            return refused(405, f"method {request.method[:10]}")
        reading = Reading()
        try:
            value = parse_json(request.body)
            self._nothing_biometric(value)
            facts, attempt = self._facts(value, request, reading)
        except FrameInvalid as error:
            return refused(400, error.detail, *reading.rejected)
        body = json.dumps({"accepted": attempt}).encode()
        return Pushed(facts, Answer(200, body), tuple(reading.rejected))

    def _nothing_biometric(self, value: object, depth: int = 0) -> None:
        """Raise FrameInvalid for names, texts or lists that may hold a face."""
        if depth > _MAX_DEPTH:
            raise FrameInvalid(f"nested deeper than {_MAX_DEPTH}")
        match value:
            case dict():
                for name, inner in value.items():
                    if any(word in name.lower() for word in self._map.forbidden):
                        raise FrameInvalid(f"biometric content is not taken: {name[:32]!r}")
                    self._nothing_biometric(inner, depth + 1)
            case list():
                if len(value) > _MAX_NUMBERS:
                    raise FrameInvalid(f"biometric content is not taken: a list of {len(value)}")
                for inner in value:
                    self._nothing_biometric(inner, depth + 1)
            case str() if len(value) > _MAX_STRING:
                raise FrameInvalid(f"biometric content is not taken: a text of {len(value)} characters")

    def _facts(self, value: object, request: Request, reading: Reading) -> tuple[tuple[Fact, ...], str]:
        spelled = self._map.spelling
        described = DeviceDescribed(
            vendor=reading.word("vendor", first_text(value, spelled.vendor)),
            model=reading.word("model", first_text(value, spelled.model)),
            firmware=reading.word("software", first_text(value, spelled.software), 64),
            serial=reading.word("serial", first_text(value, spelled.serial)),
        )
        about: tuple[Fact, ...] = (described,) if described.model or described.serial else ()
        attempt = reading.word("attempt", first_text(value, spelled.attempt), 64)
        if not attempt and about and not first_text(value, spelled.score):
            return about, ""
        return (self._compared(value, attempt, request, reading), *about), attempt

    def _compared(self, value: object, attempt: str, request: Request, reading: Reading) -> FaceCompared:
        spelled, scale = self._map.spelling, self._map.score_scale
        score = reading.number("score", first_text(value, spelled.score), 0, scale)
        at = reading.stamp("at", first_text(value, spelled.at), self._zone)
        age_ms = self._age_ms(value, at, request.at, reading)
        if not attempt or score is None or age_ms is None:
            raise FrameInvalid("a comparison needs an attempt, a score and an age")
        digest = first_text(value, spelled.capture_digest).lower()
        if digest and _DIGEST.fullmatch(digest) is None:
            reading.reject("a capture's digest that is neither SHA-256 nor SM3")
            digest = ""
        return FaceCompared(
            attempt=attempt,
            score=score / scale,
            age_ms=age_ms,
            liveness=self._liveness(value, reading),
            capture_digest=digest,
            capture_bytes=reading.whole("capture", first_text(value, spelled.capture_bytes), 0, _MAX_CAPTURE),
            at=at,
            terminal=reading.word("terminal", first_text(value, spelled.terminal), 64),
            matcher=reading.word("matcher", first_text(value, spelled.matcher), 64),
            pushed_ms=request.began_ms,
        )

    def _age_ms(self, value: object, at: datetime | None, now: datetime, reading: Reading) -> int | None:
        told = first_text(value, self._map.spelling.age_ms)
        if told or not self._map.trust_clock:
            return reading.whole("age_ms", told, 0, _MAX_AGE_MS)
        if at is None:
            return None
        age_ms = round((now - at).total_seconds() * 1000)
        return reading.whole("age by the clocks", str(max(0, age_ms)), 0, _MAX_AGE_MS)

    def _liveness(self, value: object, reading: Reading) -> float | None:
        for path in self._map.spelling.liveness:
            found = at_path(value, path)
            if isinstance(found, bool):
                return float(found)
            if text := scalar_text(found):
                number = reading.number("liveness", text, 0, self._map.score_scale)
                return None if number is None else number / self._map.score_scale
        return None
