"""What only this protocol tells."""

from dataclasses import dataclass, field
from typing import Any

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class SipRead(Fact):
    """One SIP message, or a bare body of one, as `gatefleet decode gb28181` shows it."""

    told: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the words as they are: they are JSON values."""
        return dict(self.told)
