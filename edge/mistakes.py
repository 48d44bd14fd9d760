"""What is wrong with a configuration file, and where: key and line of each mistake, never a secret."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel

from core.errors import ConfigInvalid

REFERENCE: Final = r"^(env|file|credential):.+$"
_HUSHED: Final = re.compile(r"password|secret|token|key")
"""Keys whose values no error repeats: a secret may stand there by mistake."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a file."""

    key: str
    text: str

    def line(self, lines: Mapping[str, int]) -> int:
        """Return the line of the key, or of what it is missing from."""
        key = self.key
        while key and key not in lines:
            key = key.rpartition(".")[0]
        return lines.get(key, 1)


def read_table(raw: bytes, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return a file's table and the lines of its keys; raise ConfigInvalid where it is not TOML."""
    try:
        text = raw.decode()
        return tomllib.loads(text), key_lines(text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid(f"{name}:{line}: not TOML: byte {error.start} is not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        raise ConfigInvalid(f"{name}:{found[1] if found else 1}: not TOML: {error}") from error


def refusal(mistakes: Sequence[Mistake], name: str, lines: Mapping[str, int]) -> ConfigInvalid:
    """Return the error with `file:line: key: text` for each mistake, in the order of the file."""
    told = sorted({(one.line(lines), one.key, one.text) for one in mistakes})
    return ConfigInvalid("\n".join(f"{name}:{line}: {key}: {text}" for line, key, text in told))


def key_lines(text: str) -> dict[str, int]:
    """Return the line of each table and key, such as `device.3.link` -> 41. Good enough to point a person there."""
    lines: dict[str, int] = {}
    arrays: Counter[str] = Counter()
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if match := re.match(r"^\[\[\s*([\w.-]+)\s*\]\]", stripped):
            table = f"{match[1]}.{arrays[match[1]]}"
            arrays[match[1]] += 1
            lines[table] = number
        elif match := re.match(r"^\[\s*([\w.-]+)\s*\]", stripped):
            first, _, rest = match[1].partition(".")
            table = f"{first}.{arrays[first] - 1}.{rest}" if arrays[first] else match[1]
            lines[table] = number
        elif match := re.match(r"^([\w-]+)\s*=", stripped):
            lines[f"{table}.{match[1]}" if table else match[1]] = number
    return lines


def of_pydantic(error: Any, model: type[BaseModel]) -> Mistake:
    """Return one of the errors of a ValidationError of `model`."""
    key = ".".join(str(part) for part in error["loc"])
    text, shown = error["msg"], error.get("input")
    if error["type"] == "extra_forbidden":
        text = f"there is no such key; one of: {', '.join(_keys_beside(error['loc'], model))}"
    elif error["type"] == "missing":
        text = "is missing"
    elif error["type"] == "string_pattern_mismatch" and REFERENCE in error["ctx"]["pattern"]:
        text = "not a reference to a secret: env:NAME, file:/path or credential:NAME"
    elif isinstance(shown, str | int | float | bool) and not _HUSHED.search(key) and "@" not in str(shown):
        text += f", here {shown!r}"
    return Mistake(key, text)


def _keys_beside(place: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    """Return the keys that may stand where an unknown one does."""
    for part in place[:-1]:
        fields = model.model_fields
        if isinstance(part, str) and part in fields:
            model = next(_models_in(fields[part].annotation), model)
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
