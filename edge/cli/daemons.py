"""Finding the daemons of this machine, and among them the one that has a lane or a device."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.errors import GatefleetError, NotFound
from edge.cli.errors import NoDaemon, Told, UsageWrong
from edge.cli.language import N_, _
from edge.cli.output import Screen, error_value, rows_of
from edge.cli.sockets import ANSWER_S, Request, ask

SocketOption = Annotated[
    list[Path] | None,
    typer.Option("--socket", metavar="PATH", help=N_("a daemon's control socket, instead of looking for all")),
]
_MAX_SOCKETS: Final = 64
_MAX_LOOKED_AT: Final = 4096
_DEMO_PLACES: Final = ("control.sock", "*/control.sock", "*/*/control.sock")


@dataclass(frozen=True, slots=True)
class Found:
    """What all daemons said: data by socket, and the errors of those that said nothing good."""

    answers: tuple[tuple[Path, Any], ...]
    errors: tuple[tuple[Path, GatefleetError], ...]

    def dead(self) -> list[dict[str, Any]]:
        """Return the sockets that gave no answer, for JSON."""
        return [{"socket": str(path), "error": error_value(error)} for path, error in self.errors]

    def note_dead(self, screen: Screen) -> None:
        """Tell people of the sockets that gave no answer."""
        for path, error in self.errors:
            screen.note(f"! {path}: {error.detail}" + (f" ({error.cure})" if error.cure else ""))


def sockets(given: Sequence[Path] | None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the sockets to ask: those given, else of GATEFLEET_SOCKET, else all there are; raise NoDaemon if none."""
    named = list(given or ()) or [Path(one) for one in environ.get("GATEFLEET_SOCKET", "").split(":") if one]
    paths = named or list(islice(_looked_for(environ), _MAX_SOCKETS))
    if not paths:
        raise NoDaemon(
            _("no control socket on this machine"),
            place="/run/gatefleet/*/control.sock",
            cure=_("start the daemon (systemctl start gatefleet-edge@NAME) or name its socket with --socket"),
        )
    return paths


def _looked_for(environ: Mapping[str, str]) -> Iterator[Path]:
    yield from _in(Path("/run/gatefleet"), "*/control.sock")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield from _in(Path(runtime, "gatefleet"), "*/control.sock")
    from tempfile import gettempdir

    temporary = Path(environ.get("TMPDIR") or gettempdir())
    for place in _DEMO_PLACES:
        yield from (path for path in _in(temporary, f"gatefleet-*/{place}") if _trusted(path))


def _in(folder: Path, pattern: str) -> list[Path]:
    """Return the sockets under a folder; looks at a bounded number of files."""
    try:
        return sorted(path for path in islice(folder.glob(pattern), _MAX_LOOKED_AT) if path.is_socket())
    except OSError:
        return []


def _trusted(path: Path) -> bool:
    """Tell whether a socket in a folder where anybody writes is this user's or the system's."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and found.st_uid in {0, os.geteuid()}


def ask_all(paths: Sequence[Path], request: Request, kind: type = dict, *, deadline_s: float = ANSWER_S) -> Found:
    """Ask every daemon the same; if none gives an answer raise what one told, or NoDaemon."""
    answers, errors = [], []
    for path in paths:
        try:
            answers.append((path, ask(path, request, kind, deadline_s=deadline_s)))
        except GatefleetError as error:
            errors.append((path, error))
    if not answers:
        if told := [error for _path, error in errors if isinstance(error, Told)]:
            raise told[0]
        raise NoDaemon(
            "\n".join(f"{path}: {error.detail}" for path, error in errors),
            cure=next((error.cure for _path, error in errors if error.cure), ""),
        )
    return Found(tuple(answers), tuple(errors))


def of_device(paths: Sequence[Path], device: str) -> Path:
    """Return the socket of the daemon that has a device; raise NotFound with the names there are."""
    found = ask_all(paths, {"op": "devices"}, list)
    return _only({path: [str(one.get("id")) for one in devices] for path, devices in found.answers}, device, found)


def of_device_or_platform(paths: Sequence[Path], name: str) -> Path:
    """Return the socket of the daemon that has a device or a platform above; raise NotFound."""
    try:
        return of_device(paths, name)
    except NotFound as error:
        found = ask_all(paths, {"op": "status"})
        here = {path: [str(one.get("id")) for one in rows_of(status, "platforms")] for path, status in found.answers}
        if not any(name in names for names in here.values()):
            raise error from None
        return _only(here, name, found)


def of_lane(paths: Sequence[Path], lane: str) -> Path:
    """Return the socket of the daemon that has a lane; raise NotFound with the names there are."""
    found = ask_all(paths, {"op": "status"})
    names = {path: [str(one.get("id")) for one in rows_of(status, "lanes")] for path, status in found.answers}
    return _only(names, lane, found)


def _only(names: Mapping[Path, Sequence[str]], wanted: str, found: Found) -> Path:
    owners = [path for path, here in names.items() if wanted in here]
    if len(owners) == 1:
        return owners[0]
    if owners:
        places = ", ".join(str(path) for path in owners)
        raise UsageWrong(_("several daemons have it"), place=places, cure=_("name one with --socket"))
    known = sorted({name for here in names.values() for name in here})
    silent = [f"{path}: {error.detail}" for path, error in found.errors]
    detail = "\n".join([_("no daemon here has {name!r}").format(name=wanted), *silent])
    raise NotFound(detail, cure=_("one of: {names}").format(names=", ".join(known)) if known else "")
