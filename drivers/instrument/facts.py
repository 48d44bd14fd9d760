"""What only measuring instruments tell."""

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class CalibrationStated(Fact):
    """Until when an instrument may be used to measure, by its entry in the config. Whoever has a clock compares."""

    TRAVELS: ClassVar[bool] = True

    due: date
    certificate: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"due": self.due.isoformat(), "certificate": self.certificate}
