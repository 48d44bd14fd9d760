"""What the API takes for orders to boarding-verification cabins."""

from typing import Self

from pydantic import Field, model_validator

from central.columns import Word
from central.fleet.schemas import ModeIn
from core.messages.cabin_events import Ruling
from core.messages.commands import (
    MAX_EXPECTED,
    BoardingId,
    CloseBoarding,
    DocumentToken,
    Flight,
    OpenBoarding,
    RulePassenger,
    Stand,
)


class OpenBoardingIn(ModeIn):
    """As above, and which aircraft is met: either how many passengers are expected, or the tokens of who is."""

    boarding: BoardingId = Field(description="A new name of it")
    flight: Flight
    stand: Stand
    officer: Word = Field(default="", max_length=64, description="Who meets; else the caller")
    expected: int | None = Field(default=None, ge=0, le=MAX_EXPECTED)
    tokens: list[DocumentToken] = Field(default=[], max_length=MAX_EXPECTED, description="Never the documents' numbers")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        self.command()
        return self

    def command(self) -> OpenBoarding:
        """Return the command."""
        return OpenBoarding(
            boarding=self.boarding,
            flight=self.flight,
            stand=self.stand,
            officer=self.officer,
            expected=self.expected,
            tokens=tuple(self.tokens),
        )


class CloseBoardingIn(ModeIn):
    """As above, and which boarding: another that is open there stays open."""

    boarding: BoardingId
    officer: Word = Field(default="", max_length=64)

    def command(self) -> CloseBoarding:
        """Return the command."""
        return CloseBoarding(boarding=self.boarding, officer=self.officer)


class RuleIn(ModeIn):
    """As above, and what becomes of the passenger who is held under that attempt."""

    attempt: Word = Field(min_length=1, max_length=64)
    ruling: Ruling

    def command(self) -> RulePassenger:
        """Return the command."""
        return RulePassenger(attempt=self.attempt, ruling=self.ruling)
