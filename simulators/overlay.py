"""A site file made fit to run here: simulated links, a folder for its state, and the keys and addresses of this run."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w


@dataclass(frozen=True, slots=True)
class Here:
    """Where an edge of this run finds things."""

    folder: Path
    mqtt_url: str
    central_url: str
    api_key: str
    """A secret reference."""
    token_key: str
    """A secret reference."""
    trusted_keys: tuple[str, ...]
    suite: str = "sm"
    quota_mb: int = 64


def overlaid(raw: bytes, here: Here, links: Mapping[str, str]) -> str:
    """Return the site file's text with `links` by device id; lanes are open all day, whatever the hour of the run."""
    table: dict[str, Any] = tomllib.loads(raw.decode())
    name = f"{table['edge']['site']}.{table['edge']['name']}"
    folder = here.folder / name
    table["buffer"] = {"path": str(folder / "buffer.db"), "quota_mb": here.quota_mb}
    table["uplink"] = {"url": here.mqtt_url, "central_url": here.central_url, "api_key": here.api_key}
    table["crypto"] = {"suite": here.suite, "trusted_keys": list(here.trusted_keys), "token_key": here.token_key}
    table["control"] = {"socket": str(folder / "control.sock")}
    table["metrics"] = {"host": "127.0.0.1", "port": 0}
    for device in table["device"]:
        device["link"] = links.get(device["id"], device["link"])
    for lane in table["lane"]:
        lane["rules"].pop("hours", None)
    return tomli_w.dumps(table)
