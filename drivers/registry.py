"""Drivers by name: `turnstile` is `drivers.turnstile.DRIVER`, `plate-camera` is `drivers.plate_camera.DRIVER`."""

import importlib
import pkgutil
from functools import cache

import drivers
from core.errors import NotFound
from drivers.base import Driver


@cache
def names() -> tuple[str, ...]:
    """Return the names of all drivers that are here; looked for once."""
    found = (module.name for module in pkgutil.iter_modules(drivers.__path__) if module.ispkg)
    return tuple(sorted(name.replace("_", "-") for name in found))


def driver(name: str) -> Driver:
    """Return a driver; raise NotFound, with the names there are."""
    if name not in names():
        raise NotFound(f"there is no driver {name!r}", cure=f"one of: {', '.join(names())}")
    found = importlib.import_module(f"drivers.{name.replace('-', '_')}").DRIVER
    assert isinstance(found, Driver)
    return found
