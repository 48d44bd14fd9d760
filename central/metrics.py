"""What central counts and measures, `gatefleet_<noun>_<unit>[_total]`; no plate, token or ticket id in a label."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The instruments of the platform; a domain registers its own in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        made = self.registry
        self.events = Counter(
            "gatefleet_ingest_events_total",
            "Events by what became of them: stored, duplicate, unknown, invalid, projection_failed",
            ["outcome"],
            registry=made,
        )
        self.batches = Counter(
            "gatefleet_ingest_batches_total",
            "Batches by what became of them: applied, duplicate, held, shed, refused, retried",
            ["outcome"],
            registry=made,
        )
        self.missing = Counter(
            "gatefleet_ingest_missing_entries_total",
            "Entries that no edge has any more and central has not: it was set back",
            ["stream"],
            registry=made,
        )
        self.ingest_commit = Histogram(
            "gatefleet_ingest_commit_seconds", "From a group's start to its commit", buckets=_FAST, registry=made
        )
        self.event_lag = Histogram(
            "gatefleet_event_lag_seconds",
            "From an event's corrected time to its commit, one sample a batch",
            buckets=(*_FAST, 60.0, 600.0, 3600.0, 86400.0),
            registry=made,
        )
        self.held_bytes = Gauge("gatefleet_ingest_held_bytes", "Batches waiting for a hole to be filled", registry=made)
        self.queued_bytes = Gauge("gatefleet_ingest_queued_bytes", "Batches not yet looked at", registry=made)
        self.mqtt_connected = Gauge("gatefleet_mqtt_connected", "1 while the broker has us", registry=made)
        self.mqtt_refused = Counter(
            "gatefleet_mqtt_refused_total", "Messages that are not of docs/wire.md", registry=made
        )
        self.edges_online = Gauge("gatefleet_edges_online", "Edges that said so last", ["site"], registry=made)
        self.deliveries = Counter(
            "gatefleet_bus_deliveries_total",
            "Deliveries by subscriber and outcome: done, failed, parked",
            ["subscriber", "outcome"],
            registry=made,
        )
        self.bus_parked = Gauge("gatefleet_bus_parked_messages", "Messages given up on", registry=made)
        self.commands = Counter(
            "gatefleet_commands_total", "Commands by verb and final state", ["verb", "state"], registry=made
        )
        self.command_seconds = Histogram(
            "gatefleet_command_seconds", "From the order to its final state", buckets=_FAST, registry=made
        )
        self.requests = Histogram(
            "gatefleet_http_request_seconds",
            "Requests by method, route and status class",
            ["method", "route", "status"],
            buckets=_FAST,
            registry=made,
        )
        self.task_failures = Counter(
            "gatefleet_task_failures_total", "Failures at a task's outermost frame", ["task"], registry=made
        )
