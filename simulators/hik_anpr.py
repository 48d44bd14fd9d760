"""A plate camera that posts ISAPI alerts to an alarm host, as Hikvision's HTTP listening mode does."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from simulators.pushing import Misbehaviour, Pusher

_BOUNDARY = "boundary"
_DTD = '<!DOCTYPE EventNotificationAlert [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@dataclass(slots=True)
class PlateCamera:
    """One camera; `sent` counts the reads that it named."""

    pusher: Pusher
    lane: int = 1
    serial: str = "SIM-ANPR-1"
    sent: int = 0

    async def vehicle(self, plate: str, *, colour: str = "blue", confidence: int = 97, forward: bool = True) -> int:
        """See a vehicle; an empty plate is one that cannot be read. Return the status of the answer."""
        self.sent += 1
        rows = {
            "country": "59",
            "licensePlate": plate or "unknown",
            "line": str(self.lane),
            "direction": "forward" if forward else "reverse",
            "confidenceLevel": str(confidence if plate else 0),
            "plateColor": colour if plate else "unknown",
            "vehicleType": self.pusher.random.choice(["vehicle", "SUVMPV", "van", "truck"]),
        }
        anpr = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in rows.items())
        colours = self.pusher.random.choice(["white", "black", "silver"])
        anpr += f"<vehicleInfo><index>{self.sent}</index><color>{colours}</color></vehicleInfo>"
        rest = f"<ANPR>{anpr}</ANPR><UUID>{self.pusher.name()}</UUID><deviceUUID>{self.serial}</deviceUUID>"
        body = self._multipart(self._alert("ANPR", "active", rest))
        return await self.pusher.post(body, f"multipart/form-data; boundary={_BOUNDARY}")

    async def heartbeat(self) -> int:
        """Say that the camera lives, in its own odd way."""
        return await self.pusher.post(self._alert("videoloss", "inactive"), 'application/xml; charset="UTF-8"')

    async def signal(self, event: str, *, on: bool) -> int:
        """Tell another event: `tamperdetection`, `IO`, `videoloss`."""
        alert = self._alert(event, "active" if on else "inactive")
        return await self.pusher.post(alert, 'application/xml; charset="UTF-8"')

    def _alert(self, event: str, state: str, rest: str = "") -> bytes:
        dtd = _DTD if self.pusher.is_bad(Misbehaviour.DTD) else ""
        head = f"<channelID>1</channelID><dateTime>{self.pusher.stamp()}</dateTime><activePostCount>1</activePostCount>"
        kind = f"<eventType>{escape(event)}</eventType><eventState>{state}</eventState>"
        root = '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        return f'<?xml version="1.0" encoding="UTF-8"?>{dtd}{root}{head}{kind}{rest}</EventNotificationAlert>'.encode()

    def _multipart(self, alert: bytes) -> bytes:
        parts = [
            ("anpr.xml", "text/xml", alert),
            ("licensePlatePicture.jpg", "image/jpeg", self.pusher.picture(160, 48, 1500)),
            ("detectionPicture.jpg", "image/jpeg", self.pusher.picture(1920, 1080)),
        ]
        return b"".join(_part(*part) for part in parts) + f"--{_BOUNDARY}--\r\n".encode()


def _part(name: str, media_type: str, data: bytes) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{name}"'
    head = f"--{_BOUNDARY}\r\n{disposition}\r\nContent-Type: {media_type}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"
