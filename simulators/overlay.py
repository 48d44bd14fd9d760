"""A site file made fit to run here: simulated links, a folder for its state, and the keys and addresses of this run."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli_w

from simulators.site_secrets import moved

_HERE: Final = "127.0.0.0/8"


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
    seal_key: str = ""
    """A secret reference, of an edge with cabins."""


def overlaid(raw: bytes, here: Here, links: Mapping[str, str]) -> str:
    """Return the site file's text with `links` by device id; lanes are open all day, whatever the hour of the run.

    The devices' secrets are those that `site_secrets.write_secrets` writes, and who may push is this machine.
    """
    table: dict[str, Any] = tomllib.loads(raw.decode())
    name = f"{table['edge']['site']}.{table['edge']['name']}"
    folder = here.folder / name
    table["buffer"] = {"path": str(folder / "buffer.db"), "quota_mb": here.quota_mb}
    table["uplink"] = {"url": here.mqtt_url, "central_url": here.central_url, "api_key": here.api_key}
    crypto = {"suite": here.suite, "trusted_keys": list(here.trusted_keys), "token_key": here.token_key}
    table["crypto"] = crypto | ({"seal_key": here.seal_key} if here.seal_key else {})
    table["control"] = {"socket": str(folder / "control.sock")}
    table["metrics"] = {"host": "127.0.0.1", "port": 0}
    if "live" in table:
        table["live"] = {"listen": "127.0.0.1:0"}
    for device in table.get("device", ()):
        device["link"] = links.get(device["id"], device["link"])
        at_home(device, here.folder)
    for lane in table.get("lane", ()):
        lane.get("rules", {}).pop("hours", None)
    return tomli_w.dumps(table)


def at_home(device: dict[str, Any], folder: Path) -> None:
    """Have a device's table refer to the secrets of this run, below `folder`, and let this machine push for it."""
    if "settings" in device:
        device["settings"] = moved(device["settings"], folder)
    if "access" in device:
        access = device["access"]
        users = {"users": moved(access["users"], folder)} if "users" in access else {}
        peers = {"peers": [_HERE]} if "peers" in access else {}
        device["access"] = access | users | peers
