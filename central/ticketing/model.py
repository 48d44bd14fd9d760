"""The tables of ticketing, and the moves of a ticket."""

from enum import StrEnum
from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from central.db import Json, UtcDateTime, metadata


class State(StrEnum):
    """Where a ticket is."""

    NEW = "new"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"
    VERIFIED = "verified"
    CLOSED = "closed"
    REOPENED = "reopened"


class Verb(StrEnum):
    """What can be done with a ticket."""

    ASSIGN = "assign"
    RESOLVE = "resolve"
    VERIFY = "verify"
    CLOSE = "close"
    REOPEN = "reopen"


TRANSITIONS: Final[dict[Verb, tuple[frozenset[State], State]]] = {
    Verb.ASSIGN: (frozenset({State.NEW, State.ASSIGNED, State.REOPENED}), State.ASSIGNED),
    Verb.RESOLVE: (frozenset({State.ASSIGNED}), State.RESOLVED),
    Verb.VERIFY: (frozenset({State.RESOLVED}), State.VERIFIED),
    Verb.CLOSE: (frozenset({State.VERIFIED}), State.CLOSED),
    Verb.REOPEN: (frozenset({State.RESOLVED, State.VERIFIED, State.CLOSED}), State.REOPENED),
}
"""Verb: the states it may start from, and where it leads."""


class Channel(StrEnum):
    """How a ticket came in."""

    AUTO_ALARM = "auto_alarm"
    API = "api"


class Kind(StrEnum):
    """What a ticket is about."""

    FAULT = "fault"
    REQUEST = "request"
    COMPLAINT = "complaint"
    PATROL_FINDING = "patrol_finding"
    MAINTENANCE = "maintenance"
    SECURITY = "security"
    CONSULTATION = "consultation"
    CHANGE = "change"


class Resolution(StrEnum):
    """What ended the trouble."""

    RESET = "reset"
    RECONFIGURE = "reconfigure"
    REPAIR = "repair"
    REPLACE_PART = "replace_part"
    REPLACE_UNIT = "replace_unit"
    FIRMWARE = "firmware"
    NETWORK = "network"
    POWER = "power"
    EXTERNAL = "external"
    NO_FAULT_FOUND = "no_fault_found"
    DUPLICATE = "duplicate"


tickets: Final = Table(
    "ticket",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("code", String(20), nullable=False, unique=True),
    Column("open_key", String(256), unique=True),
    Column("dedup_key", String(256)),
    Column("kind", String(16), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("site", String(63), nullable=False),
    Column("asset", String(128)),
    Column("lane", String(64)),
    Column("fault_class", String(64)),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("priority", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    Column("reporter", String(128), nullable=False),
    Column("assignee", String(128)),
    Column("resolution_code", String(16)),
    Column("solution", Text, nullable=False),
    Column("occurrences", Integer, nullable=False),
    Column("reopened", Integer, nullable=False),
    Column("follows", String(20)),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("recovered_at", UtcDateTime),
    Column("close_proposed", Boolean, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("resolved_by", String(128)),
    Column("verified_at", UtcDateTime),
    Column("verified_by", String(128)),
    Column("closed_at", UtcDateTime),
    Column("closed_by", String(128)),
    Column("version", Integer, nullable=False),
    Index("ix_ticket_dedup_key_closed_at", "dedup_key", "closed_at"),
    Index("ix_ticket_asset", "asset"),
    Index("ix_ticket_site_id", "site", "id"),
)
"""`dedup_key` names the (asset, fault class); `open_key` is the same while the ticket is not closed, and unique: that,
not a look before the leap, is why one fault has one ticket, however many handlers see it at once."""

ticket_events: Final = Table(
    "ticket_event",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("ticket", String(26), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("was", String(16)),
    Column("state", String(16), nullable=False),
    Column("payload", Json, nullable=False),
    Index("ix_ticket_event_ticket_id", "ticket", "id"),
)
"""What happened to a ticket; append-only."""

numbers: Final = Table(
    "ticket_number",
    metadata,
    Column("day", String(8), primary_key=True),
    Column("last", Integer, nullable=False),
)

conditions: Final = Table(
    "ticket_condition",
    metadata,
    Column("asset", String(128), primary_key=True),
    Column("health", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""The health of assets as the bus told it last: a ticket does not close on a device that is still at fault."""

holds: Final = Table(
    "ticket_hold",
    metadata,
    Column("asset", String(128), primary_key=True),
    Column("fault_class", String(64), primary_key=True),
    Column("fault", Json, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Index("ix_ticket_hold_due_at", "due_at"),
)
"""Troubles that become tickets at `due_at`, unless they are over by then. A sweep finds them: no timer is lost."""
