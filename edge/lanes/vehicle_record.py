"""The events of a vehicle lane, made of what it knows, and its own word in a decision; plates become tokens here."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from core.clearance.model import Decision, Direction, Effect, Reason, ReasonCode
from core.messages.events import LaneMode
from core.messages.vehicle_events import (
    VehicleAnomaly,
    VehicleAnomalyKind,
    VehicleCleared,
    VehicleDecided,
    VehiclePassedFree,
    VehicleTimedOut,
)
from edge.lanes.reads import Gone
from edge.lanes.vehicle_words import FUZZY_RULE, Judged, VehicleOpen
from edge.lanes.votes import Verdict, tokens_of


@dataclass(frozen=True, slots=True)
class Post:
    """Where a lane is and how it makes tokens: what every event of it says."""

    lane: str
    direction: Direction
    tokenise: Callable[[str], str]
    channel: str = ""
    barrier: int = 1

    def tokens(self, plates: Verdict) -> tuple[str, ...]:
        """Return the tokens of a vehicle's plates, the surest first."""
        return tokens_of(plates.texts, self.tokenise)

    def release(self, attempt: str, direction: Direction, plates: Verdict) -> VehicleOpen:
        """Return the release of a vehicle."""
        tokens = self.tokens(plates)
        return VehicleOpen(
            attempt=attempt,
            direction=direction,
            plate_token=_first(tokens),
            plate_tokens=tokens,
            confidence=plates.confidence,
        )

    def decided(self, judged: Judged, plates: Verdict, device: str) -> VehicleDecided:
        """Return what was decided."""
        decision, tokens = judged.decision, self.tokens(plates)
        return VehicleDecided(
            lane=self.lane,
            attempt=judged.attempt,
            device=device,
            channel=self.channel,
            barrier=self.barrier,
            direction=self.direction,
            plate_token=_first(tokens),
            plate_tokens=tokens,
            plate_regions=tuple(str(one.plate.region or "") for one in plates.plates),
            reads=plates.reads,
            empty_reads=plates.empty,
            confidence=plates.confidence,
            fuzzy=judged.fuzzy,
            effect=decision.effect,
            reasons=(*decision.reasons, *decision.alerts),
            ruleset_version=decision.ruleset_version,
            list_versions=dict(decision.list_versions),
            latency_ms=judged.latency_ms,
            offline=judged.offline,
        )

    def cleared(self, held: VehicleOpen, now_ms: int) -> VehicleCleared:
        """Return that a released vehicle is through."""
        return VehicleCleared(
            lane=self.lane,
            attempt=held.attempt,
            channel=self.channel,
            barrier=self.barrier,
            direction=held.direction,
            plate_token=held.plate_token,
            plate_tokens=held.plate_tokens,
            confidence=held.confidence,
            opened_ms=held.opened_ms,
            duration_ms=0 if held.recovered else max(0, now_ms - held.opened_at),
            recovered=held.recovered,
        )

    def timed_out(self, held: VehicleOpen) -> VehicleTimedOut:
        """Return that a release was not used."""
        return VehicleTimedOut(
            lane=self.lane,
            attempt=held.attempt,
            channel=self.channel,
            barrier=self.barrier,
            plate_token=held.plate_token,
            recovered=held.recovered,
        )

    def anomaly(
        self,
        kind: VehicleAnomalyKind,
        direction: Direction,
        *,
        attempt: str | None = None,
        tokens: tuple[str, ...] = (),
        others: tuple[str, ...] = (),
    ) -> VehicleAnomaly:
        """Return what went wrong."""
        return VehicleAnomaly(
            lane=self.lane,
            kind=kind,
            channel=self.channel,
            barrier=self.barrier,
            attempt=attempt,
            direction=direction,
            plate_token=_first(tokens),
            plate_tokens=tokens,
            other_tokens=others,
        )

    def anomaly_of(self, held: VehicleOpen, kind: VehicleAnomalyKind) -> VehicleAnomaly:
        """Return what went wrong while a released vehicle passed."""
        return self.anomaly(kind, held.direction, attempt=held.attempt, tokens=held.plate_tokens)

    def mismatch(self, gone: Gone, rear: Verdict) -> VehicleAnomaly:
        """Return that the rear of a cleared vehicle bears another plate than its front."""
        kind, others = VehicleAnomalyKind.PLATE_MISMATCH, self.tokens(rear)
        return self.anomaly(kind, self.direction, attempt=gone.attempt, tokens=gone.tokens, others=others)

    def passed_free(self, direction: Direction, mode: LaneMode, tokens: tuple[str, ...] = ()) -> VehiclePassedFree:
        """Return that a vehicle passed in a free mode."""
        return VehiclePassedFree(
            lane=self.lane,
            channel=self.channel,
            barrier=self.barrier,
            direction=direction,
            mode=mode,
            plate_token=_first(tokens),
            plate_tokens=tokens,
        )


def undurable(decided: VehicleDecided, *, opens: bool) -> VehicleDecided:
    """Return the decision as it stands where it cannot be made durable."""
    if decided.effect is not Effect.RELEASE or opens:
        return decided.model_copy(update={"unrecorded": True})
    reasons = (*because(ReasonCode.NO_RECORD, Effect.REFUSE), *decided.reasons)
    return decided.model_copy(update={"effect": Effect.REFUSE, "reasons": reasons, "unrecorded": True})


def because(code: ReasonCode, effect: Effect) -> tuple[Reason, ...]:
    """Return the ground that the lane itself gives."""
    return (Reason(code=code, rule_id=f"lane.{code.value}", effect=effect.value),)


def _first(tokens: tuple[str, ...]) -> str:
    return tokens[0] if tokens else ""


def lane_says(decision: Decision, mode: LaneMode, *, blind: bool) -> Decision:
    """Return what the lane makes of a decision; `blind` where its barrier or its line was not seen yet."""
    if mode is LaneMode.LOCKED:
        return replace(decision, effect=Effect.REFUSE, reasons=because(ReasonCode.LANE_LOCKED, Effect.REFUSE))
    if blind:
        hold = Effect.HOLD_MANUAL
        return replace(decision, effect=hold, reasons=(*because(ReasonCode.GATE_SILENT, hold), *decision.reasons))
    grounds = [reason for reason in decision.reasons if reason.effect == Effect.REFUSE]
    if decision.effect is Effect.REFUSE and grounds and all(one.rule_id.startswith(FUZZY_RULE) for one in grounds):
        return replace(decision, effect=Effect.DIVERT_SECONDARY)
    return decision
