"""Readers of foreign bytes that are no driver's: documents, what central signs, batches, and the live view's stream."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from central.envelope import read_batch
from core.clearance.lists import read_snapshot
from core.crypto.signing import TrustedKeys
from core.identity.describe import describe_mrz, describe_permit, describe_plate, describe_resident_id
from core.messages.signed import Signed
from core.messages.view_grant import ViewGrant
from drivers.ws_discovery import sighted
from edge.live.h26x import CODECS, Depacketizer, read_rtp
from edge.live.rtsp_wire import RtspReader
from edge.live.sdp import video_of

_NOBODY: Final = TrustedKeys.of_texts(())
_PIECE: Final = 97


def _as_text(read: Callable[[str], Any]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


def _streamed(data: bytes) -> object:
    reader = RtspReader()
    return [found for at in range(0, len(data), _PIECE) for found in reader.receive(data[at : at + _PIECE])]


def _depacketized(codec: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        units = Depacketizer(CODECS[codec])
        head = bytes((0x80, 96)) + bytes(10)
        # Whole packets with a sound head, so that what is within them is met at all.
        parts = (head[:2] + number.to_bytes(2) + head[4:] + data[at : at + _PIECE] for number, at in _cuts(len(data)))
        return [units.receive(read_rtp(part)) for part in parts]

    return read


def _cuts(length: int) -> list[tuple[int, int]]:
    return list(enumerate(range(0, length, _PIECE)))


OTHERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "mrz": _as_text(describe_mrz),
    "plate": _as_text(describe_plate),
    "resident-id": _as_text(describe_resident_id),
    "permit": _as_text(describe_permit),
    "signed": lambda data: Signed.read(data, "command"),
    "view-grant": _as_text(lambda text: ViewGrant.read(text, _NOBODY)),
    "list": _as_text(read_snapshot),
    "batch": read_batch,
    "ws-discovery": lambda data: sighted(data, "192.0.2.1", "urn:uuid:0"),
    "rtsp": _streamed,
    "rtp": read_rtp,
    "h264": _depacketized("H264"),
    "h265": _depacketized("H265"),
    "sdp": lambda data: video_of(data, "rtsp://192.0.2.1/"),
}
"""By their name."""
