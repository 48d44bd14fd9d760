"""The secrets of a simulated site: made up from their references, so that the devices and the edge have the same."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from edge.mistakes import REFERENCE

_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


def secret(reference: str) -> str:
    """Return what a reference of a site file stands for here."""
    return f"simulated {reference}"


def secret_file(folder: Path, reference: str) -> Path:
    """Return where an edge of this run finds it."""
    return folder / "secrets" / _UNFIT.sub("-", reference)


def references(device: Mapping[str, Any]) -> Iterator[str]:
    """Yield the references of a device's table."""
    yield from _references(device.get("settings", {}))
    yield from _references(device.get("access", {}).get("users", {}))


def write_secrets(folder: Path, table: Mapping[str, Any]) -> None:
    """Write the secrets of a site file's devices."""
    for device in table.get("device", ()):
        for reference in references(device):
            path = secret_file(folder, reference)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secret(reference), encoding="utf-8")


def moved(value: Any, folder: Path) -> Any:
    """Return a value of a device's table with its references replaced by files of this run."""
    if isinstance(value, dict):
        return {key: moved(one, folder) for key, one in value.items()}
    return f"file:{secret_file(folder, value)}" if _is_reference(value) else value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _references(one)
    elif _is_reference(value):
        yield value


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and re.match(REFERENCE, value) is not None
