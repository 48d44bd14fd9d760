"""The sections of a daemon's TOML file, each by itself typed and complete."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.clearance.model import Direction, LaneRules
from drivers.base import Driver, Settings
from drivers.profile import Profile
from edge.lanes.cabin_words import CabinSettings
from edge.lanes.channel import ChannelSettings
from edge.lanes.vehicle_words import VehicleSettings
from edge.lanes.votes import CameraRole
from edge.lanes.words import PassengerSettings
from edge.links.push_places import Access
from edge.mistakes import REFERENCE

SecretRef = str
"""Where a secret is, never the secret: `env:NAME`, `file:/path`, `credential:NAME` (systemd LoadCredential)."""


class Section(BaseModel):
    """A table of the file; what it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EdgeSection(Section):
    """Who this daemon is."""

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)
    timezone: str = "Asia/Shanghai"

    @property
    def full_name(self) -> str:
        """Return `<site>.<name>`, the edge's name on the wire."""
        return f"{self.site}.{self.name}"


class BufferSection(Section):
    """Where the durable buffer is and how large it may grow."""

    path: Path
    quota_mb: int = Field(default=1024, ge=8, le=1_048_576)
    media_mb: int = Field(default=256, ge=16, le=1_048_576)
    """Of pictures and sounds that devices sent: files beside the buffer, the oldest give way."""


class UplinkSection(Section):
    """The MQTT broker, and central's address for list contents."""

    url: str = Field(pattern=r"^mqtts?://[^/?#@]+$")
    username: str = ""
    password: SecretRef = Field(default="", pattern=f"^$|{REFERENCE}")
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    central_url: str = Field(default="", pattern=r"^$|^https?://[^?#@]+$")
    api_key: SecretRef = Field(default="", pattern=f"^$|{REFERENCE}")


class CryptoSection(Section):
    """The suite, the keys of central that are trusted here, and the key of the tokens."""

    suite: Literal["sm", "intl"] = "sm"
    trusted_keys: tuple[str, ...] = ()
    token_key: SecretRef = Field(pattern=REFERENCE)
    seal_key: SecretRef = Field(default="", pattern=f"^$|{REFERENCE}")
    """What this edge seals the summaries of boardings with; only an edge with a cabin needs one."""


class ControlSection(Section):
    """The socket of the technician's tool."""

    socket: Path


class MetricsSection(Section):
    """Where Prometheus scrapes; port 0 takes a free one, `""` for host turns it off."""

    host: str = "127.0.0.1"
    port: int = Field(default=9310, ge=0, le=65_535)


class LiveSection(Section):
    """Where people see the cameras' live pictures; without this section nowhere."""

    listen: str = Field(default="127.0.0.1:0", pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$")
    max_viewers: int = Field(default=8, ge=1, le=256)
    public_url: str = Field(default="", pattern=r"^$|^https?://[^?#@\s]+$", max_length=200)
    """How browsers reach it, where that is not `listen`: behind a proxy, or by name."""
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def host(self) -> str:
        """Return the host to listen at."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Return the port to listen at; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.port > 65_535:
            raise ValueError(f"port {self.port}")
        if (self.cert_file is None) is not (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        safe = self.cert_file is not None or self.public_url.startswith("https://")
        if not safe and self.host not in {"127.0.0.1", "localhost", "::1"}:
            raise ValueError("grants would travel in the clear: give cert_file and key_file, or a public_url of https")
        return self


class DeviceSection(Section):
    """One device."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    driver: str
    profile: str
    link: str
    settings: dict[str, Any] = Field(default_factory=dict)
    access: Access | None = None
    """Who may push for it; only of a device that does."""


_LANE_ID = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)


class PassengerSection(Section):
    """One lane for people: devices in roles, the rules for who may pass, and how long things may take."""

    id: str = _LANE_ID
    kind: Literal["passenger"]
    gate: str
    reader: str
    direction: Direction
    rules: LaneRules
    timing: PassengerSettings = Field(default_factory=PassengerSettings)

    @property
    def devices(self) -> dict[str, str]:
        """Return the devices by their role."""
        return {"gate": self.gate, "reader": self.reader}


class Cameras(Section):
    """The plate cameras of a vehicle lane, by the end of the vehicle that they see."""

    front: str
    rear: str | None = None

    def role(self, device: str) -> CameraRole:
        """Return what a camera sees."""
        return CameraRole.REAR if device == self.rear else CameraRole.FRONT


class VehicleSection(Section):
    """One lane for vehicles. The board of its barrier has the inputs at the road, and mostly the light too.

    To a technician its barrier is the gate, and its front camera the reader.
    """

    id: str = _LANE_ID
    kind: Literal["vehicle"]
    barrier: str
    cameras: Cameras
    light: str | None = None
    """A barrier's board that has the light, where the lane's own has none."""
    display: str | None = None
    channel: str | None = None
    """The channel whose barriers pair into one passage; a section of its own."""
    position: int = Field(default=1, ge=1, le=99)
    """Which barrier of the channel, or of the lane, this is."""
    direction: Direction
    rules: LaneRules
    timing: VehicleSettings = Field(default_factory=VehicleSettings)

    @property
    def gate(self) -> str:
        """Return what lets through."""
        return self.barrier

    @property
    def reader(self) -> str:
        """Return what tells who comes."""
        return self.cameras.front

    @property
    def devices(self) -> dict[str, str]:
        """Return the devices by their role."""
        roles = {"barrier": self.barrier, "front": self.cameras.front, "rear": self.cameras.rear}
        roles |= {"light": self.light, "display": self.display}
        return {role: device for role, device in roles.items() if device is not None}


