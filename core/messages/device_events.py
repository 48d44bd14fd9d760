"""What devices beside gates tell; `events.py` says how events are made and changed."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from core.messages.event import DeviceEvent, Stream


class PeopleCountReported(DeviceEvent):
    """Persons that crossed a counter's line in one bucket of time; several for one bucket add up."""

    STREAM: ClassVar[Stream] = Stream.TELEMETRY

    region: str = ""
    """The counter's own name of its line; empty where it has one only."""
    bucket_start: datetime
    """With its zone; a whole multiple of `bucket_s` of the wall clock."""
    bucket_s: int = 60
    entered: int = Field(ge=0)
    left: int = Field(ge=0)
    inside: int | None = None
    """Persons inside by the counter's own reckoning, the last it told in the bucket."""
    estimated: bool = False
    """Shared out evenly over an interval longer than a bucket, or of a device whose clock was wrong."""
    late: bool = False
    """Came when the bucket was told already."""


class DeviceTold(DeviceEvent):
    """What a device told of its own matters, in its driver's words: a slot of a dock, a licence, a restart."""

    STREAM: ClassVar[Stream] = Stream.STATE

    fact: str = Field(max_length=64)
    key: str = Field(default="", max_length=128)
    """Which of the device's things it is about; the same again supersedes it."""
    values: dict[str, Any]

    def subject(self) -> str:
        """Return the device's id, the fact and what it is about."""
        return f"{self.device}/{self.fact}/{self.key}"[:128]
