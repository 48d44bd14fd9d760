"""The 20-digit ids of GB/T 28181-2016, Annex D: centre 8, industry 2, type 3, network 1, number 6."""

import re
from typing import Final

from core.errors import FrameInvalid

_ID = re.compile(r"[0-9]{20}")
TYPES: Final = {
    "111": "DVR", "112": "video server", "114": "decoder", "118": "NVR", "121": "camera with audio", "131": "camera",
    "132": "IP camera", "133": "monitor", "134": "alarm input", "135": "alarm output", "136": "audio input",
    "137": "audio output", "138": "mobile", "200": "SIP server", "215": "business group", "216": "virtual group",
}  # fmt: skip


def checked_id(text: str) -> str:
    """Return an id; raise FrameInvalid where it is not 20 digits."""
    if not _ID.fullmatch(text):
        raise FrameInvalid(f"not a GB/T 28181 id of 20 digits: {text[:40]!r}")
    return text


def domain_of(device_id: str) -> str:
    """Return the SIP domain of an id: its first ten digits."""
    return checked_id(device_id)[:10]


def type_code(device_id: str) -> str:
    """Return the three digits that say what it is."""
    return checked_id(device_id)[10:13]
