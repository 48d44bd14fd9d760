"""GNSS receivers that send NMEA 0183: serial, or TCP as a relay such as gpsd gives it.

`PositionTaken` once an epoch (`epoch.py` says when); what a receiver tells of itself in TXT as the profile says.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Codec, Decode, Driver, Output, Rejected, Reply, Report, Settings
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, PositionTaken
from drivers.nmea0183.epoch import Epochs
from drivers.nmea0183.framing import Lines, Noise
from drivers.nmea0183.meaning import extras, text_of, told_by
from drivers.nmea0183.sentence import MAX_CHARS, Demand, Sentence, parse_sentence
from drivers.profile import Profile, checked_map

_MOST_KINDS: Final = 64


class Text(BaseModel):
    """What a TXT that begins with `prefix` tells; the rest is the value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field(min_length=1)
    means: Literal["firmware", "model", "signal"]
    topic: str = ""
    """Of a signal."""
    on: tuple[str, ...] = ()
    """Values with which the signal is on."""
    off: tuple[str, ...] = ()
    """Values with which it is off; any other says nothing."""


class Greeting(BaseModel):
    """A relay that greets and waits to be asked, as gpsd does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begins: str = Field(min_length=1, max_length=64)
    answer: str = Field(max_length=256)


class NmeaMap(BaseModel):
    """The `map` of a receiver's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checksum: Demand = "all"
    max_chars: int = Field(default=MAX_CHARS, ge=MAX_CHARS, le=512)
    """Some receivers send longer sentences than the standard allows."""
    foreign: str = ""
    """First characters of lines between sentences that are no noise."""
    greeting: Greeting | None = None
    texts: tuple[Text, ...] = ()


class NmeaSettings(Settings):
    """What a receiver's entry may set."""

    terminal: str = Field(default="", max_length=64)
    """A receiver has no name of its own: whose position it is."""


class NmeaCodec:
    """Sentences of one connection -> facts. `seen` counts good sentences by talker and type, of 64 kinds at most."""

    def __init__(self, layout: NmeaMap, terminal: str = "", vendor: str = "", model: str = "") -> None:
        self.seen: dict[str, int] = {}
        self._map = layout
        self._lines = Lines(layout.max_chars)
        self._epochs = Epochs(terminal)
        self._described = DeviceDescribed(vendor=vendor, model=model)
        self._signals: dict[str, bool] = {}

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return what the bytes complete; bytes between sentences are rejected once a line, unless foreign."""
        out: list[Output] = []
        for item in self._lines.receive(data):
            match item:
                case Noise():
                    out.extend(self._noise(item))
                case Rejected():
                    out.append(item)
                case _:
                    out.extend(self._sentence(item))
        return out

    def send(self, command: DeviceCommand) -> bytes:
        """Refuse: a receiver takes no commands."""
        raise Unsupported(f"an NMEA receiver has no {type(command).__name__}")

    def _sentence(self, line: bytes) -> Sequence[Output]:
        try:
            sentence = parse_sentence(line, demand=self._map.checksum, max_chars=self._map.max_chars)
            facts = self._facts(sentence)
        except FrameInvalid as error:
            return (Rejected(error.detail, line[:64]),)
        name = sentence.talker + sentence.kind
        if name in self.seen or len(self.seen) < _MOST_KINDS:
            self.seen[name] = self.seen.get(name, 0) + 1
        return [Report(fact) for fact in facts]

    def _noise(self, noise: Noise) -> Sequence[Output]:
        greeting = self._map.greeting
        if greeting and noise.head.startswith(greeting.begins.encode()):
            return (Reply(greeting.answer.encode() + b"\n"),)
        if noise.head[:1].decode("latin-1") in self._map.foreign or noise.first:
            return ()
        return (Rejected(f"{noise.count} bytes that are no sentence", noise.head),)

    def _facts(self, sentence: Sentence) -> Sequence[Fact]:
        if sentence.kind == "TXT" and sentence.talker != "P":
            return self._text(text_of(sentence))
        return self._epochs.take(sentence)

    def _text(self, text: str) -> Sequence[Fact]:
        for rule in self._map.texts:
            if not text.startswith(rule.prefix):
                continue
            value = text.removeprefix(rule.prefix).strip()
            return self._signal(rule, value) if rule.means == "signal" else self._description(rule.means, value)
        return ()

    def _signal(self, rule: Text, value: str) -> Sequence[Fact]:
        if value not in (*rule.on, *rule.off) or self._signals.get(rule.topic) == (value in rule.on):
            return ()
        baseline = rule.topic not in self._signals
        self._signals[rule.topic] = value in rule.on
        return (DeviceSignal(rule.topic, on=value in rule.on, source=value, baseline=baseline),)

    def _description(self, means: str, value: str) -> Sequence[Fact]:
        before = self._described
        self._described = DeviceDescribed(
            vendor=before.vendor,
            model=value if means == "model" else before.model,
            firmware=value if means == "firmware" else before.firmware,
        )
        return (self._described,) if self._described != before else ()


def describe(sentence: Sentence) -> dict[str, Any]:
    """Return a sentence as JSON values: its raw fields, and for known kinds their meaning; raises FrameInvalid."""
    found: dict[str, Any] = {
        "talker": sentence.talker,
        "type": sentence.kind,
        "checksum": sentence.checksum or None,
        "checksum_computed": sentence.computed,
        "fields": list(sentence.fields),
    }
    told = told_by(sentence)
    if told is not None:
        at = told.at
        found |= {
            "lat_deg": told.latitude_deg,
            "lon_deg": told.longitude_deg,
            "altitude_m": told.altitude_m,
            "speed_kmh": told.speed_kmh,
            "course_deg": told.course_deg,
            "fix_time": at.isoformat() if at else None,
            "fixed": told.fixed,
            "satellites": told.satellites,
            "hdop": told.hdop,
        }
    return found | extras(sentence)


def sentences_decoder(layout: NmeaMap) -> Decode:
    """Return the offline decoding; no bytes say that the connection has ended, CR LF or not.

    Sentences before a bad one are returned first; the next call raises.
    """
    lines = Lines(layout.max_chars)
    waiting: deque[bytes | Rejected] = deque()

    def decode(data: bytes) -> list[dict[str, Any]]:
        waiting.extend(item for item in lines.receive(data or b"\r\n") if not isinstance(item, Noise))
        found: list[dict[str, Any]] = []
        while waiting:
            try:
                found.append(_described(waiting[0], layout))
            except FrameInvalid:
                if found:
                    return found
                waiting.popleft()
                raise
            waiting.popleft()
        return found

    return decode


def _described(item: bytes | Rejected, layout: NmeaMap) -> dict[str, Any]:
    if isinstance(item, Rejected):
        raise FrameInvalid(item.detail)
    return describe(parse_sentence(item, demand=layout.checksum, max_chars=layout.max_chars))


def _make(profile: Profile, settings: Settings) -> Codec:
    assert isinstance(settings, NmeaSettings)
    return NmeaCodec(checked_map(profile, NmeaMap), settings.terminal, profile.vendor, profile.model)


def _decoder(profile: Profile | None) -> Decode:
    return sentences_decoder(checked_map(profile, NmeaMap) if profile else NmeaMap(checksum="none"))


DRIVER = Driver(
    name="nmea0183",
    kind="locator",
    settings=NmeaSettings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({PositionTaken, DeviceDescribed, DeviceSignal}),
    links=frozenset({"tcp", "tcp-server", "serial"}),
    decoder=_decoder,
)
