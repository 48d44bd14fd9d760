"""What is wrong with the cabins of a file."""

from collections.abc import Iterator, Mapping

from drivers.cabin.layout import CabinRegisters
from edge.mistakes import Mistake
from edge.sections import CabinSection, DeviceSpec, SiteFile


def cabin_mistakes(at: str, lane: CabinSection, specs: Mapping[str, DeviceSpec]) -> Iterator[Mistake]:
    """Tell what does not fit between a cabin and its controller."""
    spec = specs.get(lane.cabin)
    made = spec.driver.make(spec.profile, spec.settings) if spec else None
    if not isinstance(made, CabinRegisters):
        return
    slowest = max(poll.interval_ms for poll in made.polls)
    if lane.timing.settle_ms <= slowest:
        why = f"{lane.timing.settle_ms} is not longer than a poll of {lane.cabin}, {slowest} ms"
        yield Mistake(f"{at}.timing.settle_ms", f"{why}: a bolt could be believed that was seen before it was told")


def seal_mistakes(file: SiteFile) -> Iterator[Mistake]:
    """Tell where a file has a cabin and nothing to seal its summaries with."""
    if not file.crypto.seal_key and any(isinstance(lane, CabinSection) for lane in file.lane):
        why = "is missing: a cabin's summaries are sealed; `gatefleet edge seal-key new FILE` makes a key"
        yield Mistake("crypto.seal_key", why)
