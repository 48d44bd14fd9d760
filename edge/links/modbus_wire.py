"""One open Modbus connection, TCP or serial: sends a question, waits for its answer.

Promises
1. One question at a time; the next is sent only after the answer or the time-out of the one before.
2. When the connection ends, whoever waits gets LinkLost at once.
3. Nothing that came before a question is taken for its answer, not even what still lies in the serial port.
"""

import asyncio
import contextlib
import socket
import termios
from collections.abc import Awaitable, Callable
from typing import Protocol

from core.errors import DeviceSilent, FrameInvalid, LinkLost
from drivers.modbus_client import Asker, Question

Clock = Callable[[], float]
Opener = Callable[[Callable[[], asyncio.Protocol]], Awaitable[asyncio.Transport]]
"""Connects a protocol; raises OSError."""

_UNACKED_MS = 10_000
_CLOSE_S = 1.0


class _SerialPort(Protocol):
    def reset_input_buffer(self) -> None: ...


class Wire(asyncio.Protocol):
    """One connection. `heard_at_s` is when the last byte came."""

    def __init__(self, asker: Asker, *, name: str, clock: Clock) -> None:
        self.heard_at_s = 0.0
        self.opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._asker = asker
        self._name = name
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._port: _SerialPort | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._lost: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio calls this."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port = transport.get_extra_info("serial")
        self._loop = asyncio.get_running_loop()
        self.opened.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes; asyncio calls this."""
        self.heard_at_s = self._clock()
        waiter = self._answer
        try:
            pdu = self._asker.receive(data)
        except FrameInvalid as error:
            if waiter and not waiter.done():
                waiter.set_exception(error)
        else:
            if pdu is not None and waiter and not waiter.done():
                waiter.set_result(pdu)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits; asyncio calls this."""
        self._lost = f"connection lost: {exc}" if exc else "the peer closed the connection"
        self._closed.set()
        for waiter in (self._answer, self._idle):
            if waiter and not waiter.done():
                waiter.set_exception(LinkLost(self._lost, place=self._name))

    async def ask(self, question: Question, timeout_s: float) -> bytes:
        """Return the PDU of the answer; raise DeviceSilent, FrameInvalid (a garbled answer) or LinkLost."""
        loop = self._send(question)
        waiter: asyncio.Future[bytes] = loop.create_future()
        self._answer = waiter
        timer = loop.call_later(timeout_s, self._expire, waiter, timeout_s)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._answer = None
            self._asker.give_up()

    def tell(self, question: Question) -> None:
        """Send a question that nobody answers: a broadcast; raise LinkLost."""
        self._send(question)
        self._asker.give_up()

    async def idle(self, seconds: float | None) -> None:
        """Wait so long, or until woken; raise LinkLost."""
        if self._lost is not None:
            raise LinkLost(self._lost, place=self._name)
        assert self._loop is not None
        waiter = self._idle = self._loop.create_future()
        timer = self._loop.call_later(seconds, self.wake) if seconds is not None else None
        try:
            await waiter
        finally:
            self._idle = None
            if timer:
                timer.cancel()

    def wake(self) -> None:
        """End the waiting of `idle`."""
        if self._idle and not self._idle.done():
            self._idle.set_result(None)

    async def close(self) -> None:
        """Close the connection at once; return when the port or socket is free again, or after a second."""
        if self._transport and not self._closed.is_set():
            self._transport.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._closed.wait()

    def _send(self, question: Question) -> asyncio.AbstractEventLoop:
        if self._lost is not None or self._transport is None or self._loop is None:
            raise LinkLost(self._lost or "not connected", place=self._name)
        if self._port is not None:
            try:
                self._port.reset_input_buffer()
            except (OSError, termios.error) as error:
                raise LinkLost(f"the serial port is gone: {error}", place=self._name) from error
        self._transport.write(self._asker.ask(question))
        return self._loop

    def _expire(self, waiter: asyncio.Future[bytes], timeout_s: float) -> None:
        if not waiter.done():
            waiter.set_exception(DeviceSilent(f"no answer within {timeout_s * 1000:.0f} ms", place=self._name))


def open_tcp(host: str, port: int) -> Opener:
    """Return an opener of a TCP connection that notices within seconds when the peer vanishes."""

    async def opener(factory: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(factory, host, port)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKED_MS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return transport

    return opener


def open_serial(device: str, *, baud: int, parity: str, stop_bits: int, data_bits: int = 8) -> Opener:
    """Return an opener of a serial line (or a pty), which it takes for itself alone."""

    async def opener(factory: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        import serial_asyncio_fast  # noqa: PLC0415 - only machines with serial lines need it

        transport, _ = await serial_asyncio_fast.create_serial_connection(
            asyncio.get_running_loop(),
            factory,
            device,
            baudrate=baud,
            parity=parity,
            stopbits=stop_bits,
            bytesize=data_bits,
            exclusive=True,
        )
        assert isinstance(transport, asyncio.Transport)
        return transport

    return opener
