"""ONVIF cameras that are asked: pictures, PTZ, and events that are pulled. The I/O is in the edge's ONVIF link."""

from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured, PeopleCounted, PlateRead
from drivers.markup import MAX_BYTES
from drivers.onvif_answers import described
from drivers.onvif_camera.commands import GotoPreset, MoveCamera, StopCamera
from drivers.onvif_camera.facts import StreamJudged
from drivers.onvif_camera.picture import Picture, Verdict, judged
from drivers.onvif_topics import Notification, TopicTable, facts_of
from drivers.profile import Profile, checked_map

BLANK: Final = "picture/blank"
FROZEN: Final = "picture/frozen"
"""Topics of the signals that the edge itself finds in the pictures."""


class CameraSettings(Settings):
    """What one camera's entry in the config may set."""

    url: str = Field(default="", pattern=r"^$|^https?://[^/?#@\s]+(/[^?#@\s]*)?$", max_length=256)
    """The device service, such as http://10.0.0.9/onvif/device_service; empty: the device's link."""
    username: str = Field(default="", max_length=64, pattern=r"^[^\x00-\x1f:]*$")
    password: str = Field(default="", pattern=r"^$|^(env|file|credential):.+$")
    """Where the password is, never the password."""
    profile: str = Field(default="", max_length=64)
    """The token of the media profile; empty: the camera's first."""
    ptz: bool = False
    rtsp: bool = True
    """Whether to ask where its stream is."""
    stream_url: str = Field(default="", pattern=r"^$|^rtsp://[^?#@\s/]+(/[^#@\s]*)?$", max_length=256)
    """Its stream, without a login; empty: where it says."""
    stream_check_s: float = Field(default=0.0, ge=0, le=86_400)
    """How often its stream is tried; 0: never, for a camera has few sessions and a network only so much room."""
    events: bool = True
    look_s: float = Field(default=30.0, ge=0.05, le=3600.0)
    """How often its clock and its picture are looked at."""
    verify_tls: bool = True
    """False for a camera with a certificate that it made itself."""


class PictureRules(BaseModel):
    """When a picture is called blank or frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blank_bits_per_block: float = Field(default=6.5, gt=0, le=64)
    frozen_after: int = Field(default=3, ge=2, le=100)


class CameraMap(BaseModel):
    """The `map` of a camera's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease_s: int = Field(default=60, ge=2, le=3600)
    poll_s: int = Field(default=20, ge=1, le=60)
    message_limit: int = Field(default=100, ge=1, le=1024)
    picture: PictureRules = Field(default_factory=PictureRules)
    table: TopicTable = Field(default_factory=TopicTable)


@dataclass(frozen=True, slots=True)
class CameraWords:
    """What a camera's values mean: its profile and its settings."""

    map: CameraMap
    settings: CameraSettings

    def facts_of(self, message: Notification) -> tuple[Fact, ...]:
        """Return what a message means."""
        return facts_of(message, self.map.table)

    def judged(self, before: Verdict, picture: Picture) -> Verdict:
        """Return the verdict after one more picture."""
        rules = self.map.picture
        limits = (rules.blank_bits_per_block, rules.frozen_after)
        return judged(before, picture, blank_bits_per_block=limits[0], frozen_after=limits[1])


def picture_facts(before: Verdict | None, now: Verdict) -> tuple[Fact, ...]:
    """Return what changed in the verdict; all of it, as a baseline, where there was none."""
    rows = ((BLANK, now.blank, before and before.blank), (FROZEN, now.frozen, before and before.frozen))
    return tuple(DeviceSignal(topic, on, "picture", was is None) for topic, on, was in rows if on is not was)


def _make(profile: Profile, settings: Settings) -> PushParser:
    assert isinstance(settings, CameraSettings)
    # A camera is neither a stream nor registers nor a push: its link takes the words themselves.
    return cast("PushParser", CameraWords(checked_map(profile, CameraMap), settings))


def _decoder(profile: Profile | None) -> Decode:  # noqa: ARG001 answers are the standard's, not a model's
    held = b""

    def decode(data: bytes) -> list[dict[str, Any]]:
        """Take one answer in any cut; a cut inside its end tag waits for more."""
        nonlocal held
        whole = (held + data).strip()
        if not whole:
            return []
        if not whole.endswith(b"Envelope>") and whole.startswith(b"<") and len(whole) <= MAX_BYTES:
            held += data
            return []
        held = b""
        return [described(whole)]

    return decode


DRIVER = Driver(
    name="onvif-camera",
    kind="camera",
    settings=CameraSettings,
    make=_make,
    commands=frozenset({MoveCamera, StopCamera, GotoPreset}),
    at_once=frozenset({StopCamera}),
    facts=frozenset({DeviceDescribed, DeviceSignal, Measured, PeopleCounted, PlateRead, StreamJudged}),
    links=frozenset({"http", "https"}),
    decoder=_decoder,
)
