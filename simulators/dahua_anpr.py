"""A plate camera that pushes ITSAPI JSON with Base64 pictures."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from simulators.pushing import Pusher

_KIND = "application/json; charset=UTF-8"


@dataclass(slots=True)
class TollgateCamera:
    """One camera; `sent` counts its reads."""

    pusher: Pusher
    lane: int = 1
    device_id: str = "SIM-ITC-1"
    sent: int = 0

    async def vehicle(self, plate: str, *, colour: str = "Blue", confidence: int = 93, obverse: bool = True) -> int:
        """See a vehicle; an empty plate is one that cannot be read. Return the status of the answer."""
        self.sent += 1
        at = self.pusher.clock()
        told = {
            "IsExist": bool(plate),
            "PlateNumber": plate,
            "PlateColor": colour,
            "Confidence": confidence if plate else 0,
        }
        snap = {
            "SnapTime": at.isoformat(" ", "seconds"),
            "AccurateTime": at.isoformat(" ", "milliseconds"),
            "TimeZone": 13,
            "DSTTune": 0,
            "LanNo": self.lane,
            "Direction": "Obverse" if obverse else "Reverse",
            "DeviceID": self.device_id,
        }
        name = f"{at:%Y%m%d%H%M%S}_{self.sent}.jpg"
        picture = {
            "Plate": told,
            "Vehicle": {"VehicleColor": self.pusher.random.choice(["White", "Black"]), "VehicleType": "PassengerCar"},
            "SnapInfo": snap,
            "NormalPic": {"PicName": name, "Content": self._base64(1920, 1080)},
            "CutoutPic": {"PicName": f"cut_{name}", "Content": self._base64(160, 48)},
        }
        return await self._push("TollgateInfo", {"Picture": picture})

    async def keepalive(self) -> int:
        """Say that the camera lives."""
        return await self._push("KeepAlive", {"Active": "keepAlive", "DeviceID": self.device_id})

    async def describe(self) -> int:
        """Say what the camera is."""
        told = {"DeviceName": "sim", "DeviceModel": "ITC-SIM", "Manufacturer": "gatefleet", "DeviceID": self.device_id}
        return await self._push("DeviceInfo", told)

    def _base64(self, width: int, height: int) -> str:
        return base64.b64encode(self.pusher.picture(width, height)).decode()

    async def _push(self, what: str, value: dict[str, Any]) -> int:
        return await self.pusher.post(json.dumps(value).encode(), _KIND, f"/NotificationInfo/{what}")
