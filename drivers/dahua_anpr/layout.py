"""The `map` of a plate camera that pushes ITSAPI JSON. The defaults are the common spelling."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.stamps import Zone

Paths = tuple[str, ...]
"""Where a value may stand, `Picture.Plate.PlateNumber`; the first that tells something counts."""
Role = Literal["scene", "vehicle", "plate", "person", "face", "other"]
Colour = Literal["blue", "yellow", "green", "yellow_green", "white", "black", "other", ""]


class Spelling(BaseModel):
    """Where each value stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plate: Paths = ("Picture.Plate.PlateNumber",)
    confidence: Paths = ("Picture.Plate.Confidence",)
    colour: Paths = ("Picture.Plate.PlateColor",)
    country: Paths = ("Picture.Plate.Region",)
    direction: Paths = ("Picture.SnapInfo.Direction",)
    camera_lane: Paths = ("Picture.SnapInfo.LanNo", "Picture.SnapInfo.Lane")
    vehicle_kind: Paths = ("Picture.Vehicle.VehicleType",)
    vehicle_colour: Paths = ("Picture.Vehicle.VehicleColor",)
    speed_kmh: Paths = ("Picture.Vehicle.Speed",)
    taken_at: Paths = ("Picture.SnapInfo.AccurateTime", "Picture.SnapInfo.SnapTime")
    zone: Paths = ("Picture.SnapInfo.TimeZone",)
    device_id: Paths = ("Picture.SnapInfo.DeviceID", "DeviceID")
    object_id: Paths = ("Picture.SnapInfo.UUID", "Picture.UUID")
    """The camera's own name of the read; most firmware has none."""
    same_read: Paths = (
        "PicName",
        "Picture.NormalPic.PicName",
        "Picture.CutoutPic.PicName",
        "Picture.SnapInfo.AccurateTime",
        "Picture.SnapInfo.SnapTime",
        "Picture.SnapInfo.LanNo",
        "Picture.SnapInfo.DeviceID",
        "Picture.Plate.PlateNumber",
    )
    """What does not change when a read is sent again: its digest names the read where the camera has no name for it."""
    described_vendor: Paths = ("Manufacturer",)
    described_model: Paths = ("DeviceModel", "DeviceType")
    described_firmware: Paths = ("FirmwareVersion", "SoftwareVersion")
    described_serial: Paths = ("SerialNumber", "DeviceID")
    alarm_kind: Paths = ("AlarmInfo.Type",)
    alarm_state: Paths = ("AlarmInfo.State",)


class ItsApiMap(BaseModel):
    """What the words of the camera mean here; words and paths are compared in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times: the camera's `TimeZone` counts only where `zones` lists it, since firmware disagrees on its meaning."""
    zones: dict[str, Zone] = {"13": "+08:00"}
    plate_paths: tuple[str, ...] = ("/notificationinfo/tollgateinfo",)
    keepalive_paths: tuple[str, ...] = ("/notificationinfo/keepalive",)
    described_paths: tuple[str, ...] = ("/notificationinfo/deviceinfo",)
    alarm_paths: tuple[str, ...] = ("/notificationinfo/alarminfo",)
    confidence_scale: float = Field(default=100, gt=0)
    """What the camera calls certain."""
    spelling: Spelling = Spelling()
    no_plate: tuple[str, ...] = ("unknown", "noplate", "no plate", "unlicensed", "unrecognise", "无车牌", "无牌车")
    colours: dict[str, Colour] = {
        "unknown": "",
        "blue": "blue",
        "yellow": "yellow",
        "green": "green",
        "shadowgreen": "green",
        "yellowgreen": "yellow_green",
        "white": "white",
        "black": "black",
    }
    """Any colour that is not listed is `other`."""
    directions: dict[str, Literal["approach", "depart", ""]] = {
        "obverse": "approach",
        "approach": "approach",
        "reverse": "depart",
        "leave": "depart",
    }
    vehicle_kinds: dict[str, str] = {
        "unknown": "",
        "motor": "car",
        "car": "car",
        "passengercar": "car",
        "saloon": "car",
        "suv": "car",
        "mpv": "car",
        "van": "van",
        "minibus": "bus",
        "bus": "bus",
        "passenger": "bus",
        "truck": "truck",
        "midtruck": "truck",
        "heavytruck": "truck",
        "pickup": "pickup",
        "motorcycle": "motorcycle",
        "tricycle": "tricycle",
    }
    vehicle_colours: dict[str, str] = {"unknown": "", "silvergray": "gray", "darkgray": "gray"}
    images: dict[str, Role] = {
        "Picture.NormalPic": "scene",
        "Picture.VehiclePic": "vehicle",
        "Picture.CutoutPic": "plate",
    }
    """Where pictures stand (their `Content` is Base64), and what they show."""
    alarm_off: tuple[str, ...] = ("stop",)
