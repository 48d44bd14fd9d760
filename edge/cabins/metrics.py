"""What Prometheus sees of cabins: how visits end, and how long their steps take."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from core.messages.cabin_events import CabinAnomaly, PassengerHeld, PassengerLeft, PassengerRuled, PassengerVerified
from edge.lanes.cabin_words import Step

_BUCKETS_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class CabinMetrics:
    """The instruments of a daemon's cabins. No token, flight or attempt is a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._visits = Counter(
            "gatefleet_cabin_visits",
            "Outcomes of visits to cabins, as they come",
            ["lane", "outcome"],
            registry=registry,
        )
        self._holds = Counter("gatefleet_cabin_holds", "Why passengers were held", ["lane", "why"], registry=registry)
        self._anomalies = Counter("gatefleet_cabin_anomalies", "Anomalies", ["lane", "kind"], registry=registry)
        self._steps = Histogram(
            "gatefleet_cabin_step_seconds",
            "How long steps took",
            ["lane", "step"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._late = Counter(
            "gatefleet_cabin_ignored",
            "Documents and faces that came when none was wanted, twice, or too old",
            ["lane"],
            registry=registry,
        )

    def event(self, event: object) -> None:
        """Count an event of a cabin."""
        match event:
            case PassengerVerified(lane=lane):
                self._visits.labels(lane, "verified").inc()
            case PassengerHeld(lane=lane, why=why):
                self._visits.labels(lane, "held").inc()
                self._holds.labels(lane, why.value).inc()
            case PassengerRuled(lane=lane, ruling=ruling):
                self._visits.labels(lane, f"officer_{ruling.value}").inc()
            case PassengerLeft(lane=lane):
                self._visits.labels(lane, "left").inc()
            case CabinAnomaly(lane=lane, kind=kind):
                self._anomalies.labels(lane, kind.value).inc()
            case _:
                pass

    def stepped(self, lane: str, step: Step, seconds: float) -> None:
        """Observe how long a step took."""
        self._steps.labels(lane, step.value).observe(seconds)

    def ignored(self, lane: str, count: int) -> None:
        """Count what was ignored."""
        self._late.labels(lane).inc(count)
