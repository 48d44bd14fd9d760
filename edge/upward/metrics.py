"""What Prometheus hears of platforms above, of facts that are told to nobody, and of stored files."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.files import FileStore
from edge.upward.ground import Standing
from edge.upward.platforms import Platforms

_GAUGES: Final[tuple[tuple[str, str, Callable[[Standing], float]], ...]] = (
    ("gatefleet_platform_registered", "1 while the platform above has registered us", lambda now: int(now.registered)),
    ("gatefleet_platform_waiting_objects", "Objects that wait for it", lambda now: now.waiting),
    ("gatefleet_platform_stored_bytes", "What they take on the disk", lambda now: now.stored_bytes),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[Standing], float]], ...]] = (
    ("gatefleet_platform_delivered_objects", "Objects that it has taken", lambda now: now.delivered),
    ("gatefleet_platform_refused_objects", "Objects that it refused for good: set aside", lambda now: now.set_aside),
    ("gatefleet_platform_dropped_pictures", "Pictures given up for want of room", lambda now: now.pictures_dropped),
    ("gatefleet_platform_lost_objects", "Objects given up for want of room", lambda now: now.objects_lost),
)


class UpwardCollector(Collector):
    """Reads platforms, untold facts and files at scrape time."""

    def __init__(
        self, platforms: Platforms, untold: Counter[str], files: FileStore, wall: Callable[[], datetime]
    ) -> None:
        self._platforms = platforms
        self._untold = untold
        self._files = files
        self._wall = wall

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._of_platforms()
        untold = CounterMetricFamily("gatefleet_facts_untold", "Facts that became no event", labels=["fact"])
        for fact, count in list(self._untold.items()):
            untold.add_metric([fact], count)
        yield untold
        files = self._files
        yield GaugeMetricFamily("gatefleet_media_bytes", "Pictures and sounds of devices on the disk", files.bytes)
        yield CounterMetricFamily("gatefleet_media_files", "Files that were stored", files.counts.put)
        yield CounterMetricFamily("gatefleet_media_dropped_files", "Given up for want of room", files.counts.dropped)

    def _of_platforms(self) -> Iterator[Metric]:
        standings = {name: self._platforms.standing(name) for name in self._platforms.all}
        for name, help_, value in _GAUGES:
            gauge = GaugeMetricFamily(name, help_, labels=["platform"])
            for platform, now in standings.items():
                gauge.add_metric([platform], value(now))
            yield gauge
        for name, help_, value in _COUNTERS:
            counter = CounterMetricFamily(name, help_, labels=["platform"])
            for platform, now in standings.items():
                counter.add_metric([platform], value(now))
            yield counter
        offsets = GaugeMetricFamily(
            "gatefleet_platform_clock_offset_seconds", "Its clock less ours", labels=["platform"]
        )
        for platform, now in standings.items():
            if now.clock_offset_s is not None:
                offsets.add_metric([platform], now.clock_offset_s)
        yield offsets
        oldest = GaugeMetricFamily(
            "gatefleet_platform_oldest_seconds", "How long the oldest object waits", labels=["platform"]
        )
        wall = self._wall()
        for platform, now in standings.items():
            oldest.add_metric([platform], (wall - now.oldest).total_seconds() if now.oldest else 0.0)
        yield oldest
