"""One simulated device by itself: what may be wished of it, and what it tells once it runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from core.errors import ConfigInvalid
from drivers.digest import Login
from drivers.profile import Profile

PTY: Final = "pty"
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device listens; `scheme` is empty where nothing was said, `pty` for a new pseudo-terminal."""

    scheme: str = ""
    host: str = _LOOPBACK
    port: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_pty(self) -> bool:
        """Tell whether it is a serial line."""
        return self.scheme == PTY

    @property
    def is_free(self) -> bool:
        """Tell whether any port of loopback will do."""
        return self.host == _LOOPBACK and not self.port

    def number(self, key: str, default: int) -> int:
        """Return a number of the query; raise ConfigInvalid."""
        text = self.keys.get(key, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 7:
            raise ConfigInvalid(f"{key} {text[:20]!r}", place="--listen", cure="a whole number")
        return int(text)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a device is to be."""

    profile: Profile
    place: Place = Place()
    to: str = ""
    """What it calls, of a device that calls."""
    login: Login | None = None
    seed: int = 1
    bad: frozenset[str] = frozenset()
    """Words of its own list."""
    count: int = 1
    every_s: float = 5.0
    """Between two things that happen."""


Tell = Callable[[str], None]
"""Hears what people may want to know, such as an answer that changed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A device that runs."""

    url: str
    """Where it is, or what it calls."""
    link: str = ""
    """What a site file says; empty: `url`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    access: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    """Made-up secrets that the settings refer to."""
    live: Callable[[Tell], Awaitable[None]] | None = None
    """What happens at it, until it is cancelled."""
    device: bool = True
    """Whether a site file can have it as a device."""


Opener = Callable[[Wish], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Single:
    """One line of the table of devices."""

    name: str
    what: str
    driver: str
    open: Opener
    profile: str
    """Unless another is wished."""
    listens: tuple[str, ...] = ()
    """Schemes at which it can be found; none: it calls."""
    calls: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    counts: bool = False
    """Whether there may be many of it in one."""


def parse_place(url: str, single: Single) -> Place:
    """Return where a device is to listen; raise ConfigInvalid with what it can."""
    if not url:
        return Place(single.listens[0])
    try:
        parts = urlsplit(url)
        port = parts.port or 0
    except ValueError as error:
        raise ConfigInvalid(str(error), place="--listen") from error
    scheme = PTY if parts.scheme in {"serial", "modbus+rtu"} or url == PTY else parts.scheme
    if scheme not in single.listens:
        raise ConfigInvalid(f"a {single.name} does not listen there", place="--listen", cure=_listen_cure(single))
    if scheme != PTY and not parts.hostname:
        raise ConfigInvalid("no host to listen at", place="--listen", cure=_listen_cure(single))
    return Place(scheme, parts.hostname or _LOOPBACK, port, dict(parse_qsl(parts.query)))


def parse_target(url: str, single: Single) -> str:
    """Return what a device is to call; raise ConfigInvalid with what it can."""
    cure = " or ".join(f"{scheme}://host:port" for scheme in single.calls)
    try:
        parts: SplitResult = urlsplit(url)
        good = parts.scheme in single.calls and bool(parts.hostname) and (parts.scheme != "tcp" or bool(parts.port))
    except ValueError as error:
        raise ConfigInvalid(str(error), place="--to", cure=cure) from error
    if not url:
        raise ConfigInvalid("it calls: say whom", place="--to", cure=cure)
    if not good or "@" in parts.netloc:
        raise ConfigInvalid(f"that is nothing a {single.name} calls", place="--to", cure=cure)
    return url


def _listen_cure(single: Single) -> str:
    return " or ".join(PTY if scheme == PTY else f"{scheme}://host:port" for scheme in single.listens)


async def again_and_again(every_s: float, do: Callable[[int], Awaitable[None]]) -> None:
    """Do something now and then, with its number, for ever."""
    number = 0
    while True:
        await do(number)
        number += 1
        await asyncio.sleep(every_s)
