"""All that a driver's author must read.

A driver is pure: bytes or registers in, facts out; commands in, bytes or writes out. It has no clock, no socket and no
retry: links talk, the session orders reading, committing and acknowledging, the supervisor decides when to try again.

A stream device (RS-485, TCP, serial text) gives a `Codec`; a register device (Modbus TCP or RTU) gives a `RegisterMap`;
a device that pushes HTTP requests gives a `PushParser`.
The package `drivers/<name>/` exports one `DRIVER`; the registry finds it by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from core.errors import FrameInvalid
from core.messages.commands import DeviceCommand
from drivers.facts import Fact
from drivers.profile import Profile


class Settings(BaseModel):
    """What a device's entry in the config may set for its driver, beside `id`, `driver`, `profile`, `link`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Report:
    """A fact; `ack` is written to the device only after everything that follows from the fact is committed."""

    fact: Fact
    ack: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to write back at once: they confirm nothing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that break the protocol. Counted; the stream goes on at the next frame."""

    detail: str
    raw: bytes


Output = Report | Reply | Rejected


class Codec(Protocol):
    """The protocol of one connection to a stream device; made anew for each connection."""

    def receive(self, data: bytes) -> Sequence[Output]:
        """Take bytes as they came, in any cut; return what they complete. Never raises for hostile bytes."""

    def send(self, command: DeviceCommand) -> bytes:
        """Return the bytes of a command; raise Unsupported where the device has none."""


class Question(Protocol):
    """A command on its way to one of many, whose codec hears what it answers."""

    @property
    def frames(self) -> Sequence[bytes]:
        """Return what is to be written, in order."""

    @property
    def outcome(self) -> str | None:
        """Return how it ended: "" done, else why not; None as long as that is not known."""

    def unanswered(self) -> str | None:
        """Return the outcome where nothing more comes; None where what came says nothing."""


class PeerCodec(Codec, Protocol):
    """The codec of one of many devices that call us on one port, and say who they are."""

    @property
    def terminal(self) -> str:
        """Return who it has proved to be; empty before."""

    @property
    def closing(self) -> bool:
        """Tell whether it was refused for good: hang up once the replies are written."""

    def overdue(self, now_ms: int) -> Sequence[Output]:
        """Return what is due by time alone, of a clock that never goes back; called every few seconds."""

    def ask(self, command: Any) -> Question:
        """Make a command of the driver's; raise DeviceRefused before the peer is known, Unsupported as `send`."""

    def answer(self, fact: Fact, now: datetime) -> bytes:
        """Return what a fact of its own asks to be told, such as the time; empty for most."""


class Space(StrEnum):
    """The four tables of Modbus (Application Protocol V1.1b3, 4.3)."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Poll:
    """A block that is read together. Addresses are as on the wire, from 0."""

    name: str
    space: Space
    address: int
    count: int
    interval_ms: int


@dataclass(frozen=True, slots=True)
class Write:
    """One write. `function` is the Modbus function code: 5, 6, 15 or 16; a coil's on is 0xFF00 with function 5."""

    function: int
    address: int
    values: tuple[int, ...]


class RegisterMap(Protocol):
    """A register device: what to read, what it means, how a command becomes writes."""

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the blocks to read, with their intervals."""

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the facts of one block that was read; raise FrameInvalid where the values cannot be."""

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Return the writes of a command, in order; raise Unsupported where the device has none."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request of a push device: whole, within the driver's cap, and of a peer that may push."""

    method: str
    path: str
    """What follows the device's own path, with its leading `/`; `/` where nothing follows."""
    at: datetime
    """When it was received, with the edge's time zone."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    began_ms: int | None = None
    """When it began, by the edge's running clock; None where nobody measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a request means. `answer` is sent only after everything that follows from the facts is committed."""

    facts: tuple[Fact, ...]
    answer: Answer
    rejected: tuple[str, ...] = ()
    """Why parts of the request, or all of it, were refused; counted."""


class PushParser(Protocol):
    """A push device: one request in, facts and an answer out. It keeps no state between requests."""

    def receive(self, request: Request) -> Pushed:
        """Return what a request means; never raises for a hostile one: that is a 4xx answer with a reason."""


Decode = Callable[[bytes], list[dict[str, Any]]]
"""Offline decoding for `gatefleet decode`: one connection's bytes, cut anywhere -> reports; raises FrameInvalid."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What a driver declares; its table test fails if it declares more than is tested."""

    name: str
    kind: str
    """The word of the glossary for the device: turnstile, reader, ..."""
    settings: type[Settings]
    make: Callable[[Profile, Settings], Codec | RegisterMap | PushParser]
    commands: frozenset[type[BaseModel]]
    facts: frozenset[type[Fact]]
    links: frozenset[str]
    """Schemes of the links that fit: `tcp`, `serial`, `modbus+tcp`, `modbus+rtu`, `memory`, `http-server`, ..."""
    decoder: Callable[[Profile | None], Decode] | None = None
    many: bool = False
    """Many devices call us on the one link: each connection has a `PeerCodec` of its own."""
    at_once: frozenset[type[BaseModel]] = frozenset()
    """Those of the commands that end another that is under way, and so wait for none."""
    body_cap: int = 1 << 20
    """Bytes of the largest request that a push device may send; more is answered with 413."""


def command_names(driver: Driver) -> tuple[str, ...]:
    """Return the verbs that a driver knows, sorted."""
    return tuple(sorted(kind.__name__ for kind in driver.commands))


def codec_decode(codec: Codec) -> Decode:
    """Return the offline decoding of a codec: facts as dicts; the first rejected frame is raised as FrameInvalid."""

    def decode(data: bytes) -> list[dict[str, Any]]:
        reports = []
        for output in codec.receive(data):
            match output:
                case Report(fact=fact):
                    reports.append({"fact": type(fact).__name__, **fact.as_dict()})
                case Reply(data=reply):
                    reports.append({"reply": reply.hex()})
                case Rejected(detail=detail):
                    raise FrameInvalid(detail)
        return reports

    return decode
