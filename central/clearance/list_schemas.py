"""What the API says about lists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row

from central.clearance.list_model import ANY_SITE, EntryState
from central.clearance.lists import ItemResult, NewEntry, NewList
from central.columns import Moment, Word
from core.clearance.model import ListEffect
from core.identity.tokens import TokenKind

LIST_ID = r"^[a-z0-9][a-z0-9-]{0,62}$"
_ENTRY_ID = r"^[0-9A-Z]{26}$"
_SITE = r"^(\*|[a-z0-9][a-z0-9-]{0,62})$"
_NOT_STORED_AS_GIVEN = {"identifier", "kind", "keep_sealed", "draft"}

EntryId = Annotated[str, Field(pattern=_ENTRY_ID)]
Site = Annotated[str, Field(pattern=_SITE)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class ListIn(_In):
    """A list to make. Refuse lists always have the two-person rule, others if wanted."""

    list_id: str = Field(pattern=LIST_ID)
    effect: ListEffect
    priority: int = Field(default=100, ge=0, le=10_000, description="Smaller goes first")
    owner_org: Word = Field(default="", max_length=128)
    two_person_rule: bool | None = None
    sites: list[Site] = Field(default=[ANY_SITE], min_length=1, max_length=256, description="Site ids, or * for all")

    def new_list(self) -> NewList:
        """Return it as the service takes it."""
        refuse = self.effect is ListEffect.REFUSE
        rule = refuse if self.two_person_rule is None else self.two_person_rule
        return NewList(self.list_id, self.effect, self.priority, self.owner_org, rule, self.sites)


class ListChange(_In):
    """What shall be another from now on; what is not given stays."""

    priority: int | None = Field(default=None, ge=0, le=10_000)
    owner_org: Word | None = Field(default=None, max_length=128)
    two_person_rule: bool | None = None
    sites: list[Site] | None = Field(default=None, min_length=1, max_length=256)

    def values(self) -> dict[str, Any]:
        """Return what changes."""
        return self.model_dump(exclude_none=True)


class EntryIn(_In):
    """Somebody to put on a list. The identifier is made a token at once and not kept, unless `keep_sealed`."""

    identifier: str = Field(min_length=1, max_length=512, repr=False)
    kind: TokenKind | None = Field(default=None, description="Found by the identifier's shape if not given")
    keep_sealed: bool = Field(default=False, description="Keep the identifier in an encrypted envelope")
    draft: bool = Field(default=False, description="Not to be approved yet")
    person_class: str | None = Field(default=None, pattern=r"^[a-z0-9_-]{1,64}$")
    reason_code: Word = Field(default="", max_length=64)
    reason_text: Word = Field(default="", max_length=1000)
    level: Literal["A", "B", "C", "D", "E"] | None = None
    legal_basis: Word = Field(default="", max_length=500)
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    source_system: Word = Field(default="", max_length=64)
    source_ref: Word = Field(default="", max_length=128)

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is after valid_from")
        return self

    def new_entry(self) -> NewEntry:
        """Return it as the service takes it."""
        facts = self.model_dump(exclude=_NOT_STORED_AS_GIVEN)
        return NewEntry(self.identifier, self.kind, self.keep_sealed, self.draft, facts)


class ImportIn(_In):
    """Entries in bulk, each for itself."""

    items: list[EntryIn] = Field(min_length=1, max_length=5_000)
    dry_run: bool = False


class ReasonIn(_In):
    """Why."""

    reason: Word = Field(default="", max_length=1000)


class BulkIn(ReasonIn):
    """Entries to move."""

    ids: list[EntryId] = Field(min_length=1, max_length=5_000)


class EntryFilter(BaseModel):
    """Which entries; what is not given is any."""

    model_config = ConfigDict(extra="ignore")

    state: EntryState | None = None
    token: Word | None = Field(default=None, max_length=64)


EntryQuery = Annotated[EntryFilter, Query()]


class ListOut(BaseModel):
    """A list. `content_version` is the newest that edges are told of; 0: none yet."""

    list_id: str
    effect: ListEffect
    priority: int
    owner_org: str
    two_person_rule: bool
    sites: list[str]
    content_version: int
    content_entries: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str

    @classmethod
    def of(cls, row: Row[Any]) -> "ListOut":
        """Return a row as the API shows it."""
        names = cls.model_fields.keys() - {"list_id"}
        return cls.model_validate({name: getattr(row, name) for name in names} | {"list_id": row.id})


class EntryOut(BaseModel):
    """An entry, without who it is in the clear."""

    id: str
    list_id: str
    token: str
    token_kind: TokenKind
    state: EntryState
    person_class: str | None
    reason_code: str
    reason_text: str
    level: str | None
    legal_basis: str
    valid_from: datetime | None
    valid_to: datetime | None
    source_system: str
    source_ref: str
    kept_sealed: bool
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    ended_at: datetime | None
    first_version: int | None
    version: int

    @classmethod
    def of(cls, row: Row[Any]) -> "EntryOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields.keys() - {"kept_sealed"}}
        return cls.model_validate(told | {"kept_sealed": row.sealed is not None})


class ItemOut(BaseModel):
    """What became of one item: its entry and state, or why not."""

    index: int
    id: str | None
    state: EntryState | None
    problem: str | None = None
    detail: str = ""

    @classmethod
    def of(cls, result: ItemResult) -> "ItemOut":
        """Return a result as the API shows it."""
        error = result.error
        problem, detail = (f"/problems/{error.code}", error.detail) if error is not None else (None, "")
        return cls.model_validate(
            {"index": result.index, "id": result.entry, "state": result.state, "problem": problem, "detail": detail}
        )


class BulkOut(BaseModel):
    """What became of each item, and how many went well."""

    done: int
    refused: int
    items: list[ItemOut]

    @classmethod
    def of(cls, results: Sequence[ItemResult]) -> "BulkOut":
        """Return results as the API shows them."""
        items = [ItemOut.of(one) for one in results]
        refused = sum(item.problem is not None for item in items)
        return cls(done=len(items) - refused, refused=refused, items=items)


class RevealOut(BaseModel):
    """Who it is."""

    identifier: str


class SnapshotOut(BaseModel):
    """A version of a list's content, signed."""

    version: int
    entries: int
    digest: str
    size: int
    delta_from: int
    key_id: str
    built_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "SnapshotOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class DeliveryOut(BaseModel):
    """What an edge has of a list; `version` null: it never said. `refused_*`: what it would not take since."""

    edge: str
    site: str
    current_version: int
    version: int | None
    entries: int | None
    applied_at: datetime | None
    announced_at: datetime | None
    refused_version: int | None
    refused_code: str | None
    refused_detail: str | None
    refused_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any], current_version: int) -> "DeliveryOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields.keys() - {"current_version"}}
        return cls.model_validate(told | {"current_version": current_version})


class AuditOut(BaseModel):
    """One row of a list's audit."""

    id: str
    at: datetime
    entry: str | None
    action: str
    outcome: str
    actor: str
    requested_by: str | None
    reason: str
    detail: str

    @classmethod
    def of(cls, row: Row[Any]) -> "AuditOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
