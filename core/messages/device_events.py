"""What devices beside gates tell; `events.py` says how events are made and changed."""

from datetime import datetime
from typing import ClassVar

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
