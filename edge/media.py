"""Facts with pictures, sounds and films: contents are on the disk before the event that names them is made."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from core.messages.device_events import MediaTaken, PictureTaken, StoredFile
from core.messages.event import Event
from drivers.facts import Fact, Image, PlateRead
from drivers.gat1400.facts import FaceSeen, NonMotorVehicleSeen, PersonSeen, PictureSent
from drivers.jt808.facts import MediaReceived
from edge.files import FileStore

_FORMATS: Final = ("image/jpeg", "image/tiff", "audio/mpeg", "audio/wav", "video/x-ms-wmv")
"""JT/T 808, 0x0801: multimedia format."""
_UNKNOWN: Final = "application/octet-stream"


async def stored(device: str, fact: Fact, files: FileStore) -> Event | None:
    """Return the event of a fact whose contents are on the disk now, else None; raise BufferUnavailable."""
    match fact:
        case MediaReceived():
            return await _media(device, fact, files)
        case PlateRead():
            return await _pictured(device, "vehicle", fact, fact.taken_at, fact.images, files) if fact.images else None
        case FaceSeen():
            return await _pictured(device, "face", fact, fact.seen_at, fact.images, files)
        case PersonSeen():
            return await _pictured(device, "person", fact, fact.seen_at, fact.images, files)
        case NonMotorVehicleSeen():
            return await _pictured(device, "non_motor_vehicle", fact, fact.seen_at, fact.images, files)
        case PictureSent():
            return await _pictured(device, "scene", fact, fact.taken_at, (fact.picture,), files)
    return None


_Pictured = PlateRead | FaceSeen | PersonSeen | NonMotorVehicleSeen | PictureSent


async def _pictured(
    device: str, what: str, fact: _Pictured, at: datetime | None, images: Sequence[Image], files: FileStore
) -> PictureTaken:
    kept = [await _kept(one.data, one.media_type, files, one.role) for one in images if one.data]
    return PictureTaken(
        device=device,
        what=what,
        object_id=fact.object_id[:64],
        camera=fact.device_id[:64],
        taken_at=at,
        images=tuple(kept),
    )


async def _media(device: str, fact: MediaReceived, files: FileStore) -> MediaTaken:
    known = 0 <= fact.format < len(_FORMATS)
    return MediaTaken(
        device=device,
        terminal=fact.terminal,
        media_id=fact.media_id,
        event=fact.event,
        channel=fact.channel,
        file=await _kept(fact.data, _FORMATS[fact.format] if known else _UNKNOWN, files),
    )


async def _kept(data: bytes, media_type: str, files: FileStore, role: str = "") -> StoredFile:
    name = await files.put(data, media_type)
    return StoredFile(role=role[:32], media_type=media_type[:64], digest=f"sha256:{name[:64]}", bytes=len(data))