class CabinSection(Section):
    """One boarding-verification cabin: its controller, the reader and the face terminal in it.

    To a technician its controller is the gate.
    """

    id: str = _LANE_ID
    kind: Literal["cabin"]
    cabin: str
    reader: str
    face: str
    direction: Direction
    rules: LaneRules
    timing: CabinSettings = Field(default_factory=CabinSettings)

    @property
    def gate(self) -> str:
        """Return what lets through."""
        return self.cabin

    @property
    def devices(self) -> dict[str, str]:
        """Return the devices by their role."""
        return {"cabin": self.cabin, "reader": self.reader, "face": self.face}


LaneSection = Annotated[PassengerSection | VehicleSection | CabinSection, Field(discriminator="kind")]
"""One lane of any kind."""


class ChannelSection(Section):
    """Barriers in a row whose lanes name this channel: what passes them is one passage."""

    id: str = _LANE_ID
    settings: ChannelSettings = Field(default_factory=ChannelSettings)


class _Above(Section):
    """What all platforms above have in common."""

    id: str = _LANE_ID
    own_id: str = Field(pattern=r"^[0-9]{20}$")
    """Under which it knows us."""
    username: str = ""
    """Empty: our id."""
    password: SecretRef = Field(pattern=REFERENCE)
    keepalive_s: float = Field(default=60.0, gt=0, le=3600)
    cameras: dict[str, str] = Field(default_factory=dict, max_length=1000)
    """Device id -> the id of 20 digits under which the platform knows it."""

    @field_validator("cameras", "tollgates", check_fields=False)
    @classmethod
    def _ids(cls, cameras: dict[str, str]) -> dict[str, str]:
        for device, number in cameras.items():
            if not re.fullmatch(r"[0-9]{20}", number):
                raise ValueError(f"{device}: {number!r} is not an id of 20 digits")
        return cameras


class VideoPlatformSection(_Above):
    """A video platform above, by GB/T 28181: we register there and tell of our cameras. Media is not served."""

    kind: Literal["gb28181"]
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=5060, ge=1, le=65_535)
    transport: Literal["udp", "tcp"] = "udp"
    upper_id: str = Field(pattern=r"^[0-9]{20}$")
    domain: str = ""
    """Empty: the first ten digits of the platform's id."""
    expires_s: int = Field(default=3600, ge=3, le=604_800)

    @property
    def place(self) -> str:
        """Return where it is."""
        return f"{self.host}:{self.port}"


class ViewPlatformSection(_Above):
    """A view library above, by GA/T 1400: what our cameras see goes up to it."""

    kind: Literal["gat1400"]
    url: str = Field(pattern=r"^https?://[^/?#@\\\s]+(/[^?#@\\\s]*)?$")
    """What stands before /VIID."""
    organisation: str = Field(default="", pattern=r"^([0-9]{12})?$")
    """Of the ids of our notifications; empty: the first twelve digits of our id."""
    tollgates: dict[str, str] = Field(default_factory=dict, max_length=1000)
    """Device id -> the id of its tollgate; without one the camera's own id stands for it."""
    hosts: tuple[str, ...] = Field(default=(), max_length=16)
    """Where its subscriptions may send to, beside its own host."""
    unwanted: Literal["push", "hold", "skip"] = "push"
    """What no subscription asks for: pushed all the same, held until there is one, or not sent."""
    match_ids: bool = True
    """Whether its answers name what they answer; else objects go one by one."""
    batch: int = Field(default=20, ge=1, le=1000)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    utc_offset_h: float = Field(default=8, ge=-12, le=14)
    media_type: str = "application/VIID+JSON"
    quota_mb: int = Field(default=512, ge=32, le=1_048_576)
    """Of what waits for it, pictures and all."""
    subscribes: str = Field(default="", pattern=r"^(http-server://.+)?$")
    """Where it calls us with its subscriptions: http-server://host:port/VIID/Subscribes; empty: nowhere."""
    access: Access | None = None
    """Who may."""

    @model_validator(mode="after")
    def _may(self) -> "ViewPlatformSection":
        if bool(self.subscribes) != (self.access is not None):
            raise ValueError("subscribes and access (who may) belong together")
        return self

    @property
    def place(self) -> str:
        """Return where it is."""
        return self.url


PlatformSection = Annotated[VideoPlatformSection | ViewPlatformSection, Field(discriminator="kind")]
"""One platform above."""


class SiteFile(Section):
    """The whole file."""

    schema_version: Literal[1] = Field(alias="schema")
    edge: EdgeSection
    buffer: BufferSection
    uplink: UplinkSection
    crypto: CryptoSection
    control: ControlSection
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    live: LiveSection | None = None
    rules_version: int = Field(default=1, ge=1)
    device: tuple[DeviceSection, ...] = ()
    platform: tuple[PlatformSection, ...] = ()
    lane: tuple[LaneSection, ...] = ()
    channel: tuple[ChannelSection, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device with everything resolved: what a session is built from."""

    id: str
    driver: Driver
    profile: Profile
    settings: Settings
    link: str
    lane: str | None
    access: Access | None = None

    def with_settings(self, settings: Settings) -> "DeviceSpec":
        """Return the device with other settings."""
        return replace(self, settings=settings)
