"""The technician's language: English in the source, Chinese from `locale/<language>/LC_MESSAGES/gatefleet.po`.

The catalogue is read from its source at start (a few milliseconds, and only for another language than English), so
that no compiled file can be missing or stale. `N_` marks a message where it stands, `_` translates where it is shown.
"""

import ast
import gettext
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

SOURCE: Final = "en"
LANGUAGES: Final = (SOURCE, "zh_CN")
_FOLDER: Final = Path(__file__).parent / "locale"
_VARIABLES: Final = ("GATEFLEET_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
_ENTRY: Final = re.compile(r'^(msgid|msgstr)?\s*(".*")$')


class Catalogue(gettext.NullTranslations):
    """Translations by their English text; an unknown text stays as it is."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self._texts = texts

    def gettext(self, message: str) -> str:
        """Return the translation, or the message."""
        return self._texts.get(message, message)


class _Spoken:
    """The language of this process: a command line has one reader."""

    catalogue: gettext.NullTranslations = gettext.NullTranslations()


def N_(message: str) -> str:  # noqa: N802 the name by which gettext's tools know it
    """Mark a message for translation; it is translated later, where it is shown."""
    return message


def _(message: str) -> str:
    """Return a message in the language of this process."""
    return _Spoken.catalogue.gettext(message) if message else ""


def speak(language: str) -> None:
    """Take a language, one of LANGUAGES, for the rest of the process."""
    _Spoken.catalogue = gettext.NullTranslations() if language == SOURCE else Catalogue(read_texts(language))


def choose(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the language that `--lang` names, else the first of the environment; English where nothing is said."""
    return known(asked(arguments)) or next(filter(None, (known(environ.get(name, "")) for name in _VARIABLES)), SOURCE)


def asked(arguments: Sequence[str]) -> str:
    """Return what `--lang` was given, as it stands."""
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument.startswith("--lang="):
            return argument.partition("=")[2]
        if argument == "--lang" and position + 1 < len(arguments):
            return arguments[position + 1]
    return ""


def known(name: str) -> str:
    """Return the language of a locale name such as `zh_CN.UTF-8`, `zh-Hans` or `C`; empty if it is none of ours."""
    plain = name.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    if plain == "zh" or plain.startswith("zh_"):
        return "zh_CN"
    return SOURCE if plain in {"c", "posix", "en"} or plain.startswith("en_") else ""


def read_texts(language: str) -> dict[str, str]:
    """Return message -> translation of a catalogue."""
    source = (_FOLDER / language / "LC_MESSAGES" / "gatefleet.po").read_text(encoding="utf-8")
    return {message: text for message, text in read_po(source) if message and text}


def read_po(source: str) -> Iterator[tuple[str, str]]:
    """Yield the (msgid, msgstr) pairs of a PO file without plurals and contexts."""
    parts = {"msgid": "", "msgstr": ""}
    kind = ""
    for line in source.splitlines():
        match = _ENTRY.match(line.strip())
        if match is None:
            continue
        if match[1] == "msgid" and kind:
            yield parts["msgid"], parts["msgstr"]
            parts = {"msgid": "", "msgstr": ""}
        kind = match[1] or kind
        parts[kind] += ast.literal_eval(match[2])
    if kind:
        yield parts["msgid"], parts["msgstr"]
