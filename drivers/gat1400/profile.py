"""The `map` of a profile: where cameras of one protocol still differ; and what a site sets for one device."""

from datetime import timedelta, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.base import Settings
from drivers.gat1400.codes import IMAGE_ROLES, STANDARD_COLOURS


class LibrarySettings(Settings):
    """What a site sets for one device or platform that pushes."""

    server_id: str = Field(default="", pattern=r"^([0-9]{20})?$")
    """Our own id as a view library, told in SystemTimeObject."""
    subscriptions: bool = False
    """Whether this peer may subscribe here, as an upper level does; a camera may not."""


class LibraryMap(BaseModel):
    """The dialect of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device_ids: Literal["any", "20-digits"] = "any"
    """Whether a device that registers with another id than one of 20 digits is refused."""
    utc_offset_h: float = Field(default=8, ge=-12, le=14)
    """Of times without a zone, both ways."""
    time_zone: str = "GMT+8"
    """What SystemTimeObject.TimeZone says."""
    media_type: str = "application/VIID+JSON"
    """Of answers; some firmware reads nothing but application/json."""
    plate_colours: dict[str, str] = Field(default_factory=lambda: dict(STANDARD_COLOURS))
    vehicle_colours: dict[str, str] = Field(default_factory=lambda: dict(STANDARD_COLOURS))
    vehicle_kinds: dict[str, str] = Field(default_factory=dict)
    """VehicleClass or its first letter -> word."""
    directions: dict[str, Literal["approach", "depart"]] = Field(default_factory=dict)
    """Direction -> how the vehicle moves past this camera. The standard's codes are compass directions: left empty."""
    image_roles: dict[str, Literal["scene", "vehicle", "plate", "person", "face", "other"]] = Field(
        default_factory=lambda: dict(IMAGE_ROLES)  # type: ignore[arg-type]  # the literals are those of the field
    )
    no_plate: tuple[str, ...] = ("无车牌", "无牌", "无牌车", "未识别", "未知", "车牌", "unknown", "noplate")
    """What PlateNo says where no plate could be read."""
    reliability_full: float = Field(default=100, gt=0)
    """PlateReliability of a plate that is certain."""

    @property
    def zone(self) -> timezone:
        """Return the zone of times without one."""
        return timezone(timedelta(hours=self.utc_offset_h))
