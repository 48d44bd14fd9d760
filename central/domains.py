"""The domains, wired: each meets the others only through the bus."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from central.bus import Bus
from central.clearance import passed as clearance_passed
from central.clearance.boarding_routes import routes as boarding_routes
from central.clearance.boardings import Boardings
from central.clearance.delivery import Deliveries
from central.clearance.evaluation import Evaluation
from central.clearance.identities import Identities
from central.clearance.list_routes import routes as list_routes
from central.clearance.lists import Lists
from central.clearance.publication import Publication, PublicationSettings, Publish
from central.clearance.routes import routes as clearance_routes
from central.clearance.seal_routes import routes as seal_routes
from central.clearance.service import Records
from central.clearance.vehicle_routes import routes as vehicle_routes
from central.clearance.vehicles import Vehicles
from central.db import Database
from central.duty.routes import routes as duty_routes
from central.duty.service import Duty
from central.equipment.routes import routes as equipment_routes
from central.equipment.service import Equipment
from central.flow.drift import Drifts
from central.flow.routes import routes as flow_routes
from central.flow.service import Flow
from central.metrics import Metrics
from central.running import Sweep, Worker
from central.ticketing.alarms import Alarms, AlarmSettings
from central.ticketing.routes import routes as ticketing_routes
from central.ticketing.service import Tickets
from core.crypto import Suite
from core.drift import DriftRule
from core.messages.signed import Signer

LIST_IMPORT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Domains:
    """What the composition root runs of them."""

    publication: Publication
    routers: tuple[APIRouter, ...]
    workers: tuple[Worker, ...]
    sweeps: tuple[Sweep, ...]


def build_domains(
    *,
    database: Database,
    bus: Bus,
    metrics: Metrics,
    signer: Signer,
    suite: Suite,
    token_key: bytes,
    publish: Publish,
    publication_settings: PublicationSettings | None = None,
    alarm_settings: AlarmSettings | None = None,
    drift_rules: Sequence[DriftRule] = (),
) -> Domains:
    """Wire clearance, equipment, ticketing, duty and flow, and register them with the bus."""
    identities = Identities(suite=suite, token_key=token_key)
    publication = Publication(
        database, signer, suite.hash, publish, metrics, publication_settings or PublicationSettings()
    )
    lists = Lists(database, identities, changed=publication.wake)
    evaluation = Evaluation(database, identities)
    tickets = Tickets(bus)
    alarms = Alarms(database, tickets, alarm_settings or AlarmSettings())
    equipment = Equipment(bus)
    boardings, duty = Boardings(bus), Duty()
    drifts = Drifts(
        database, bus, metrics, drift_rules, passed=clearance_passed.persons, told_until=clearance_passed.told_until
    )
    records = (Records(bus), Vehicles(bus), boardings, Deliveries(bus, due=publication.wake))
    for part in (*records, equipment, alarms, duty, Flow()):
        part.register(bus)
    return Domains(
        publication=publication,
        routers=(
            clearance_routes(evaluation),
            vehicle_routes(),
            boarding_routes(boardings),
            seal_routes(),
            list_routes(lists),
            equipment_routes(equipment),
            ticketing_routes(tickets),
            duty_routes(duty),
            flow_routes(drifts),
        ),
        workers=(Worker("lists", lambda: publication.run(lists.tidy)),),
        sweeps=(Sweep("ticket-holds", 1.0, alarms.sweep), Sweep("count-drift", 300.0, drifts.sweep)),
    )
