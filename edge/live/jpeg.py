"""A key picture of H.264 or H.265 as a JPEG. Imports PyAV: only when a camera makes no pictures of its own."""

from fractions import Fraction
from typing import Final, cast

import av
from av.video.codeccontext import VideoCodecContext

from core.errors import FrameInvalid

_DECODERS: Final = {"H264": "h264", "H265": "hevc"}
_MAX_PIXELS: Final = 16_000_000
_QUALITY: Final = "5"
_TICK: Final = Fraction(1, 25)


def jpeg_of(key: bytes, codec: str) -> bytes:
    """Return a key picture as a JPEG; raise FrameInvalid where it cannot be decoded. Blocks for some milliseconds."""
    try:
        decoder = cast("VideoCodecContext", VideoCodecContext.create(_DECODERS[codec], "r"))
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str(_MAX_PIXELS)}
        frames = [*decoder.decode(av.Packet(key)), *decoder.decode(None)]
        if not frames:
            raise FrameInvalid("a key picture without a picture")
        frame = frames[0]
        coder = VideoCodecContext.create("mjpeg", "w")
        coder.width, coder.height, coder.pix_fmt = frame.width, frame.height, "yuvj420p"
        coder.options = {"qmin": _QUALITY, "qmax": _QUALITY}
        coder.time_base = _TICK
        still = frame.reformat(format="yuvj420p")
        still.pts = 0
        return b"".join(bytes(packet) for packet in [*coder.encode(still), *coder.encode(None)])
    except av.FFmpegError as error:
        raise FrameInvalid(f"a picture that cannot be decoded: {error.strerror}") from error
