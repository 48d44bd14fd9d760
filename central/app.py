"""The composition root: every route, projection, subscriber and worker of central, on one screen."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from fastapi import FastAPI

from central import idempotency, partitions
from central.access.routes import authenticator
from central.access.routes import routes as key_routes
from central.access.service import Access
from central.bus import Bus
from central.config import CentralConfig, RetentionSection, read_secret
from central.db import Database, now, open_database
from central.domains import LIST_IMPORT_BYTES, build_domains
from central.duty.aging import OldPositions
from central.fleet.cabin_routes import cabin_routes
from central.fleet.orders import Commands
from central.fleet.routes import command_routes, edge_routes, lane_routes
from central.fleet.service import Fleet
from central.fleet.view_routes import camera_routes
from central.fleet.views import Cameras
from central.http import create_api
from central.ingest import Ingest
from central.metrics import Metrics
from central.mqtt import Broker
from central.operations import health_routes, operation_routes
from central.retention import OldTelemetry, Retention, Rule
from central.running import Sweep, Worker, serve
from central.schema import bring_up_when_there
from core.crypto import load_private, suite
from core.crypto.signing import SigningKey
from core.messages.signed import Signer


@dataclass(frozen=True, slots=True)
class Central:
    """All parts, wired; nothing runs yet."""

    database: Database
    bus: Bus
    ingest: Ingest
    broker: Broker
    access: Access
    fleet: Fleet
    commands: Commands
    api: FastAPI
    workers: tuple[Worker, ...]
    sweeps: tuple[Sweep, ...]
    metrics: Metrics


def build(config: CentralConfig, signer: Signer | None = None) -> Central:
    """Wire central."""
    metrics = Metrics()
    database = open_database(config.database.url)
    bus = Bus(database, metrics)
    ingest = Ingest(database, bus, metrics)
    access = Access(database)
    fleet = Fleet(database, bus, metrics)
    broker = Broker(
        config.mqtt, metrics, on_batch=ingest.offer, on_presence=fleet.presence, watermarks=ingest.watermarks
    )
    signer = signer or _signer(config)
    commands = Commands(database, bus, metrics, signer, broker.publish)
    domains = build_domains(
        database=database,
        bus=bus,
        metrics=metrics,
        signer=signer,
        suite=suite(config.crypto.suite),
        token_key=read_secret(config.crypto.token_key).encode(),
        publish=broker.publish,
        drift_rules=config.drift,
    )
    broker.when_connected(commands.connected)
    broker.when_connected(domains.publication.wake)
    fleet.register(bus)
    commands.register(bus)
    cameras = Cameras(signer)
    cameras.register(bus)
    api = create_api(
        database=database,
        authenticate=authenticator(access),
        metrics=metrics,
        version=version(),
        routers=[
            health_routes(database, metrics, lambda: broker.up),
            operation_routes(bus),
            key_routes(access),
            edge_routes(fleet, commands),
            lane_routes(fleet, commands),
            cabin_routes(fleet, commands),
            command_routes(commands),
            camera_routes(cameras),
            *domains.routers,
        ],
        body_limits={"/v1/lists/": LIST_IMPORT_BYTES},
    )
    workers = (
        Worker("mqtt", broker.run),
        Worker("ingest", lambda: ingest.run(broker.send_ack)),
        Worker("bus", bus.run),
        Worker("presence", fleet.run),
        *_command_workers(commands),
        *domains.workers,
    )
    retention = _retention(database, metrics, config.retention)
    sweeps = (*_sweeps(database, commands, ingest, access, retention), *domains.sweeps)
    return Central(database, bus, ingest, broker, access, fleet, commands, api, workers, sweeps, metrics)


def _retention(database: Database, metrics: Metrics, kept: RetentionSection) -> Retention:
    rules = (
        Rule(OldPositions(), kept.positions_days, partitions.POSITIONS),
        Rule(OldTelemetry(), kept.telemetry_days),
    )
    return Retention(database, metrics.registry, rules)


def _sweeps(
    database: Database, commands: Commands, ingest: Ingest, access: Access, retention: Retention
) -> tuple[Sweep, ...]:
    return (
        Sweep("commands", 1.0, commands.sweep),
        Sweep("held-batches", 60.0, ingest.forget_old),
        Sweep("keys-used", 60.0, access.note_used),
        Sweep("kept-answers", 3_600.0, lambda: database.run(idempotency.forget_old)),
        Sweep("partitions", 86_400.0, lambda: database.run(lambda conn: partitions.ensure_all(conn, now()))),
        Sweep("retention", 3_600.0, retention.sweep),
    )


def _command_workers(commands: Commands) -> tuple[Worker, ...]:
    return (
        Worker("commands", commands.run),
        Worker("commands-sent", commands.note_sent),
        Worker("commands-resend", commands.resend_when_connected),
    )


async def run(config: CentralConfig, *, listening: Callable[[int], None] | None = None) -> None:
    """Run central until SIGTERM or SIGINT; `listening` is told the API's port."""
    central = build(config)
    gc.freeze()  # what is there now stays: collections need not look at it again
    try:
        await bring_up_when_there(central.database, migrate=config.database.migrates)
        await serve(
            central.api, config.http, central.workers, central.sweeps, metrics=central.metrics, listening=listening
        )
    finally:
        await central.database.close()


def version() -> str:
    """Return the version of the installed distribution."""
    try:
        return installed_version("gatefleet")
    except PackageNotFoundError:
        return "0"


def _signer(config: CentralConfig) -> Signer:
    return SigningKey(load_private(read_secret(config.crypto.signing_key)))
