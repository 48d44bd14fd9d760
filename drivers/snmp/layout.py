"""The `map` of a profile and the settings of a device."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.base import Settings
from drivers.snmp import oids

ROWS_CAP = 4096
"""Rows that are read of a table, whatever a profile says."""

Oid = Annotated[str, Field(pattern=r"^[0-2](\.(0|[1-9][0-9]{0,9})){1,63}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Interval = Annotated[int, Field(ge=1000, le=86_400_000)]
Secret = Annotated[str, Field(pattern=r"^$|^(env|file|credential):.+$")]
"""Where a secret is, never the secret."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Part):
    """One value, or one column of a table."""

    oid: Oid
    name: Name
    """With its unit at the end: `cpu_pct`, `temperature_c`; a counter's reading is a rate: `sessions_per_s`."""
    kind: Literal["gauge", "counter", "enum", "text", "date"] = "gauge"
    scale: float = 1.0
    bits: Literal[32, 64] = 32
    """Of a counter."""
    min: float | None = None
    max: float | None = None
    """What lies outside is not told; for a counter, of its rate before the scale."""
    invalid: tuple[int, ...] = ()
    """Numbers that stand for: no value."""
    of: str = ""
    """Another column of the table: the reading is the percentage of that one."""
    words: dict[str, str] = Field(default_factory=dict, max_length=64)
    """Of an enum: number to word."""
    alarm: tuple[str, ...] = ()
    """Words of an enum, or of a text, at which the signal `name` is on."""
    tells: Literal["", "vendor", "model", "firmware", "serial"] = ""
    """What a text says of the device itself."""
    formats: tuple[str, ...] = ("%Y-%m-%d",)
    """Of a date: as of strptime, or `epoch`. DateAndTime octets are known anyway."""


class Scalar(Point):
    """One value; its OID has the instance at its end, mostly `.0`."""

    interval_ms: Interval = 60_000


class Table(_Part):
    """Columns of one table, read together; `label` is the column that names the rows, empty: their index does."""

    name: Name
    label: Oid | Literal[""] = ""
    rows: int = Field(default=512, ge=1, le=ROWS_CAP)
    interval_ms: Interval = 60_000
    keep: tuple[str, ...] = ()
    """Beginnings of the labels that are kept; empty: all."""
    column: tuple[Point, ...] = Field(min_length=1, max_length=32)

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = [one.name for one in self.column]
        if lost := {one.of for one in self.column if one.of} - set(names):
            raise ValueError(f"`of` names no column: {', '.join(sorted(lost))}")
        if len(set(names)) < len(names):
            raise ValueError("two columns of one name")
        return self


class Interfaces(_Part):
    """IF-MIB. `wide` counters have 64 bits; 32 bits of octets tell nothing of a link that could fill them."""

    wide: bool = True
    errors: bool = True
    rows: int = Field(default=512, ge=1, le=ROWS_CAP)
    interval_ms: Interval = 60_000
    names_interval_ms: Interval = 600_000
    skip_types: tuple[int, ...] = (24, 53, 131, 135, 136)
    """IANA ifType: loopback, virtual, tunnel, VLAN by layer 2 and 3."""


class Poe(_Part):
    """POWER-ETHERNET-MIB, or a maker's own switch of a port's power."""

    rows: int = Field(default=256, ge=1, le=ROWS_CAP)
    interval_ms: Interval = 60_000
    standard: bool = True
    """Whether detection and supply are read from POWER-ETHERNET-MIB."""
    scale: float = 1.0
    """Of the supply's power to watts: some tell milliwatts."""
    admin_oid: Oid = oids.POE_ADMIN
    on: int = 1
    off: int = 2


class Sensors(_Part):
    """ENTITY-SENSOR-MIB."""

    rows: int = Field(default=512, ge=1, le=ROWS_CAP)
    interval_ms: Interval = 60_000


class Entities(_Part):
    """ENTITY-MIB: what the device is made of."""

    rows: int = Field(default=512, ge=1, le=ROWS_CAP)
    interval_ms: Interval = 3_600_000


class SnmpMap(_Part):
    """The `map` of a device that is read by SNMP."""

    system_interval_ms: Interval = 60_000
    interfaces: Interfaces | None = None
    poe: Poe | None = None
    sensors: Sensors | None = None
    entities: Entities | None = None
    scalar: tuple[Scalar, ...] = Field(default=(), max_length=128)
    table: tuple[Table, ...] = Field(default=(), max_length=16)
    perpetual_dates: tuple[date, ...] = (date(2099, 1, 1), date(2099, 12, 31))
    perpetual_words: tuple[str, ...] = ("permanent", "perpetual", "never", "unlimited", "no expiration", "永久")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [*(one.name for one in self.scalar), *(one.name for one in self.table)]
        if len(set(names)) < len(names):
            raise ValueError("two scalars or tables of one name")
        if any(one.of for one in self.scalar):
            raise ValueError("`of` is for columns of a table")
        return self


class SnmpSettings(Settings):
    """What one device's entry in the config may set. Version 3 unless 2c is said; 2c travels in the clear."""

    version: Literal["3", "2c"] = "3"
    community: Secret = ""
    write_community: Secret = ""
    """For commands; empty: `community`."""
    user: str = Field(default="", max_length=32, pattern=r"^[^\x00-\x1f]*$")
    auth: Literal["sha", "sha224", "sha256", "sha384", "sha512", "md5", "none"] = "sha256"
    auth_secret: Secret = ""
    priv: Literal["aes128", "aes192", "aes256", "aes192-blumenthal", "aes256-blumenthal", "des", "none"] = "aes128"
    """Keys of 192 and 256 bits are stretched in two ways: as most makers do, or by Blumenthal's draft (net-snmp)."""
    priv_secret: Secret = ""
    context: str = Field(default="", max_length=32)
    ports: tuple[Annotated[str, Field(pattern=r"^[0-9]{1,10}(\.[0-9]{1,10}){0,3}$")], ...] = ()
    """Ports whose power may be taken away, by their index; none unless named."""
    timeout_ms: int = Field(default=1500, ge=100, le=30_000)
    retries: int = Field(default=1, ge=0, le=5)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.version == "2c":
            if not self.community or self.user or self.auth_secret or self.priv_secret:
                raise ValueError("version 2c takes `community` and no user")
            return self
        if self.community or self.write_community:
            raise ValueError('a community is for version 2c: say version = "2c", or take it out')
        if not self.user:
            raise ValueError("version 3 needs `user`")
        if (self.auth == "none") is bool(self.auth_secret):
            raise ValueError('`auth_secret` goes with `auth`; to go without, say auth = "none" and priv = "none"')
        if (self.priv == "none") is bool(self.priv_secret):
            raise ValueError('`priv_secret` goes with `priv`; to go without, say priv = "none"')
        if self.auth == "none" and self.priv != "none":
            raise ValueError("privacy needs authentication (RFC 3414, 1.4.3)")
        return self
