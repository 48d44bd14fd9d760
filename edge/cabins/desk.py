"""What an officer may ask of the cabins of a daemon: by the control socket, and by orders from central.

Documents that are named become tokens here at once; neither they nor the texts of refused ones are kept or told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from core.errors import GatefleetError, MessageInvalid, NotFound, Unsupported
from core.identity.tokens import MAX_TEXT
from core.messages.cabin_events import (
    BoardingClosed,
    BoardingOpened,
    CabinAnomaly,
    PassengerHeld,
    PassengerLeft,
    PassengerRuled,
    PassengerVerified,
)
from core.messages.commands import MAX_EXPECTED, BoardingCommand
from core.messages.commands import CloseBoarding as Close
from core.messages.commands import OpenBoarding as Open
from core.messages.commands import RulePassenger as Rule
from edge.cabins.lane import CabinRunner
from edge.control import Operation, Request, text_of
from edge.lanes.boarding import CloseBoarding, OpenBoarding
from edge.lanes.cabin_words import AskRule

_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class CabinDesk:
    """The operations of a daemon's cabins."""

    lanes: Mapping[str, object]

    def operations(self) -> dict[str, Operation]:
        """Return what answers once."""
        return {
            "boarding_open": self._open,
            "boarding_close": self._close,
            "boarding_show": self._show,
            "boarding_rule": self._rule,
        }

    async def _open(self, request: Request) -> dict[str, Any]:
        cabin = self._cabin(request)
        wanted: dict[str, Any] = {key: text_of(request, key) for key in ("boarding", "flight", "stand")}
        wanted |= {"officer": text_of(request, "officer", default="")}
        if "documents" in request:
            wanted |= {"tokens": _tokens(request["documents"], cabin.document_token)}
        else:
            wanted |= {"expected": request.get("expected")}
        return await _done(cabin, _checked(Open, wanted), request)

    async def _close(self, request: Request) -> dict[str, Any]:
        cabin = self._cabin(request)
        open_ = cabin.lane.memo.boarding
        wanted = {"boarding": text_of(request, "boarding", default=open_.boarding if open_ else "")}
        if not wanted["boarding"]:
            return _words(cabin, "no boarding is open here")
        return await _done(
            cabin, _checked(Close, wanted | {"officer": text_of(request, "officer", default="")}), request
        )

    async def _show(self, request: Request) -> dict[str, Any]:
        if "lane" in request:
            return {"cabins": [self._cabin(request).boarding_words()]}
        return {"cabins": [lane.boarding_words() for lane in self.lanes.values() if isinstance(lane, CabinRunner)]}

    async def _rule(self, request: Request) -> dict[str, Any]:
        cabin = self._cabin(request)
        wanted = {"attempt": text_of(request, "attempt"), "ruling": text_of(request, "ruling")}
        text_of(request, "reason")
        return await _done(cabin, _checked(Rule, wanted), request)

    def _cabin(self, request: Request) -> CabinRunner:
        return _as_cabin(self.lanes.get(text_of(request, "lane")), text_of(request, "lane"))


async def ask_cabin(lane: object, command: BoardingCommand, actor: str, reason: str) -> str:
    """Do what an officer wants of a cabin; return "" or why not; raise Unsupported where the lane is none."""
    cabin = _as_cabin(lane, "")
    match command:
        case Open():
            officer = (command.officer or actor)[:_LONGEST_NAME]
            return await cabin.ask(
                OpenBoarding(
                    boarding=command.boarding,
                    flight=command.flight,
                    stand=command.stand,
                    officer=officer,
                    at=cabin.wall(),
                    expected=command.expected,
                    tokens=command.tokens,
                )
            )
        case Close():
            open_ = cabin.lane.memo.boarding
            if open_ is not None and open_.boarding != command.boarding:
                return f"boarding {open_.boarding} is open here, not {command.boarding}"
            return await cabin.ask(CloseBoarding(officer=(command.officer or actor)[:_LONGEST_NAME], at=cabin.wall()))
        case Rule():
            return await cabin.ask(AskRule(command.attempt, command.ruling, actor, reason))


async def _done(cabin: CabinRunner, command: BoardingCommand, request: Request) -> dict[str, Any]:
    actor = f"local:{text_of(request, 'actor', longest=128)}"
    failure = await ask_cabin(cabin, command, actor, text_of(request, "reason", default=""))
    return _words(cabin, failure)


def _words(cabin: CabinRunner, failure: str) -> dict[str, Any]:
    return cabin.boarding_words() | {"result": "failed" if failure else "done", "detail": failure}


def _as_cabin(lane: object, name: str) -> CabinRunner:
    if lane is None:
        raise NotFound(f"there is no lane {name!r} here")
    if not isinstance(lane, CabinRunner):
        raise Unsupported("the lane is no cabin", place=name)
    return lane


_Command = TypeVar("_Command", Open, Close, Rule)


def _checked(kind: type[_Command], wanted: Mapping[str, Any]) -> _Command:
    """Return a command; raise MessageInvalid, which names what is wrong and repeats no value."""
    try:
        return kind.model_validate(wanted)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        told = (f"{'.'.join(map(str, one['loc'])) or kind.__name__}: {one['msg']}" for one in found[:5])
        raise MessageInvalid("; ".join(told)) from None


def _tokens(documents: object, tokenise: Callable[[str], str]) -> tuple[str, ...]:
    """Return the tokens of documents; raise MessageInvalid, which says which one is none, and never its text."""
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_EXPECTED:
        raise MessageInvalid(f"documents are a list of 1 to {MAX_EXPECTED} texts")
    tokens: dict[str, int] = {}
    for number, text in enumerate(documents, 1):
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise MessageInvalid(f"document {number} is no text of at most {MAX_TEXT} characters")
        try:
            token = tokenise(text)
        except GatefleetError as error:
            raise MessageInvalid(f"document {number}: {_public(error)}", cure=error.cure) from None
        if token in tokens:
            raise MessageInvalid(f"documents {tokens[token]} and {number} are the same")
        tokens[token] = number
    return tuple(tokens)


def _public(error: GatefleetError) -> str:
    """Return what may be told of an error about a document: a check digit may be named, but none of its signs."""
    return error.code.replace("_", " ")


def cabin_words(event: object) -> dict[str, Any] | None:
    """Return an event of a cabin as the tail of passages shows it; None for another."""
    match event:
        case PassengerVerified():
            return {"kind": "verified", "ms": event.duration_ms}
        case PassengerHeld():
            return {"kind": "held", "reasons": [event.why.value]}
        case PassengerRuled():
            return {"kind": "ruled", "effect": event.ruling.value, "reasons": [event.actor]}
        case PassengerLeft():
            return {"kind": "cleared", "ms": event.duration_ms}
        case CabinAnomaly():
            return {"kind": "anomaly", "anomaly": event.kind.value, "persons": event.persons}
        case BoardingOpened():
            return {"kind": "boarding_opened", "reasons": [event.flight, event.stand]}
        case BoardingClosed():
            return {"kind": "boarding_closed", "persons": event.counts.seen}
    return None
