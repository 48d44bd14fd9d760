"""The model of `firmware_profiles/<vendor>/<model>.toml`: data on one device model; a new model is one file."""

import tomllib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import ConfigInvalid


class Profile(BaseModel):
    """One device model. `map` belongs to the driver, which checks it with a model of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")
    """`<vendor>/<model>`, as the path of the file without its suffix."""
    driver: str
    vendor: str
    model: str
    source: str
    """The manual, its version and page: where the data comes from."""
    quirks: tuple[str, ...] = ()
    map: dict[str, Any] = Field(default_factory=dict)


def read_profile(text: str, place: str) -> Profile:
    """Read a profile; raise ConfigInvalid with every mistake."""
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"not TOML: {error}", place=place) from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigInvalid("; ".join(lines), place=place) from error


Map = TypeVar("Map", bound=BaseModel)


def checked_map(profile: Profile, model: type[Map]) -> Map:
    """Return the profile's `map` as the driver's model; raise ConfigInvalid with every mistake."""
    try:
        return model.model_validate(profile.map)
    except ValidationError as error:
        lines = [f"map.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigInvalid("; ".join(lines), place=profile.name) from error
