"""A daemon by itself, as with its uplink cut: its file, its secrets, a list in force from the start, its records."""

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli_w

from bench.checkpoint import notified, started
from bench.stack import Program, edge
from core.clearance.lists import make_content, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.crypto.signing import SigningKey
from core.identity.tokens import TokenKind, subject_token
from core.messages.envelope import packed_event
from core.messages.signed import Signed
from drivers.digest import Login

LOGIN: Final = Login("camera", "a password of a camera")
"""Of everything that pushes."""
BLOCK: Final = "bench-block"
_TOKEN_KEY: Final = "a token key of thirty-two bytes!"
_SUITE: Final = "sm"
_SECRETS: Final = {"token": _TOKEN_KEY, "push": LOGIN.password, "auth": "0123456789abcdef"}

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing that was measured: what it was, when it began (time.monotonic), how long it took."""

    what: str
    began_s: float
    took_ms: float


class Notebook:
    """Samples in a file, each there as soon as it is noted: the process that notes them may be killed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Note nothing more."""
        self._file.close()

    def note(self, what: str, began_s: float, took_ms: float | None = None) -> None:
        """Note a sample, one that ends now unless `took_ms` says otherwise."""
        took_ms = (time.monotonic() - began_s) * 1000 if took_ms is None else took_ms
        self._file.write(f"{what} {began_s:.6f} {took_ms:.4f}\n")


def noted(path: Path) -> list[Sample]:
    """Return the samples of a notebook; a last line that is half written is none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = [line.split(" ") for line in text.rpartition("\n")[0].splitlines()]
    return [Sample(what, float(began), float(took)) for what, began, took in rows]


def secret(folder: Path, name: str) -> str:
    """Return the reference of a secret in a folder."""
    return f"file:{folder / name}.key"


def pushes(folder: Path) -> Table:
    """Return the access of a device that pushes."""
    return {"users": {LOGIN.username: secret(folder, "push")}}


def device(name: str, driver: str, profile: str, link: str, **more: Table) -> Table:
    """Return a device's table."""
    return {"id": name, "driver": driver, "profile": profile, "link": link, **more}


def write_site(folder: Path, devices: Sequence[Table], lanes: Sequence[Table] = (), listed: Sequence[str] = ()) -> Path:
    """Write the file of a daemon, its secrets and a signed list of plates to refuse; return the file."""
    for name, value in _SECRETS.items():
        (folder / f"{name}.key").write_text(value, encoding="ascii")
    signer = SigningKey(suite(_SUITE).generate())
    lists = folder / "lists"
    lists.mkdir()
    (lists / f"{BLOCK}.signed").write_text(_snapshot(signer, listed), encoding="utf-8")
    table = {
        "schema": 1,
        "edge": {"site": "bench", "name": "lone"},
        "buffer": {"path": str(folder / "buffer.db"), "quota_mb": 512},
        "uplink": {"url": "mqtt://127.0.0.1:9"},
        "crypto": {"suite": _SUITE, "token_key": secret(folder, "token"), "trusted_keys": [signer.public.text]},
        "control": {"socket": str(folder / "control.sock")},
        "metrics": {"host": ""},
        "device": list(devices),
        "lane": list(lanes),
    }
    path = folder / "lone.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return path


def _snapshot(signer: SigningKey, plates: Sequence[str]) -> str:
    hmac = suite(_SUITE).hmac
    tokens = [subject_token(TokenKind.PLATE, plate, _TOKEN_KEY.encode(), hmac) for plate in plates]
    rows = [(token, ListEntry(f"E{number}")) for number, token in enumerate(tokens)]
    content = make_content(BLOCK, 1, ListEffect.REFUSE, 10, rows)
    return Signed.make("snapshot", write_snapshot(content), signer).model_dump_json()


@contextlib.asynccontextmanager
async def lone_daemon(folder: Path, config: Path, **environ: str) -> AsyncIterator[Program]:
    """Run a daemon until the end; yield it once it is ready."""
    with notified(folder) as (listener, address):
        daemon = edge(folder, config, NOTIFY_SOCKET=address, **environ)
        try:
            try:
                await started(daemon, listener)
            except TimeoutError:
                daemon.check()  # how it ended says more
                raise
            yield daemon
        finally:
            await daemon.stop()


def records(folder: Path, stream: str) -> Iterator[tuple[str, Table]]:
    """Yield kind and data of what the daemon has made durable in a stream."""
    address = f"{(folder / 'buffer.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as file:
        bodies = [body for (body,) in file.execute(f"SELECT body FROM {stream} WHERE seq > 0")]
    yield from map(packed_event, bodies)
