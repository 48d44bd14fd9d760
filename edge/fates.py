"""What becomes of each fact that a driver declares: none vanishes without being told or counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fate(StrEnum):
    """What becomes of a fact at an edge."""

    EVENT = "event"
    """An event of its own."""
    TOLD = "told"
    """`DeviceTold`, in its driver's words: it names no person and no car."""
    LANE = "lane"
    """Its lane's business; of a device that serves none it is counted."""
    HEALTH = "health"
    """A finding of its device; what tells nothing of that is counted."""
    ELSEWHERE = "elsewhere"
    """What it says is told by something else."""
    KEPT_HERE = "kept_here"
    """Stays here, and is counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """What becomes of one fact; `by` names the event, or says why there is none."""

    fate: Fate
    by: str


FATES: Final[Mapping[str, Row]] = {
    "BarrierSeen": Row(Fate.LANE, "the vehicle lane's events"),
    "CabinObserved": Row(Fate.LANE, "the cabin's events"),
    "CalibrationStated": Row(Fate.TOLD, "DeviceTold"),
    "CommandAnswered": Row(Fate.TOLD, "DeviceTold"),
    "CredentialRead": Row(Fate.LANE, "PassageDecided and what follows; the text is a natural identifier"),
    "DeskReported": Row(Fate.TOLD, "DeviceTold"),
    "DeviceDescribed": Row(Fate.EVENT, "DeviceSeen, or TerminalSeen of one of many"),
    "DeviceRestarted": Row(Fate.TOLD, "DeviceTold"),
    "DeviceSignal": Row(Fate.HEALTH, "a finding where it is an alarm; the others, such as motion, are counted"),
    "DisplayAnswered": Row(Fate.HEALTH, "a finding of the display where it refuses what it is to show"),
    "FaceCompared": Row(Fate.LANE, "the cabin's events"),
    "FaceSeen": Row(Fate.EVENT, "PictureTaken"),
    "GateObserved": Row(Fate.LANE, "the passenger lane's events"),
    "KeptAlive": Row(Fate.ELSEWHERE, "the device's health"),
    "LicenceTold": Row(Fate.TOLD, "DeviceTold"),
    "Measured": Row(Fate.EVENT, "DeviceMeasured"),
    "MediaAnnounced": Row(Fate.TOLD, "DeviceTold"),
    "MediaReceived": Row(Fate.EVENT, "MediaTaken, once the file is on the disk"),
    "NonMotorVehicleSeen": Row(Fate.EVENT, "PictureTaken; its plate stays here"),
    "ParametersAnswered": Row(Fate.TOLD, "DeviceTold, without logins, telephone numbers and the plate"),
    "PassthroughReceived": Row(Fate.KEPT_HERE, "bytes of which nobody here knows whom they name"),
    "PeopleCounted": Row(Fate.EVENT, "PeopleCountReported"),
    "PersonSeen": Row(Fate.EVENT, "PictureTaken"),
    "PictureSent": Row(Fate.EVENT, "PictureTaken"),
    "PlateRead": Row(Fate.EVENT, "the vehicle lane's events, or RoadPlateSeen"),
    "PointDoubtful": Row(Fate.HEALTH, "the finding `doubtful`"),
    "PointTrusted": Row(Fate.HEALTH, "the finding `doubtful` is over"),
    "PositionTaken": Row(Fate.EVENT, "PositionReported"),
    "RecordingsUploaded": Row(Fate.TOLD, "DeviceTold"),
    "SipRead": Row(Fate.KEPT_HERE, "offline decoding only"),
    "SlotChanged": Row(Fate.TOLD, "DeviceTold"),
    "StreamJudged": Row(Fate.ELSEWHERE, "the finding `stream_silent`"),
    "SubscriptionAsked": Row(Fate.KEPT_HERE, "a platform subscribes where its own table says, not at a camera's place"),
    "SubscriptionEnded": Row(Fate.KEPT_HERE, "as SubscriptionAsked"),
    "SystemLeft": Row(Fate.KEPT_HERE, "the device's health shows when it is silent"),
    "SystemRegistered": Row(Fate.KEPT_HERE, "the device's health shows that it answers"),
    "TerminalAuthenticated": Row(Fate.ELSEWHERE, "TerminalSeen"),
    "TerminalLeft": Row(Fate.ELSEWHERE, "TerminalSeen"),
    "TerminalRegistered": Row(Fate.ELSEWHERE, "TerminalSeen, once it has shown its code; its plate stays here"),
    "TextTold": Row(Fate.TOLD, "DeviceTold"),
    "TimeAsked": Row(Fate.ELSEWHERE, "answered at once"),
    "UpgradeAnswered": Row(Fate.TOLD, "DeviceTold"),
}
"""By the name of the fact's class, so that no driver is imported for it."""


def is_untold(fact: str, *, in_lane: bool) -> bool:
    """Tell whether a fact that became no event is to be counted as untold."""
    row = FATES.get(fact)
    return row is None or not (row.fate is Fate.ELSEWHERE or (row.fate is Fate.LANE and in_lane))
