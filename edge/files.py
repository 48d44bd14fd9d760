"""Files named by their digest, on the disk before anybody is told so, within a bound of bytes.

Promises
1. `put` returns after content and name are on the disk (fsync of file and folder); the same content is kept once.
2. The contents take no more than `quota_bytes`, or are one file; the oldest give way, and are counted.
3. A file whose content does not fit its name is as if it were not there.
4. Only the daemon's user may read them; with a vault nobody can without its key.
5. A file that has been put is kept until it is released as often as it was put, or gives way.
6. Memory holds names of what is there, and of what is still to be released, and no others.
"""

import asyncio
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from core.crypto.errors import SealBroken
from core.errors import BufferUnavailable

_SUFFIXES: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "video/x-ms-wmv": ".wmv",
}
_NAME: Final = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,4})?")
_UNFINISHED: Final = ".part"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vault:
    """How contents are hidden at rest. `open` raises SealBroken."""

    seal: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]


PLAIN: Final = Vault(lambda data: data, lambda data: data)


@dataclass(slots=True)
class FileCounts:
    """Counted since the start."""

    put: int = 0
    dropped: int = 0
    dropped_bytes: int = 0
    damaged: int = 0


class FileStore:
    """One folder of files. All methods belong to one event loop; the disk's work is done in threads."""

    def __init__(self, folder: Path, quota_bytes: int, vault: Vault = PLAIN) -> None:
        self.counts = FileCounts()
        self.bytes = 0
        self.quota_bytes = quota_bytes
        self._folder = folder
        self._vault = vault
        self._sizes: dict[str, int] = {}
        """Of what is there, the oldest first."""
        self._uses: Counter[str] = Counter()
        self._counted = True
        """Whether who puts files also releases them; else they only give way."""
        self._begun: set[asyncio.Future[str]] = set()
        self._turn = asyncio.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    async def open(self, uses: Mapping[str, int] | None = None) -> None:
        """Look at what is there; with `uses` what nobody uses goes. Raise BufferUnavailable."""
        async with self._turn:
            found = await self._on_disk(lambda: _scan(self._folder))
            self._counted = uses is not None
            self._uses = Counter(uses if uses is not None else dict.fromkeys(found, 1))
            self._sizes = {name: size for name, size in found.items() if self._uses[name]}
            self.bytes = sum(self._sizes.values())
            await self._on_disk(lambda: _unlink(self._folder, found.keys() - self._sizes.keys()))

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep a content; return its name. Raise BufferUnavailable: then it is not kept."""
        # Once begun it is brought to its end: what a thread still writes would be counted by nobody.
        begun = asyncio.ensure_future(self._put(data, media_type))
        self._begun.add(begun)
        begun.add_done_callback(self._ended)
        return await asyncio.shield(begun)

    def _ended(self, begun: asyncio.Future[str]) -> None:
        self._begun.discard(begun)
        if not begun.cancelled():
            begun.exception()  # whoever waited has heard it; nobody may wait any more

    async def _put(self, data: bytes, media_type: str) -> str:
        name = name_of(data, media_type)
        self._uses[name] += 1  # before anything is awaited: nobody else's release may take it away
        try:
            async with self._turn:
                if name not in self._sizes:
                    await self._make_room(len(data))
                    await self._on_disk(lambda: _write(self._folder / name, self._vault.seal(data)))
                    self._sizes[name] = len(data)
                    self.bytes += len(data)
                    self.counts.put += 1
        except BaseException:
            self._uses[name] -= 1
            if self._uses[name] <= 0:
                del self._uses[name]
            raise
        return name

    async def read(self, name: str) -> bytes:
        """Return a content; empty where it has given way or is damaged. Raise BufferUnavailable."""
        if name not in self._sizes or not _NAME.fullmatch(name):
            return b""
        try:
            data = await asyncio.to_thread(lambda: self._vault.open((self._folder / name).read_bytes()))
        except FileNotFoundError:
            return b""
        except SealBroken:
            data = b""
        except OSError as error:
            raise _unavailable(error, self._folder) from error
        if hashlib.sha256(data).hexdigest() != name[:64]:
            self.counts.damaged += 1
            return b""
        return data

    async def release(self, names: Iterable[str]) -> None:
        """Let go of contents; each that nobody uses any more is removed. Raise BufferUnavailable."""
        for name in (released := tuple(names)):
            self._uses[name] -= 1
        async with self._turn:
            await self._remove([name for name in set(released) if self._uses[name] <= 0])

    async def _make_room(self, need: int) -> None:
        giving_way: list[str] = []
        left = self.bytes
        for name, size in self._sizes.items():
            if left + need <= self.quota_bytes:
                break
            giving_way.append(name)
            left -= size
        self.counts.dropped += len(giving_way)
        self.counts.dropped_bytes += self.bytes - left
        await self._remove(giving_way)

    async def _remove(self, names: list[str]) -> None:
        if not names:
            return
        for name in names:
            self.bytes -= self._sizes.pop(name, 0)
            if self._uses[name] <= 0 or not self._counted:
                del self._uses[name]
        await self._on_disk(lambda: _unlink(self._folder, names))

    async def _on_disk(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise _unavailable(error, self._folder) from error


def name_of(data: bytes, media_type: str) -> str:
    """Return the name of a content: its SHA-256 and a suffix."""
    return hashlib.sha256(data).hexdigest() + _SUFFIXES.get(media_type, ".bin")


def _scan(folder: Path) -> dict[str, int]:
    """Return name -> bytes, the oldest first; what was not finished is removed."""
    if not folder.exists():
        return {}
    found: list[tuple[int, str, int]] = []
    for entry in os.scandir(folder):
        if entry.name.endswith(_UNFINISHED):
            Path(entry.path).unlink()
        elif _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            about = entry.stat(follow_symlinks=False)
            found.append((about.st_mtime_ns, entry.name, about.st_size))
    return {name: size for _, name, size in sorted(found)}


def _write(path: Path, data: bytes) -> None:
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync(path.parent.parent)
    part = path.with_name(path.name + _UNFINISHED)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _unavailable(error: OSError, folder: Path) -> BufferUnavailable:
    return BufferUnavailable(error.strerror or str(error), place=str(folder), cure="free space, or check the disk")
