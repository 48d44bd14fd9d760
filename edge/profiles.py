"""Where the firmware profiles are: beside the packages in a checkout, under `share/gatefleet` once installed."""

import os
import re
import sys
from functools import cache
from pathlib import Path

from core.errors import ConfigInvalid, NotFound
from drivers.profile import Profile, read_profile


def data_folder(name: str) -> Path:
    """Return a folder of shared data, such as `firmware_profiles`. `GATEFLEET_SHARE` goes first."""
    places = [Path(__file__).parents[1] / name, Path(sys.prefix, "share", "gatefleet", name)]
    if root := os.environ.get("GATEFLEET_SHARE"):
        places.insert(0, Path(root, name))
    for place in places:
        if place.is_dir():
            return place
    raise NotFound(f"no folder {name}", cure="set GATEFLEET_SHARE to where gatefleet's data is")


def profile_names() -> tuple[str, ...]:
    """Return `<vendor>/<model>` of all profiles."""
    root = data_folder("firmware_profiles")
    return tuple(sorted(str(path.relative_to(root).with_suffix("")) for path in root.glob("*/*.toml")))


@cache
def load_profile(name: str) -> Profile:
    """Return a profile; raise NotFound or ConfigInvalid."""
    path = data_folder("firmware_profiles") / f"{name}.toml"
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", name) or not path.is_file():
        raise NotFound(f"there is no profile {name!r}", cure=f"one of: {', '.join(profile_names())}")
    try:
        profile = read_profile(path.read_text(encoding="utf-8"), f"{name}.toml")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"cannot be read: {error}", place=f"{name}.toml") from error
    if profile.name != name:
        raise ConfigInvalid(f"calls itself {profile.name!r}", place=f"{name}.toml", cure="a profile's name is its path")
    return profile
