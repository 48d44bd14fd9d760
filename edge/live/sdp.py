"""What a camera's session description says of its picture (RFC 8866, RFC 6184 8.2, RFC 7798 7.1). Pure."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from core.errors import FrameInvalid, Unsupported

_MAX_LINES: Final = 1000
_STATIC: Final = {26: ("JPEG", 90_000), 31: ("H261", 90_000), 32: ("MPV", 90_000), 33: ("MP2T", 90_000)}
"""Payload types that need no rtpmap (RFC 3551, table 5)."""
_MAX_PARAMETER: Final = 4096


@dataclass(frozen=True, slots=True)
class Video:
    """One video of a description."""

    codec: str
    """In capitals: H264, H265, JPEG."""
    payload_type: int
    clock_hz: int
    control: str
    """Where it is set up, whole."""
    session: str
    """What is played and torn down."""
    parameters: tuple[bytes, ...] = ()
    """Parameter sets as units without a start code, in the order in which a decoder wants them."""


@dataclass(slots=True)
class _Media:
    payload_type: int
    control: str = ""
    maps: dict[int, tuple[str, int]] = field(default_factory=dict)
    formats: dict[int, dict[str, str]] = field(default_factory=dict)


def video_of(body: bytes, base: str) -> Video:
    """Return the first video; `base` is where the description came from. Raise FrameInvalid, or Unsupported: none."""
    control, found = _read(body)
    if found is None:
        raise Unsupported("the stream has no video", place=base.partition("?")[0])
    name, clock_hz = found.maps.get(found.payload_type) or _STATIC.get(found.payload_type, ("", 0))
    if not name or not 1 <= clock_hz <= 1_000_000:
        raise FrameInvalid("a video whose codec is not told")
    return Video(
        codec=name,
        payload_type=found.payload_type,
        clock_hz=clock_hz,
        control=_joined(base, found.control),
        session=_joined(base, control),
        parameters=_parameters(found.formats.get(found.payload_type, {})),
    )


def _read(body: bytes) -> tuple[str, _Media | None]:
    """Return the control of the session, and the first video."""
    lines = body.decode("utf-8", "replace").splitlines()
    if len(lines) > _MAX_LINES or not any(line.startswith("m=") for line in lines):
        raise FrameInvalid("no session description")
    control, video, inside, seen = "", None, False, False
    for line in lines:
        kind, _, value = line.partition("=")
        if kind == "m":
            seen, inside = True, video is None and value.startswith("video ")
            video = _media(value) if inside else video
        elif kind == "a" and inside and video is not None:
            _attribute(video, value)
        elif kind == "a" and not seen and value.startswith("control:"):
            control = value.removeprefix("control:").strip()
    return control, video


def _media(value: str) -> _Media:
    words = value.split()
    if len(words) < 4:
        raise FrameInvalid(f"no media: {value[:40]!r}")
    return _Media(_number(words[3], 127))


def _attribute(media: _Media, line: str) -> None:
    name, _, value = line.partition(":")
    number, _, rest = value.strip().partition(" ")
    match name:
        case "control":
            media.control = value.strip()
        case "rtpmap":
            codec, _, clock = rest.strip().partition("/")
            media.maps[_number(number, 127)] = codec.upper()[:32], _number(clock.partition("/")[0], 1_000_000)
        case "fmtp":
            media.formats[_number(number, 127)] = _format(rest)


def _format(rest: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in rest.split(";"))
    return {name.lower(): value for name, _, value in pairs if name}


def _parameters(told: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the parameter sets; those that are garbled are left out: most cameras send them in the stream too."""
    names = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
    texts: Iterable[str] = (text for name in names for text in told.get(name, "").split(",") if text)
    found = []
    for text in texts:
        try:
            unit = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            continue
        if 1 < len(unit) <= _MAX_PARAMETER:
            found.append(unit)
    return tuple(found[:16])


def _joined(base: str, control: str) -> str:
    """Return where a control is. RFC 2326, C.1.1 asks for a relative URL; cameras mean that it is put behind."""
    if control in {"", "*"}:
        return base
    if "://" in control:
        return control
    return f"{base.rstrip('/')}/{control.lstrip('/')}"


def _number(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 7 or int(text) > largest:
        raise FrameInvalid(f"not a number up to {largest}: {text[:20]!r}")
    return int(text)
