"""Who may do what, where: API keys, their scopes and sites."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Integer, String, Table

from central.db import Json, UtcDateTime, metadata
from central.errors import Forbidden

ANY_SITE: Final = "*"
ADMIN: Final = "admin"

SCOPES: Final[dict[str, str]] = {
    ADMIN: "everything, at every site that the key covers",
    "fleet:read": "read edges, lanes and commands",
    "cameras:view": "see live pictures of cameras",
    "lanes:command": "open lanes, set their mode, open and close boardings, rule on who is held",
    "devices:command": "command devices: turn domes, reset ports, set up and upgrade terminals",
    "passages:read": "read passages and decisions",
    "lists:read": "read lists without their entries' identities",
    "lists:write": "propose list entries, import, suspend, withdraw",
    "lists:approve": "approve what another proposed",
    "lists:fetch": "fetch the signed content of lists (edges)",
    "rules:read": "read the rules of lanes",
    "rules:write": "put the rules of lanes in force",
    "clearance:evaluate": "ask what would be decided, without any effect",
    "identities:read": "read a natural identifier, with a stated purpose",
    "equipment:read": "read assets, their health and maintenance",
    "equipment:write": "change assets, plans, stocks and health overrides",
    "tickets:read": "read tickets",
    "tickets:write": "open and work on tickets",
    "duty:read": "read vehicle locators and where they were",
    "flow:read": "read counts of persons and vehicles",
    "audit:read": "read the audit log",
    "operations:read": "read the platform's own state",
}
"""Every scope with its meaning; a domain that needs another adds its line here."""

api_keys: Final = Table(
    "api_key",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("prefix", String(16), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("sites", Json, nullable=False),
    Column("networks", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("version", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: the name that the audit keeps, what it may do, and where."""

    key_id: str
    actor: str
    scopes: frozenset[str]
    sites: frozenset[str]

    def may(self, scope: str) -> bool:
        """Tell whether it has a scope."""
        return scope in self.scopes or ADMIN in self.scopes

    @property
    def everywhere(self) -> bool:
        """Tell whether it is bound to no site."""
        return ANY_SITE in self.sites

    def may_site(self, site: str) -> bool:
        """Tell whether it may act at a site."""
        return ANY_SITE in self.sites or site in self.sites

    def must(self, scope: str) -> None:
        """Raise Forbidden without the scope."""
        if not self.may(scope):
            raise Forbidden(f"this key lacks the scope {scope}")

    def must_site(self, site: str) -> None:
        """Raise Forbidden where the site is not one of its own."""
        if not self.may_site(site):
            raise Forbidden(f"this key does not cover the site {site}")

    def must_cover(self, sites: Iterable[str]) -> None:
        """Raise Forbidden unless all these sites (`*`: every site) are its own: nobody gives more than he has."""
        for site in sites:
            self.must_site(site)
