"""From a reader's text or a vehicle's plates to a judged attempt: identify, make tokens, decide.

The text goes no further than here.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from core.clearance.engine import decide
from core.clearance.model import Attempt, Decision, Direction, ListInForce, RuleSet
from core.errors import GatefleetError
from core.identity.mrz import full_date
from core.identity.tokens import Identified, IdentifierRefused, TokenKind, identify, subject_token
from edge.lanes.votes import Verdict, plate_tokens

_NOBODY: Final = ""
_FILLER: Final = "<<"
_DOCUMENTS: Final = frozenset({TokenKind.DOCUMENT, TokenKind.RESIDENT, TokenKind.PERMIT})


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision and who it is about, as a token."""

    decision: Decision
    token: str
    document_kind: str
    person_class: str


class Judge:
    """Decides for the lanes of one edge, with the lists that are in force at that moment."""

    def __init__(
        self,
        *,
        ruleset: RuleSet,
        lists: Callable[[], tuple[ListInForce, ...]],
        token_key: bytes,
        hmac: Callable[[bytes, bytes], bytes],
    ) -> None:
        self._ruleset = ruleset
        self._lists = lists
        self._token_key = token_key
        self._hmac = hmac

    @property
    def ruleset(self) -> RuleSet:
        """Return the rules in force."""
        return self._ruleset

    def judge(self, text: str, lane: str, direction: Direction, now: datetime) -> Judged:
        """Judge what a reader sent; a text that identifies nobody is judged as an invalid document."""
        try:
            shown = identify(text)
        except GatefleetError:
            shown = Identified(TokenKind.OPAQUE, "", problem="unreadable")
        # What looks like a machine-readable zone and is none was misread: it must not pass for a code of its own.
        misread = shown.kind is TokenKind.OPAQUE and _FILLER in text
        named = shown.natural and not shown.problem and not misread
        token = subject_token(shown.kind, shown.natural, self._token_key, self._hmac) if named else _NOBODY
        attempt = Attempt(
            lane=lane,
            direction=direction,
            tokens=(token,) if token else (),
            document_valid=bool(token),
            document_expired=_expired(shown, now.astimezone(ZoneInfo(self._ruleset.timezone)).date()),
        )
        decision = decide(attempt, self._ruleset, self._lists(), now)
        return Judged(decision, token, shown.hints.document or shown.kind.value, attempt.person_class)

    def judge_vehicle(self, plates: Verdict, lane: str, direction: Direction, now: datetime) -> Decision:
        """Judge a vehicle: near readings of its plates only divert; without any plate its document is invalid."""
        tokens = plate_tokens(plates, self.plate_token)
        attempt = Attempt(
            lane=lane,
            direction=direction,
            tokens=tokens.exact,
            near_tokens=tokens.near,
            document_valid=bool(tokens.exact),
        )
        return decide(attempt, self._ruleset, self._lists(), now)

    def plate_token(self, plate: str) -> str:
        """Return the token of a plate; raise IdentifierRefused where the text can be none."""
        return subject_token(TokenKind.PLATE, plate, self._token_key, self._hmac)

    def document_token(self, text: str) -> str:
        """Return the token of a document: a zone, a resident or permit number, `issuer/number`, `permit kind/number`.

        IdentifierRefused, which does not repeat the text, where it is none.
        """
        shown = identify(text)
        if shown.kind in _DOCUMENTS and shown.natural and not shown.problem:
            return subject_token(shown.kind, shown.natural, self._token_key, self._hmac)
        for kind in (TokenKind.DOCUMENT, TokenKind.PERMIT) if "/" in text else ():
            with suppress(IdentifierRefused):
                return subject_token(kind, text, self._token_key, self._hmac)
        raise IdentifierRefused("not the number of a document", cure="issuer/number, or the machine-readable zone")


def _expired(shown: Identified, today: date) -> bool:
    if len(shown.hints.expiry) != 6:
        return False
    try:
        return full_date(shown.hints.expiry, today, "expiry") < today
    except GatefleetError:
        return True
