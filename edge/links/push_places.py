"""Where devices push to (`http-server://host:port/path`), who may, and which of them cannot be told apart."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.errors import ConfigInvalid
from edge.links.digest_gate import Algorithm, Scheme
from edge.mistakes import REFERENCE

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared with, not bound to
Network = IPv4Network | IPv6Network


class Access(BaseModel):
    """Who may push for a device, and how often it must: part of the device's entry in the config."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Scheme = "digest"
    users: dict[str, str] = Field(default_factory=dict, max_length=16)
    """User name -> where its password is: `env:NAME`, `file:/path`, `credential:NAME`."""
    peers: tuple[str, ...] = Field(default=(), max_length=64)
    """Addresses or networks that may push; empty for any."""
    algorithms: tuple[Algorithm, ...] = Field(default=("SHA-256", "MD5"), min_length=1)
    """Of Digest, in the order in which they are offered."""
    silent_after_s: float = Field(default=0.0, ge=0, le=86_400)
    """So long without a request and the device is silent; 0 where it pushes only when something happens."""

    @field_validator("users")
    @classmethod
    def _references(cls, users: dict[str, str]) -> dict[str, str]:
        for name, reference in users.items():
            if not name or ":" in name or not name.isprintable():
                raise ValueError(f"user name {name!r}")
            if re.match(REFERENCE, reference) is None:
                raise ValueError(f"the password of {name} must be a reference such as env:NAME")
        return users

    @field_validator("peers")
    @classmethod
    def _networks(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(one)) for one in peers)

    @model_validator(mode="after")
    def _whole(self) -> "Access":
        if self.auth == "none" and (self.users or not self.peers):
            raise ValueError("without a login the peers that may push must be listed, and there are no users")
        if self.auth != "none" and not self.users:
            raise ValueError(f"{self.auth} needs at least one user")
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """Where one device pushes to, and who may; `path` in its segments."""

    device: str
    host: str
    port: int
    path: tuple[str, ...]
    auth: Scheme
    users: frozenset[str] = frozenset()
    peers: tuple[Network, ...] = ()
    algorithms: tuple[Algorithm, ...] = ("SHA-256", "MD5")

    def reaches(self, peer: str) -> bool:
        """Tell whether a peer may push to it."""
        return not self.peers or any(_within(peer, network) for network in self.peers)


def place_of(device: str, link: str, access: Access) -> Place:
    """Return where a device pushes to; raise ConfigInvalid."""
    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigInvalid(str(error), place=link) from error
    path = segments(parts.path or "/")
    if parts.scheme != "http-server" or not host or port is None or path is None or parts.query or "@" in parts.netloc:
        raise ConfigInvalid("not a place to push to", place=link, cure="http-server://host:port/path")
    networks = tuple(ip_network(one) for one in access.peers)
    return Place(device, host, port, path, access.auth, frozenset(access.users), networks, access.algorithms)


def conflicts(places: Sequence[Place]) -> list[str]:
    """Return a line for each two devices that a server could not tell apart, or whose addresses exclude one another."""
    return [why for one, other in combinations(places, 2) for why in _conflict(one, other)]


def _conflict(one: Place, other: Place) -> Iterator[str]:
    both = f"{one.device} and {other.device}"
    if one.port != other.port or not one.port:
        same_address = one.host == other.host and one.port == other.port
    elif one.host != other.host and {one.host, other.host} & _WILDCARDS:
        yield f"{both}: {one.host} and {other.host} cannot both listen on port {one.port}"
        return
    else:
        same_address = one.host == other.host
    if not same_address or one.path != other.path or not _peers_overlap(one, other):
        return
    where = f"http-server://{one.host}:{one.port}/{'/'.join(one.path)}"
    if one.auth != other.auth or one.algorithms != other.algorithms:
        yield f"{both} push to {where} with different logins: give them different paths or peers"
    elif one.auth == "none" or one.users & other.users:
        yield f"{both} push to {where} and cannot be told apart: give them different paths, user names or peers"


def _peers_overlap(one: Place, other: Place) -> bool:
    if not one.peers or not other.peers:
        return True
    return any(a.version == b.version and a.overlaps(b) for a in one.peers for b in other.peers)


def _within(peer: str, network: Network) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in network


def segments(path: str) -> tuple[str, ...] | None:
    """Return a path's segments, decoded, empty ones left out; None for one that may lead elsewhere."""
    if not path.startswith("/"):
        return None
    try:
        found = tuple(unquote(one, errors="strict") for one in path.split("/") if one)
    except UnicodeDecodeError:
        return None
    bad = any(one in {".", ".."} or "/" in one or "\\" in one or not one.isprintable() for one in found)
    return None if bad else found
