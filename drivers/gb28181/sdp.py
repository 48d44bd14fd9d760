"""The SDP of an INVITE (RFC 4566, and GB/T 28181-2016, Annex F for `y=` and `f=`): read only, for media is not served.

s=Play | Playback | Download      u=channel:kind        t=begin end (Unix seconds, 0 0 for live)
m=video 6000 TCP/RTP/AVP 96 98    a=setup:active        y=SSRC, ten digits: 0 live or 1 history, five of the domain
"""

import re
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid

MAX_SDP: Final = 16 * 1024
MAX_LINES: Final = 128
_MEDIA = re.compile(r"([a-z]+) ([0-9]{1,5})(?:/[0-9]{1,3})? ((?:TCP/)?RTP/AVP)((?: [0-9]{1,3}){0,32})")
_SSRC = re.compile(r"[0-9]{10}")


@dataclass(frozen=True, slots=True)
class Sdp:
    """What an upper platform wants to see, and where it wants it."""

    session: str
    address: str
    port: int
    transport: str
    """UDP or TCP."""
    payloads: tuple[int, ...] = ()
    rtpmap: tuple[tuple[int, str], ...] = ()
    uri: str = ""
    start: int = 0
    end: int = 0
    direction: str = ""
    setup: str = ""
    connection: str = ""
    ssrc_text: str = ""
    """Empty where no `y=` came: lower levels are then free to choose."""
    media_format: str = ""

    @property
    def history(self) -> bool | None:
        """Whether the SSRC is one of recordings; None where there is no SSRC."""
        return self.ssrc_text[0] == "1" if self.ssrc_text else None


def parse_sdp(data: bytes) -> Sdp:
    """Return the description of one medium; raise FrameInvalid."""
    lines = data.decode("utf-8", "replace").splitlines()
    if len(data) > MAX_SDP or len(lines) > MAX_LINES:
        raise FrameInvalid(f"SDP of more than {MAX_SDP} bytes or {MAX_LINES} lines")
    rows = [(line[0], line[2:].strip()) for line in lines if line[1:2] == "="]
    if not rows or rows[0] != ("v", "0"):
        raise FrameInvalid("not SDP")
    first = {key: value for key, value in reversed(rows) if key != "a"}
    media = _MEDIA.fullmatch(first.get("m", ""))
    if media is None or int(media[2]) >= 1 << 16:
        raise FrameInvalid("SDP without a medium that can be read")
    ssrc = first.get("y", "")
    if ssrc and not _SSRC.fullmatch(ssrc):
        raise FrameInvalid(f"an SSRC that is not ten digits: {ssrc[:20]!r}")
    start, end = _times(first.get("t", "0 0"))
    attributes = [value for key, value in rows if key == "a"]
    return Sdp(
        session=first.get("s", ""),
        address=first.get("c", "").rpartition(" ")[2],
        port=int(media[2]),
        transport="TCP" if media[3].startswith("TCP/") else "UDP",
        payloads=tuple(map(int, media[4].split())),
        rtpmap=tuple(_rtpmap(value) for value in attributes if re.match(r"rtpmap:[0-9]{1,3} \S", value)),
        uri=first.get("u", ""),
        start=start,
        end=end,
        direction=next((value for value in attributes if value in {"recvonly", "sendonly", "sendrecv"}), ""),
        setup=_attribute(attributes, "setup"),
        connection=_attribute(attributes, "connection"),
        ssrc_text=ssrc,
        media_format=first.get("f", ""),
    )


def _times(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,12}) ([0-9]{1,12})", text)
    if match is None:
        raise FrameInvalid(f"SDP times that cannot be: {text[:40]!r}")
    return int(match[1]), int(match[2])


def _rtpmap(value: str) -> tuple[int, str]:
    number, _, name = value.removeprefix("rtpmap:").partition(" ")
    return int(number), name.strip()


def _attribute(attributes: list[str], name: str) -> str:
    return next((value.removeprefix(f"{name}:") for value in attributes if value.startswith(f"{name}:")), "")
