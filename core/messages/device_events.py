"""What devices beside gates tell; `events.py` says how events are made and changed."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from core.messages.event import DeviceEvent, Event, Stream


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


class DeviceCommanded(DeviceEvent):
    """Somebody had a device do something; durable before it is begun, so that nothing is done by nobody."""

    terminal: str = Field(default="", max_length=32)
    """Which of the many behind the device; empty where it is one."""
    command: str = Field(max_length=64)
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Long ones as their length only."""
    order: str = ""
    """The order's id; empty where it was a technician at the machine."""
    actor: str = Field(max_length=128)
    reason: str = Field(max_length=512)


class StoredFile(BaseModel):
    """A content that stays in the edge's files, by its digest."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(default="", max_length=32)
    """Of a picture: scene, vehicle, plate, person, face or other."""
    media_type: str = Field(max_length=64)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class PictureTaken(DeviceEvent):
    """A camera took pictures of something: which, when, and where their contents are. The pictures stay behind."""

    STREAM: ClassVar[Stream] = Stream.TELEMETRY

    what: str = Field(max_length=32)
    """vehicle, face, person, non_motor_vehicle, or scene for a picture by itself."""
    object_id: str = Field(max_length=64)
    """The camera's own name of it: the same again is the same."""
    camera: str = Field(default="", max_length=64)
    """The id that the camera gives itself."""
    taken_at: datetime | None = None
    """The camera's time, with its zone; None where it told none."""
    images: tuple[StoredFile, ...] = ()


class MediaTaken(DeviceEvent):
    """A terminal sent a picture, a sound or a film, and it is in the edge's files."""

    STREAM: ClassVar[Stream] = Stream.STATE

    terminal: str = Field(max_length=64)
    media_id: int
    event: int
    """Why it was taken, in the codes of JT/T 808: 0 asked for, 1 by time, 2 robbery, 3 collision or roll-over."""
    channel: int
    file: StoredFile

    def subject(self) -> str:
        """Return the device's id, the terminal and the medium."""
        return f"{self.device}/{self.terminal}/{self.media_id}"


class PlatformReported(Event):
    """How an edge stands with a platform above it. Counts are since the edge's start."""

    STREAM: ClassVar[Stream] = Stream.STATE

    platform: str = Field(max_length=64)
    kind: str = Field(max_length=32)
    registered: bool
    waiting: int = 0
    set_aside: int = 0
    """Objects that the platform refused for good."""
    pictures_dropped: int = 0
    """For want of room; their objects went without them."""
    objects_lost: int = 0

    def subject(self) -> str:
        """Return the platform's id."""
        return self.platform
