"""The cameras that are shown to a platform above, and the answers to its queries (GB/T 28181-2016, A.2.6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from drivers.gb28181.ids import checked_id
from drivers.gb28181.manscdp import build, list_response

MAX_FIELD: Final = 128
"""Characters of a name or address: one camera must always fit a datagram."""
Encoding = Literal["gb2312", "gb18030", "utf-8"]


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera below us. Raises FrameInvalid where the id is not one of GB/T 28181."""

    device_id: str
    name: str
    online: bool = True
    faulty: bool = False
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    owner: str = "0"
    address: str = ""
    civil_code: str = ""
    """The region; empty: the first six digits of the id."""

    def __post_init__(self) -> None:
        checked_id(self.device_id)

    def item(self, parent_id: str) -> tuple[tuple[str, str], ...]:
        """Return the fields of a catalog item, in the order of the standard."""
        return (
            ("DeviceID", self.device_id),
            ("Name", self.name[:MAX_FIELD]),
            ("Manufacturer", self.vendor[:MAX_FIELD]),
            ("Model", self.model[:MAX_FIELD]),
            ("Owner", self.owner[:MAX_FIELD]),
            ("CivilCode", self.civil_code[:MAX_FIELD] or self.device_id[:6]),
            ("Address", self.address[:MAX_FIELD]),
            ("Parental", "0"),
            ("ParentID", parent_id),
            ("SafetyWay", "0"),
            ("RegisterWay", "1"),
            ("Secrecy", "0"),
            ("Status", "ON" if self.online else "OFF"),
        )


@dataclass(frozen=True, slots=True)
class Gateway:
    """What we say of ourselves."""

    name: str = "gatefleet"
    vendor: str = "gatefleet"
    model: str = "edge"
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Ourselves and the cameras at one moment; answers are bodies, in the order in which they go out."""

    device_id: str
    gateway: Gateway
    cameras: tuple[Camera, ...]
    encoding: Encoding = "gb2312"

    def answers(self, cmd: str, sn: int, asked: str, *, most_items: int, most_bytes: int) -> tuple[bytes, ...]:
        """Return the answer to a query, nothing where it has none."""
        match cmd:
            case "Catalog":
                return self.lists(sn, asked, most_items=most_items, most_bytes=most_bytes)
            case "DeviceInfo":
                return (self.info(sn, asked),)
            case "DeviceStatus":
                return (self.status(sn, asked),)
        return ()

    def lists(self, sn: int, asked: str, *, most_items: int, most_bytes: int) -> tuple[bytes, ...]:
        """Return the catalog in as many bodies as needed; each says the sum. One item may be above `most_bytes`."""
        chosen = self.cameras if asked == self.device_id else tuple(filter(None, (self._camera(asked),)))
        items = [camera.item(self.device_id) for camera in chosen]

        def body(part: Sequence[Sequence[tuple[str, str]]]) -> bytes:
            return list_response("Catalog", sn, asked, len(items), part, encoding=self.encoding)

        room = most_bytes - len(body(()))
        sizes = [len(body((item,))) - len(body(())) for item in items]
        return tuple(body(items[begin:end]) for begin, end in _parts(sizes, most_items, room)) or (body(()),)

    def info(self, sn: int, asked: str) -> bytes:
        """Return DeviceInfo of ourselves or a camera; Result ERROR for what is not here."""
        camera = self._camera(asked)
        if asked != self.device_id and camera is None:
            return self._refusal("DeviceInfo", sn, asked)
        one = self.gateway if camera is None else camera
        fields = (
            ("DeviceName", one.name[:MAX_FIELD]),
            ("Result", "OK"),
            ("Manufacturer", one.vendor[:MAX_FIELD]),
            ("Model", one.model[:MAX_FIELD]),
            ("Firmware", one.firmware[:MAX_FIELD]),
            ("Channel", "1" if camera else str(len(self.cameras))),
        )
        return build("Response", "DeviceInfo", sn, asked, fields, encoding=self.encoding)

    def status(self, sn: int, asked: str) -> bytes:
        """Return DeviceStatus of ourselves or a camera; we record nothing. Result ERROR for what is not here."""
        camera = self._camera(asked)
        if asked != self.device_id and camera is None:
            return self._refusal("DeviceStatus", sn, asked)
        online = camera is None or camera.online
        fields = (
            ("Result", "OK"),
            ("Online", "ONLINE" if online else "OFFLINE"),
            ("Status", "ERROR" if camera is not None and camera.faulty else "OK"),
            ("Encode", "ON" if online else "OFF"),
            ("Record", "OFF"),
        )
        return build("Response", "DeviceStatus", sn, asked, fields, encoding=self.encoding)

    def faulty(self) -> tuple[str, ...]:
        """Return the ids of faulty cameras, for a Keepalive."""
        return tuple(camera.device_id for camera in self.cameras if camera.faulty)

    def _camera(self, device_id: str) -> Camera | None:
        return next((camera for camera in self.cameras if camera.device_id == device_id), None)

    def _refusal(self, cmd: str, sn: int, asked: str) -> bytes:
        return build("Response", cmd, sn, asked, (("Result", "ERROR"),), encoding=self.encoding)


def _parts(sizes: Sequence[int], most_items: int, room: int) -> Iterator[tuple[int, int]]:
    begin, used = 0, 0
    for at, size in enumerate(sizes):
        if at > begin and (at - begin >= most_items or used + size > room):
            yield begin, at
            begin, used = at, 0
        used += size
    if sizes:
        yield begin, len(sizes)
