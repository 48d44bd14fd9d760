"""Pages by opaque cursor: a stable order, at most 500 rows, nothing skipped or doubled while rows are added."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import Invalid

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PageArgs:
    """What the caller asked for."""

    limit: int = 100
    cursor: str | None = None


def _args(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=1024, description="next_cursor of the page before")] = None,
) -> PageArgs:
    return PageArgs(limit, cursor)


PageQuery = Annotated[PageArgs, Depends(_args)]
"""A route parameter: `limit` (1 to 500, 100 unless told) and `cursor`."""


def encode_cursor(values: Sequence[Any]) -> str:
    """Return the opaque cursor of the last row's keys."""
    return urlsafe_b64encode(to_json(list(values))).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Return the keys in a cursor; raise Invalid unless they are of these kinds."""
    try:
        values = from_json(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list):
            values = []
        return tuple(_typed(value, kind) for value, kind in zip(values, kinds, strict=True))
    except ValueError as error:
        raise Invalid("not a cursor of this list", pointers=[("#/query/cursor", str(error))]) from error


def _typed(value: Any, kind: type) -> Any:
    if kind is datetime:
        value = datetime.fromisoformat(str(value))
        if value.tzinfo is None or not 1900 <= value.year <= 2200:
            raise ValueError("not a moment of ours")
    elif kind is int and (isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63):
        raise ValueError("not a whole number")
    elif not isinstance(value, kind):
        raise ValueError(f"not of type {kind.__name__}")
    elif isinstance(value, str) and "\0" in value:
        raise ValueError("a text has no NUL")
    return value


async def paged(
    conn: AsyncConnection,
    query: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    args: PageArgs,
    *,
    descending: bool = False,
) -> tuple[Sequence[Row[Any]], str | None]:
    """Return a page of a query and the next cursor. The keys must be selected, not null, and unique together."""
    if args.cursor is not None:
        values = decode_cursor(args.cursor, [key.type.python_type for key in keys])
        bound = tuple_(*(literal(value, key.type) for value, key in zip(values, keys, strict=True)))
        query = query.where(tuple_(*keys) < bound if descending else tuple_(*keys) > bound)
    query = query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(args.limit + 1)
    rows = (await conn.execute(query)).all()
    if len(rows) <= args.limit:
        return rows, None
    rows = rows[: args.limit]
    return rows, encode_cursor([rows[-1]._mapping[key] for key in keys])  # noqa: SLF001 (public by its documentation)
