"""A time server: how far the edge's clock is from it, and whether it is to be believed."""

from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.facts import DeviceSignal, Fact, Measured
from drivers.ntp.packet import LENGTH, Exchange, read_packet
from drivers.profile import Profile, checked_map

__all__ = ["DRIVER", "NtpMap", "NtpSettings", "NtpWords", "Verdict"]


class NtpSettings(Settings):
    """What one server's entry in the config may set."""

    interval_s: float = Field(default=64.0, ge=0.05, le=86_400.0)
    timeout_ms: int = Field(default=1500, ge=50, le=30_000)


class NtpMap(BaseModel):
    """The `map` of a server's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit_ms: float = Field(default=100.0, gt=0)
    """An offset beyond this is a signal."""
    release_ms: float = Field(default=50.0, gt=0)
    """Below this it is none any more."""
    max_stratum: int = Field(default=15, ge=1, le=15)
    """A server farther from its source is not believed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was told of a server last; None where nothing was."""

    unsynchronised: bool | None = None
    problem: str = ""
    far: bool | None = None


@dataclass(frozen=True, slots=True)
class NtpWords:
    """What a server's answers mean: its profile and its settings."""

    map: NtpMap
    settings: NtpSettings

    def judged(self, before: Verdict, exchange: Exchange) -> tuple[Verdict, tuple[Fact, ...]]:
        """Return the verdict after one more answer, and the facts. The offset of a server in doubt is not told."""
        problem = exchange.problem
        if not problem and exchange.packet.stratum > self.map.max_stratum:
            problem = "stratum"
        facts: list[Fact] = []
        bad = bool(problem)
        if (bad, problem) != (before.unsynchronised, before.problem):
            baseline = before.unsynchronised is None
            facts.append(DeviceSignal("unsynchronised", bad, problem, baseline))
        if bad:
            return Verdict(bad, problem, before.far), tuple(facts)
        offset_ms = exchange.offset_s * 1000
        far = abs(offset_ms) > (self.map.release_ms if before.far else self.map.limit_ms)
        if far is not before.far:
            facts.append(DeviceSignal("offset_large", far, baseline=before.far is None))
        readings = {"offset_ms": offset_ms, "delay_ms": exchange.delay_s * 1000}
        facts.append(Measured({**readings, "stratum": float(exchange.packet.stratum)}))
        return Verdict(bad, "", far), tuple(facts)


class _Packets:
    """Decodes packets without extensions, in any cut."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return the packets that are whole; raise FrameInvalid."""
        self._rest += data
        found = []
        while len(self._rest) >= LENGTH:
            whole, self._rest = self._rest[:LENGTH], self._rest[LENGTH:]
            found.append(read_packet(whole).as_dict())
        return found


def _make(profile: Profile, settings: Settings) -> PushParser:
    assert isinstance(settings, NtpSettings)
    # Neither a stream nor registers nor a push: its link takes the words themselves.
    return cast("PushParser", NtpWords(checked_map(profile, NtpMap), settings))


def _decoder(profile: Profile | None) -> Decode:  # noqa: ARG001 packets are the standard's, not a model's
    return _Packets()


DRIVER = Driver(
    name="ntp",
    kind="time",
    settings=NtpSettings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({DeviceSignal, Measured}),
    links=frozenset({"ntp"}),
    decoder=_decoder,
)
