"""What this machine can do at the most: the disk, the broker, the databases, each by itself and as bare as can be."""

import asyncio
import itertools
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

ROWS: Final = 2_000
"""Rows of one transaction: about what central puts in one."""
_WINDOW: Final = 200
_TOPIC: Final = b"limit"
_COLUMNS: Final = (
    "position bigint PRIMARY KEY, received_at timestamptz, site text, edge text, epoch text, stream text, seq bigint, "
    "type text, subject text, occurred_at timestamptz, corrected_at timestamptz, boot_id text, monotonic_ms bigint, "
    "clock_source text, clock_offset_ms bigint, clock_error_ms bigint, status text, data text"
)


def fdatasyncs(folder: Path, seconds: float) -> float:
    """Return how often a second 4 KiB can be added to a file and made durable."""
    path = folder / "fdatasync"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    block, count, began = bytes(4096), 0, time.perf_counter()
    try:
        while time.perf_counter() - began < seconds:
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()


async def forwards(port: int, size: int, seconds: float) -> float:
    """Return how many messages of `size` bytes a second a broker takes and hands on, QoS 1 on both sides."""
    subscriber, publisher = await _connect(port, "limit-in"), await _connect(port, "limit-out")
    try:
        await _subscribe(*subscriber, _TOPIC)
        counting = asyncio.create_task(_count(*subscriber, size, seconds))
        blasting = asyncio.create_task(_blast(*publisher, size))
        rate = await counting
        blasting.cancel()
        return rate
    finally:
        for _, writer in (subscriber, publisher):
            writer.transport.abort()


async def there_and_back(port: int, times: int) -> list[float]:
    """Return how many ms a message of 200 bytes takes to another client and back, QoS 1 on all four ways."""
    asks, answers = await _connect(port, "limit-asks"), await _connect(port, "limit-answers")
    try:
        await _subscribe(*asks, b"limit/back")
        await _subscribe(*answers, b"limit/there")
        echoing = asyncio.create_task(_echo(*answers))
        reader, writer = asks
        found = []
        for number in range(1, times + 1):
            began = time.perf_counter()
            writer.write(_publish(number, 200, b"limit/there"))
            await _message(reader, writer)
            found.append((time.perf_counter() - began) * 1000)
        echoing.cancel()
        return found
    finally:
        for _, writer in (asks, answers):
            writer.transport.abort()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in itertools.count(1):
        await _message(reader, writer)
        writer.write(_publish(number, 200, b"limit/back"))


async def _message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return when a message has come and is acknowledged; acknowledgements of our own are passed over."""
    while True:
        kind = (await reader.readexactly(1))[0] & 0xF0
        length = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = await reader.readexactly(length)
        if kind == 0x30:
            place = 2 + int.from_bytes(body[:2])
            writer.write(b"\x40\x02" + body[place : place + 2])
            return


async def _connect(port: int, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + _text(name.encode())
    writer.write(b"\x10" + _length(len(body)) + body)
    if await reader.readexactly(4) != b"\x20\x02\x00\x00":
        raise ConnectionError("the broker refused the connection")
    return reader, writer


async def _subscribe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, topic: bytes) -> None:
    body = b"\x00\x01" + _text(topic) + b"\x01"
    writer.write(b"\x82" + _length(len(body)) + body)
    await reader.readexactly(5)


async def _blast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> None:
    """Publish for ever, with so many messages on their way that the broker always has something to do."""
    identifier = 0
    for _ in range(_WINDOW):
        identifier += 1
        writer.write(_publish(identifier, size))
    rest = b""
    while data := rest + await reader.read(1 << 16):
        for _ in range(len(data) // 4):
            identifier = identifier % 65_535 + 1
            writer.write(_publish(identifier, size))
        rest = data[len(data) // 4 * 4 :]


async def _count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int, seconds: float) -> float:
    """Acknowledge what comes; return the rate once it has flowed for a moment."""
    length = len(_publish(1, size))
    place = length - size - 2
    rest, whole, seen, began = b"", 0, 0, 0.0
    until = time.perf_counter() + seconds + 0.3
    while time.perf_counter() < until:
        data = rest + await reader.read(1 << 18)
        whole = len(data) // length
        writer.write(b"".join(b"\x40\x02" + data[at : at + 2] for at in range(place, place + whole * length, length)))
        rest = data[whole * length :]
        if began:
            seen += whole
        elif until - time.perf_counter() < seconds:
            began = time.perf_counter()
    return seen / (time.perf_counter() - began)


def _publish(identifier: int, size: int, topic: bytes = _TOPIC) -> bytes:
    body = _text(topic) + struct.pack(">H", identifier) + bytes(size)
    return b"\x32" + _length(len(body)) + body


def _text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _length(number: int) -> bytes:
    """Return the remaining length (MQTT 3.1.1, 2.2.3)."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """Yield rows as wide as those of central's events."""
    moment = datetime.now(UTC)
    data = '{"lane":"HQ-BEN-PAX-01","attempt":"01M7Z7SS4NEMJ4JV5ZF2GJ0D0N","direction":"in","subject_token":"%s"}'
    for position in range(count):
        yield (
            *(position, moment, "bench", "bench.one", "01M7Z7SS4NEMJ4JV5ZF2GJ0D0N", "vital", position),
            *("gatefleet.PassageCleared.v1", "HQ-BEN-PAX-01", moment, moment, "boot", position, "ntp", 0, 1, "ok"),
            data % ("0" * 64),
        )


async def copied(url: str, count: int) -> float:
    """Return how many rows a second COPY puts into a bare table of PostgreSQL, in durable transactions."""
    made = list(rows(count))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP TABLE IF EXISTS bare_limit")
        await connection.execute(f"CREATE TABLE bare_limit ({_COLUMNS})")
        began = time.perf_counter()
        for start in range(0, count, ROWS):
            await connection.copy_records_to_table("bare_limit", records=made[start : start + ROWS])
        took = time.perf_counter() - began
        await connection.execute("DROP TABLE bare_limit")
        return count / took
    finally:
        await connection.close()


def inserted(folder: Path, count: int) -> float:
    """Return how many rows a second go into a bare table of SQLite (WAL, synchronous=FULL), in durable transactions."""
    path = folder / "limit.db"
    made = [tuple(str(cell) if isinstance(cell, datetime) else cell for cell in row) for row in rows(count)]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE bare ({_COLUMNS})")
        marks = ", ".join("?" * len(made[0]))
        began = time.perf_counter()
        for start in range(0, count, ROWS):
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO bare VALUES ({marks})", made[start : start + ROWS])
            connection.execute("COMMIT")
        return count / (time.perf_counter() - began)
    finally:
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
