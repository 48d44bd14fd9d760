"""The verification of one passenger: a document, then a live face that fits it, then the lists.

Promises
1. A face that was taken before the document was read, or was told before, is ignored: it is somebody else's, or old.
2. The document's text is kept only while its passenger is verified, and stands in no event and no memo.
3. The lists are asked last, as they are at that moment.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from core.clearance.model import Effect
from core.messages.cabin_events import HoldReason
from drivers.face_terminal.facts import FaceCompared
from edge.clearance import Judged
from edge.lanes.boarding import Boarding, Outcome, visit_number
from edge.lanes.cabin_words import CabinSettings, Visit

_FACES_KEPT: Final = 64
"""Comparisons that are remembered, so that a push that is sent again counts once."""


class Found(StrEnum):
    """What a document or a face was good for."""

    IGNORED = "ignored"
    AGAIN = "again"
    GOOD = "good"
    HOLD = "hold"
    """`why` says why."""


@dataclass(slots=True)
class Verification:
    """What is known of the passenger in the cabin; `begin` forgets the one before."""

    settings: CabinSettings
    judge: Callable[[str], Judged] = field(repr=False)
    why: HoldReason | None = None
    judged: Judged | None = None
    face: FaceCompared | None = None
    began_ms: int = 0
    _text: str = field(default="", repr=False)
    _tries: int = 0
    _document_ms: int = 0
    _told: deque[str] = field(default_factory=lambda: deque(maxlen=_FACES_KEPT))

    def begin(self, now_ms: int) -> None:
        """Take the next passenger, or the same one from the start."""
        self.end()
        self.began_ms, self._tries = now_ms, 0

    def end(self) -> None:
        """Forget the passenger."""
        self._text, self.why, self.judged, self.face = "", None, None, None

    @property
    def token(self) -> str:
        """Return the token of the document that was read."""
        return self.judged.token if self.judged else ""

    def take_document(self, text: str, now_ms: int) -> Found:
        """Read who it is."""
        judged = self.judge(text)
        if not judged.token:
            return self._failed(HoldReason.DOCUMENT_UNREADABLE, self.settings.document_tries)
        self._text, self.judged, self._document_ms, self._tries = text, judged, now_ms, 0
        return Found.GOOD

    def take_face(self, face: FaceCompared, boarding: Boarding, now_ms: int) -> Found:
        """Compare with the thresholds; when it fits, ask the lists and the boarding."""
        if now_ms - face.age_ms < self._document_ms or face.attempt in self._told:
            return Found.IGNORED
        self._told.append(face.attempt)
        self.face = face
        live = self.settings.liveness_threshold
        if live and (face.liveness is None or face.liveness < live):
            return self._failed(HoldReason.NOT_LIVE, self.settings.face_tries)
        if face.score < self.settings.face_threshold:
            return self._failed(HoldReason.FACE_MISMATCH, self.settings.face_tries)
        self.judged = self.judge(self._text)
        self.why = self._objection(self.judged, boarding)
        return Found.HOLD if self.why else Found.GOOD

    def fields(self, visit: Visit, boarding: Boarding, now_ms: int, *, offline: bool) -> dict[str, Any]:
        """Return what an event tells of the passenger."""
        decision = self.judged.decision if self.judged else None
        row, face = boarding.row(visit.token), self.face
        return {
            "boarding": boarding.boarding,
            "attempt": visit.attempt,
            "subject_token": visit.token,
            "document_kind": self.judged.document_kind if self.judged else "",
            "person_class": self.judged.person_class if self.judged else "other",
            "expected": boarding.expects(visit.token),
            "repeated": row is not None and row.last != visit_number(visit.attempt),
            "face_attempt": face.attempt if face else "",
            "face_score": face.score if face else None,
            "face_threshold": self.settings.face_threshold,
            "liveness": face.liveness if face else None,
            "capture_digest": face.capture_digest if face else "",
            "effect": decision.effect if decision else None,
            "reasons": (*decision.reasons, *decision.alerts) if decision else (),
            "ruleset_version": decision.ruleset_version if decision else 0,
            "list_versions": dict(decision.list_versions) if decision else {},
            "duration_ms": max(0, now_ms - self.began_ms),
            "offline": offline,
        }

    def _failed(self, why: HoldReason, most: int) -> Found:
        self._tries += 1
        self.why = why
        return Found.AGAIN if self._tries < most else Found.HOLD

    def _objection(self, judged: Judged, boarding: Boarding) -> HoldReason | None:
        row = boarding.row(judged.token)
        if judged.decision.effect is not Effect.RELEASE:
            return HoldReason.CLEARANCE
        if row is not None and row.left:
            return HoldReason.ALREADY_LEFT
        if row is not None and row.outcome is Outcome.REFUSED:
            return HoldReason.ALREADY_REFUSED
        stranger = not boarding.expects(judged.token) and self.settings.unexpected == "hold"
        return HoldReason.NOT_EXPECTED if stranger else None
