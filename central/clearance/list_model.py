"""The tables of the lists: what stands on them, what was signed, what reached the edges, and who did it."""

from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from central.db import Json, UtcDateTime, metadata

ANY_SITE: Final = "*"


class EntryState(StrEnum):
    """Where an entry is; only `active` ones travel."""

    DRAFT = "draft"
    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class EntryVerb(StrEnum):
    """What can be done with an entry."""

    SUBMIT = "submit"
    APPROVE = "approve"
    SUSPEND = "suspend"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


_LIVE: Final = frozenset({EntryState.DRAFT, EntryState.PENDING, EntryState.ACTIVE, EntryState.SUSPENDED})

TRANSITIONS: Final[dict[EntryVerb, tuple[frozenset[EntryState], EntryState]]] = {
    EntryVerb.SUBMIT: (frozenset({EntryState.DRAFT, EntryState.SUSPENDED}), EntryState.PENDING),
    EntryVerb.APPROVE: (frozenset({EntryState.PENDING}), EntryState.ACTIVE),
    EntryVerb.SUSPEND: (frozenset({EntryState.ACTIVE}), EntryState.SUSPENDED),
    EntryVerb.WITHDRAW: (_LIVE, EntryState.WITHDRAWN),
    EntryVerb.EXPIRE: (_LIVE, EntryState.EXPIRED),
}
"""Verb: the states it may start from, and where it leads."""

lists: Final = Table(
    "clearance_list",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("effect", String(20), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("owner_org", String(128), nullable=False),
    Column("two_person_rule", Boolean, nullable=False),
    Column("sites", Json, nullable=False),
    Column("content_version", BigInteger, nullable=False),
    Column("content_entries", Integer, nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("built_changes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("updated_by", String(128), nullable=False),
    Column("version", Integer, nullable=False),
)
"""`content_version` is that of the newest snapshot (0: none yet). `changes` counts what happened to the content, and
`built_changes` how much of it a snapshot has: where they differ a newer one is due."""

entries: Final = Table(
    "list_entry",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("list_id", String(64), nullable=False),
    Column("token", String(64), nullable=False),
    Column("token_kind", String(16), nullable=False),
    Column("state", String(12), nullable=False),
    Column("person_class", String(64)),
    Column("reason_code", String(64), nullable=False),
    Column("reason_text", String(1000), nullable=False),
    Column("level", String(1)),
    Column("legal_basis", String(500), nullable=False),
    Column("valid_from", UtcDateTime),
    Column("valid_to", UtcDateTime),
    Column("source_system", String(64), nullable=False),
    Column("source_ref", String(128), nullable=False),
    Column("sealed", LargeBinary),
    Column("seal_key", String(64)),
    Column("requested_by", String(128), nullable=False),
    Column("requested_key", String(26), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("approved_by", String(128)),
    Column("approved_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("since_change", BigInteger),
    Column("first_version", BigInteger),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("updated_by", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_list_entry_list_id_state", "list_id", "state"),
    Index("ix_list_entry_list_id_id", "list_id", "id"),
    Index("ix_list_entry_token", "token"),
    Index("ix_list_entry_valid_to", "valid_to"),
)
"""No natural identifier: the token, and where asked an envelope that only the seal key opens.

`since_change` is the list's count when it became active, `first_version` the first content that had it since then,
`ended_at` when it last ceased to be active.
"""

snapshots: Final = Table(
    "list_snapshot",
    metadata,
    Column("list_id", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("entries", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("delta", LargeBinary),
    Column("delta_from", BigInteger, nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("built_at", UtcDateTime, nullable=False),
)
"""`content` and `delta` are the bytes that travel, signature included; `digest` is the suite's hash of `content`."""

list_edges: Final = Table(
    "list_edge",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("announced_at", UtcDateTime),
)
"""Who is told about lists, and how often it was told."""

deliveries: Final = Table(
    "list_delivery",
    metadata,
    Column("list_id", String(64), primary_key=True),
    Column("edge", String(127), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("version", BigInteger),
    Column("entries", Integer),
    Column("applied_at", UtcDateTime),
    Column("refused_version", BigInteger),
    Column("refused_code", String(64)),
    Column("refused_detail", String(500)),
    Column("refused_at", UtcDateTime),
    Column("position", BigInteger, nullable=False),
)
"""What is in force at an edge, and what it refused since then."""

audit: Final = Table(
    "list_audit",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("list_id", String(64), nullable=False),
    Column("entry", String(26)),
    Column("action", String(16), nullable=False),
    Column("outcome", String(24), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("key_id", String(26), nullable=False),
    Column("requested_by", String(128)),
    Column("reason", String(1000), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_list_audit_list_id_id", "list_id", "id"),
)
"""Append-only: who did what; with an approval both names stand in one row."""
