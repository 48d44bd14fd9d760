"""The `map` of a plate camera that posts ISAPI alerts: how one firmware spells things. The defaults are common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.stamps import Zone

Paths = tuple[str, ...]
"""Where a value may stand below the alert, `ANPR/licensePlate`; the first that tells something counts."""
Role = Literal["scene", "vehicle", "plate", "person", "face", "other"]
Colour = Literal["blue", "yellow", "green", "yellow_green", "white", "black", "other", ""]


class Spelling(BaseModel):
    """Where each value stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plate: Paths = ("ANPR/licensePlate", "ANPR/plateNumber", "ANPR/originalLicensePlate")
    object_id: Paths = ("UUID", "ANPR/UUID")
    confidence: Paths = ("ANPR/confidenceLevel",)
    colour: Paths = ("ANPR/plateColor",)
    country: Paths = ("ANPR/ISO-CR", "ANPR/CRIndex", "ANPR/country")
    direction: Paths = ("ANPR/direction",)
    camera_lane: Paths = ("ANPR/line", "ANPR/laneNo")
    vehicle_kind: Paths = ("ANPR/vehicleType",)
    vehicle_colour: Paths = ("ANPR/vehicleInfo/color",)
    speed_kmh: Paths = ("ANPR/vehicleInfo/speed",)
    taken_at: Paths = ("dateTime",)
    device_id: Paths = ("deviceUUID", "deviceID", "macAddress")


class AnprMap(BaseModel):
    """What the words of the camera mean here; words are compared in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times that tell none."""
    plate_events: tuple[str, ...] = ("anpr",)
    heartbeats: tuple[str, ...] = ("heartbeat",)
    """Events that say no more than that the camera lives."""
    idle_events: tuple[str, ...] = ("videoloss",)
    """Events that are sent again and again as `inactive`, to keep the connection alive."""
    confidence_scale: float = Field(default=100, gt=0)
    """What the camera calls certain."""
    spelling: Spelling = Spelling()
    no_plate: tuple[str, ...] = ("unknown", "noplate", "no plate", "无车牌", "未识别", "车牌")
    plate_prefixes: dict[str, Colour] = {
        "黄绿": "yellow_green",
        "渐绿": "green",
        "蓝": "blue",
        "黄": "yellow",
        "绿": "green",
        "白": "white",
        "黑": "black",
    }
    """A mainland plate comes with its colour in front: `蓝浙A12345`. Taken off only before another Chinese sign."""
    colours: dict[str, Colour] = {
        "unknown": "",
        "blue": "blue",
        "yellow": "yellow",
        "green": "green",
        "newenergygreen": "green",
        "civilaviationgreen": "green",
        "newenergyyellowgreen": "yellow_green",
        "white": "white",
        "black": "black",
        "civilaviationblack": "black",
    }
    """Any colour that is not listed is `other`."""
    countries: dict[str, str] = {"59": "CN", "256": "TW", "257": "HK", "258": "MO", "0": "", "253": "", "254": ""}
    """Index of the maker -> ISO 3166-1; what is not listed is passed on as it came."""
    directions: dict[str, Literal["approach", "depart", ""]] = {"forward": "approach", "reverse": "depart"}
    vehicle_kinds: dict[str, str] = {
        "unknown": "",
        "vehicle": "car",
        "smallcar": "car",
        "minicar": "car",
        "saloon": "car",
        "hatchback": "car",
        "coupe": "car",
        "suvmpv": "car",
        "van": "van",
        "minibus": "bus",
        "mediumbus": "bus",
        "largebus": "bus",
        "bus": "bus",
        "truck": "truck",
        "buggy": "truck",
        "minitruck": "truck",
        "lighttruck": "truck",
        "mediumheavytruck": "truck",
        "containertruck": "truck",
        "pickuptruck": "pickup",
        "twowheelvehicle": "motorcycle",
        "threewheelvehicle": "tricycle",
        "nonmotorvehicle": "bicycle",
        "pedestrian": "pedestrian",
    }
    vehicle_colours: dict[str, str] = {"unknown": "", "deepgray": "gray", "deepblue": "blue"}
    roles: dict[str, Role] = {
        "licenseplatepicture": "plate",
        "platebinarypicture": "plate",
        "detectionpicture": "scene",
        "panoramapicture": "scene",
        "compositepicture": "scene",
        "pedestriandetectionpicture": "scene",
        "vehiclepicture": "vehicle",
        "featurepicture": "vehicle",
        "nonmotorpicture": "vehicle",
        "pilotpicture": "person",
        "copilotpicture": "person",
        "pedestrianpicture": "person",
    }
    """Name of a picture, without `_2` and suffix -> what it shows; any other is `other`."""
