"""What Prometheus scrapes of the live view."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.live.live import Live


class LiveCollector(Collector):
    """Reads the live view at scrape time."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        live = self._live
        viewers = GaugeMetricFamily("gatefleet_live_viewers", "Views that are open", labels=["way"])
        viewers.add_metric(["webrtc"], live.calls)
        viewers.add_metric(["pictures"], max(0, len(live.views) - live.calls))
        yield viewers
        yield GaugeMetricFamily("gatefleet_live_streams", "Cameras whose stream is played", len(live.feeds.playing))
        refused = CounterMetricFamily("gatefleet_live_refused", "Requests refused", labels=["why"])
        for why, count in sorted(live.refusals.items()):
            refused.add_metric([why.value], count)
        yield refused
        yield CounterMetricFamily("gatefleet_live_frames", "Pictures that came by RTSP", live.feeds.units)
        yield CounterMetricFamily(
            "gatefleet_live_frames_dropped", "Pictures not given to viewers who were slow", live.feeds.dropped
        )
        yield CounterMetricFamily("gatefleet_live_stills", "Still pictures given", live.pictures_given)
