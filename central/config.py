"""One TOML file -> a typed, complete configuration, or refused with every mistake at once."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.drift import DriftRule
from core.errors import ConfigInvalid

_SECRET = r"^$|^(env|file|credential):.+$"  # noqa: S105 (the shape of a reference, no secret)
SecretRef = str
"""Where a secret is, never the secret: `env:NAME`, `file:/path`, `credential:NAME` (systemd LoadCredential)."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSection(_Section):
    """Where the data lie. `auto_migrate`: bring the schema up to date at start; unless told, on SQLite only."""

    url: str = Field(pattern=r"^(sqlite:///.+|postgresql://.+)$")
    auto_migrate: bool | None = None

    @property
    def migrates(self) -> bool:
        """Tell whether the schema is brought up to date at start."""
        return self.url.startswith("sqlite") if self.auto_migrate is None else self.auto_migrate


class MqttSection(_Section):
    """The broker. `shared_group`: several workers share the load by `$share/<group>/...`."""

    url: str = Field(pattern=r"^mqtts?://[^/?#@]+$")
    username: str = ""
    password: SecretRef = Field(default="", pattern=_SECRET)
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    shared_group: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")
    client_id: str = Field(default="", max_length=64)
    """Empty: made anew at each start."""


class HttpSection(_Section):
    """Where the API listens; loopback unless told, and then with TLS, or openly behind a proxy that has it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65_535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False

    @model_validator(mode="after")
    def _never_in_the_clear(self) -> "HttpSection":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.host not in _LOOPBACK and self.tls_cert is None and not self.behind_proxy:
            raise ValueError("keys would travel in the clear: set tls_cert and tls_key, or behind_proxy = true")
        return self


class CryptoSection(_Section):
    """The suite, the key that signs commands and lists, and the key of the tokens."""

    suite: Literal["sm", "intl"] = "sm"
    signing_key: SecretRef = Field(min_length=1, pattern=_SECRET)
    token_key: SecretRef = Field(min_length=1, pattern=_SECRET)


class RetentionSection(_Section):
    """How many days bulk rows are kept; 0: for ever. Vital events, state and audit are kept for ever in any case."""

    positions_days: int = Field(default=90, ge=0, le=36_500)
    telemetry_days: int = Field(default=90, ge=0, le=36_500)


class LogSection(_Section):
    """What is logged, to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class CentralConfig(_Section):
    """The whole file."""

    schema_version: Literal[1] = Field(alias="schema")
    database: DatabaseSection
    mqtt: MqttSection
    http: HttpSection = Field(default_factory=HttpSection)
    crypto: CryptoSection
    log: LogSection = Field(default_factory=LogSection)
    retention: RetentionSection = Field(default_factory=RetentionSection)
    drift: tuple[DriftRule, ...] = ()
    """Each people counter whose numbers are compared with the lanes beside it."""


def load_config(path: Path) -> CentralConfig:
    """Read a configuration; raise ConfigInvalid whose detail has one line for each mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error}", cure="check the path after -c") from error
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> CentralConfig:
    """Read a configuration from its text; `name` is how errors call the file."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{name}: not TOML: {error}") from error
    try:
        return CentralConfig.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise ConfigInvalid("\n".join(sorted(f"{name}: {_told(one)}" for one in found))) from error


def _told(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: there is no such key"
        case "missing":
            return f"{key}: is missing"
        case "string_pattern_mismatch" if error["ctx"]["pattern"] == _SECRET:
            return f"{key}: say where the secret is: env:NAME, file:/path or credential:NAME"
        case _:
            return f"{key}: {error['msg']}"


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return what a secret reference points to; raise ConfigInvalid naming the reference, never the value."""
    kind, _, rest = reference.partition(":")
    try:
        if kind == "env":
            return environ[rest]
        path = Path(environ["CREDENTIALS_DIRECTORY"], rest) if kind == "credential" else Path(rest)
        return path.read_text(encoding="utf-8").strip()
    except KeyError as error:
        raise ConfigInvalid(f"the variable {error.args[0]} is not set", place=reference) from error
    except OSError as error:
        cure = "`gatefleet central init` makes it" if isinstance(error, FileNotFoundError) else ""
        raise ConfigInvalid(f"cannot be read: {error.strerror}", place=reference, cure=cure) from error
