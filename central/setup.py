"""Setting central up: the schema, keys that are not there yet, and the first API key, shown once."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from central.access import store
from central.access.model import ADMIN, ANY_SITE
from central.access.service import Access, NewKey
from central.config import CentralConfig, SecretRef, read_secret
from central.db import open_database
from central.schema import bring_up_to_date
from core.crypto import load_private, suite
from core.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was done. `api_key` is None where there are keys already."""

    migrated: bool
    made: tuple[str, ...]
    """References of the secrets that were made."""
    public_key: str
    """For `crypto.trusted_keys` of the edges."""
    api_key: str | None


async def set_up(config: CentralConfig) -> SetUp:
    """Bring everything into being that is not there yet; safe to run again."""
    crypto = suite(config.crypto.suite)
    made = tuple(
        reference
        for reference, text in (
            (config.crypto.signing_key, crypto.generate().secret_text()),
            (config.crypto.token_key, secrets.token_hex(32)),
        )
        if _make(reference, text)
    )
    public = crypto.public_of(load_private(read_secret(config.crypto.signing_key)))
    database = open_database(config.database.url)
    try:
        migrated = await bring_up_to_date(database, migrate=True)
        access = Access(database)
        key = None
        async with database.begin() as conn:
            if not await store.any_key(conn):
                _, key = await access.create(conn, NewKey("bootstrap", [ADMIN], [ANY_SITE]), by="init")
    finally:
        await database.close()
    return SetUp(migrated, made, public.text, key)


async def make_key(config: CentralConfig, new: NewKey) -> str:
    """Add an API key from the command line; return it."""
    database = open_database(config.database.url)
    try:
        async with database.begin() as conn:
            _, key = await Access(database).create(conn, new, by="command line")
    finally:
        await database.close()
    return key


def _make(reference: SecretRef, text: str) -> bool:
    """Write a secret to its file, for us alone to read, unless it is there; tell whether that was done."""
    kind, _, name = reference.partition(":")
    path = Path(name)
    if kind != "file" or path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 (the mode must be right from the start)
            file.write(text + "\n")
    except OSError as error:
        raise ConfigInvalid(f"cannot be made: {error.strerror}", place=reference) from error
    return True
