"""One question by UDP, and the first datagram that is its answer."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from core.errors import DeviceSilent, FrameInvalid, LinkLost

Found = TypeVar("Found")


class _Ear(asyncio.DatagramProtocol):
    """Hands datagrams over, in the order they come; at most `LIMIT` wait."""

    LIMIT = 16

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes | OSError] = asyncio.Queue(self.LIMIT)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 the socket is connected
        if not self.heard.full():
            self.heard.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError) and not self.heard.full():
            self.heard.put_nowait(exc)


async def asked(
    host: str,
    port: int,
    question: bytes,
    accept: Callable[[bytes], Found],
    *,
    timeout_s: float,
    retries: int = 0,
    rejected: Callable[[str], None] = lambda _: None,
) -> Found:
    """Return what `accept` makes of an answer; what it refuses with FrameInvalid is told and not the answer.

    Raises DeviceSilent where none comes, LinkLost where the address cannot be reached or nothing listens there.
    """
    place = f"{host}:{port}"
    try:
        transport, ear = await asyncio.get_running_loop().create_datagram_endpoint(_Ear, remote_addr=(host, port))
    except OSError as error:
        raise LinkLost(f"cannot be reached: {error.strerror or error}", place=place) from error
    try:
        for _ in range(1 + retries):
            transport.sendto(question)
            try:
                async with asyncio.timeout(timeout_s):
                    return await _answer(ear, accept, rejected, place)
            except TimeoutError:
                continue
        raise DeviceSilent(f"no answer within {timeout_s:g} s", place=place)
    finally:
        transport.close()


async def _answer(ear: _Ear, accept: Callable[[bytes], Found], rejected: Callable[[str], None], place: str) -> Found:
    while True:
        heard = await ear.heard.get()
        if isinstance(heard, OSError):
            raise LinkLost(f"nothing listens: {heard.strerror}", place=place)
        try:
            return accept(heard)
        except FrameInvalid as error:
            rejected(error.detail)
