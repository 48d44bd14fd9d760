"""The socket of the technician's tool: one JSON object a line, both ways; it works with the uplink down.

    -> {"op": "why", "id": "HQ-BRG-TS-01"}
    <- {"ok": true, "data": {...}}            or {"ok": false, "error": {"code", "detail", "place", "cure"}}

The socket file is for its owner and group (0660). Streaming operations answer with many lines until the caller closes.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import structlog

from core.errors import GatefleetError, LinkLost, MessageInvalid, Unsupported

_MAX_LINE: Final = 64 * 1024 * 1024
"""A signed list comes in one line."""
_WRITE_S: Final = 10.0

log = structlog.get_logger()

Request = Mapping[str, Any]
Operation = Callable[[Request], Awaitable[Any]]
Streaming = Callable[[Request], AsyncGenerator[Any, None]]


class ControlServer:
    """Serves operations by name. `operations` answer once, `streams` go on."""

    def __init__(self, path: Path, operations: Mapping[str, Operation], streams: Mapping[str, Streaming]) -> None:
        self._path = path
        self._operations = operations
        self._streams = streams

    async def serve(self) -> asyncio.Server:
        """Listen; raise LinkLost where another daemon does already, or the folder cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if await self._alive():
                raise LinkLost("another daemon listens there", place=str(self._path))
            if self._path.exists() and not self._path.is_socket():
                raise LinkLost("there is a file that is no socket", place=str(self._path), cure="move it away")
            self._path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._client, self._path, limit=_MAX_LINE)
            self._path.chmod(0o660)
        except OSError as error:
            raise LinkLost(f"cannot listen: {error.strerror or error}", place=str(self._path)) from error
        return server

    async def _alive(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            return False
        writer.close()
        return True

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._answer(line, reader, writer)
        except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            log.info("control.client_lost")
            writer.transport.abort()  # else a close would wait for a caller that takes nothing
        except asyncio.CancelledError:
            log.info("control.stopped")  # the connection's outermost frame: asyncio would log a trace for it
        finally:
            writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _read(line)
            name = request["op"]
            if name in self._streams:
                await self._stream(self._streams[name](request), reader, writer)
            elif name in self._operations:
                await _send(writer, {"ok": True, "data": await self._operations[name](request)})
            else:
                await _send(writer, {"ok": False, "error": error_words(self._unknown(name))})
        except GatefleetError as error:
            await _send(writer, {"ok": False, "error": error_words(error)})
        except (OSError, TimeoutError):
            raise
        except Exception:  # the request's outermost frame: whoever asked must hear of it
            log.exception("control.failed")
            await _send(writer, {"ok": False, "error": error_words(GatefleetError("a bug: see the daemon's log"))})

    def _unknown(self, name: str) -> GatefleetError:
        known = ", ".join(sorted({**self._operations, **self._streams}))
        return Unsupported(f"there is no operation {name!r}", cure=f"one of: {known}")

    async def _stream(
        self, items: AsyncGenerator[Any, None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send items until there are no more, or the caller closes its end."""

        async def forward() -> None:
            async with aclosing(items):
                async for item in items:
                    await _send(writer, {"ok": True, "data": item})

        sending = asyncio.create_task(forward(), name="control.stream")
        closed = asyncio.create_task(reader.read(1), name="control.closed")
        try:
            await asyncio.wait({sending, closed}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, closed):
                task.cancel()
            await asyncio.gather(sending, closed, return_exceptions=True)


def error_words(error: GatefleetError) -> dict[str, str]:
    """Return an error as the wire has it."""
    return {"code": error.code, "detail": error.detail, "place": error.place, "cure": error.cure}


def text_of(request: Request, key: str, *, longest: int = 512, default: str | None = None) -> str:
    """Return a text argument; raise MessageInvalid where it is missing or no text."""
    value = request.get(key, default)
    if not isinstance(value, str) or not (value or default == "") or len(value) > longest:
        raise MessageInvalid(f"{key!r} must be a text of 1 to {longest} characters", place=str(request.get("op")))
    return value


def _read(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageInvalid("not a line of JSON") from error
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        raise MessageInvalid('not a request: {"op": "..."}')
    return request


async def _send(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    async with asyncio.timeout(_WRITE_S):
        await writer.drain()
