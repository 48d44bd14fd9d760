"""`gatefleet device add`: a new device checked, tried, and written into a site file. No daemon is needed.

Promises
1. A device that is tried is only listened to: nothing is confirmed to it, nothing written to it.
2. A file is changed only to one that loads, after a copy of it was made beside it; else it stays as it is.
3. With --probe, nothing is written for a device that cannot be reached.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from core.errors import ConfigInvalid
from edge.cli.errors import Exit, InputInvalid
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell
from edge.cli.sentences import told
from edge.cli.why import write_findings

if TYPE_CHECKING:
    from edge.probe import Probed
    from edge.sections import DeviceSpec

HELP: Final = N_(
    "Check a new device, try it, and print its table for the site file.\n\n"
    "Nothing is asked of a daemon. With --probe the device is called, or listened for, with the daemon's own code: "
    "nothing is confirmed to it and nothing written to it. The exit status is 1 if it cannot be reached and 2 if the "
    "table is wrong."
)
EXAMPLES: Final = (
    "gatefleet device add --driver turnstile --profile reference/swing-gate "
    '--link "modbus+tcp://10.31.7.1:502?unit=1" --probe\n'
    "gatefleet device add --driver snmp --profile generic/snmp-switch --link snmp://10.31.7.9 "
    "--set version=2c --set community=env:SNMP_COMMUNITY --probe\n"
    "gatefleet device add --driver hik-anpr --link http-server://0.0.0.0:8080/anpr "
    "--set access.users.camera=env:ANPR_PASSWORD --probe --for 60\n"
    "gatefleet device add --driver jt808 --profile reference/jt808 --link tcp-server://0.0.0.0:8808 "
    "--set 'terminals=[\"138*\"]' --set auth_key=env:JT808_KEY --probe --for 60\n"
    'gatefleet device add --driver nmea0183 --profile u-blox/m8 --link "serial:///dev/ttyS1?baud=9600" '
    "--write /etc/gatefleet/road.toml"
)
_MOST_BYTES: Final = 1 << 24

Driver = Annotated[str, typer.Option("--driver", metavar="NAME", help=N_("what it speaks"))]
Link = Annotated[str, typer.Option("--link", metavar="URL", help=N_("where it is, or where it calls"))]
ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="VENDOR/MODEL", help=N_("its model; may be left out if the driver has one"))
]
IdOption = Annotated[str, typer.Option("--id", metavar="ID", help=N_("its id; else the driver's name and a number"))]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help=N_("a setting, may be repeated; secrets as env:NAME or file:/path")
    ),
]
ProbeOption = Annotated[bool, typer.Option("--probe", help=N_("try it now"))]
ForOption = Annotated[
    float, typer.Option("--for", metavar="SECONDS", min=0.1, max=3600, help=N_("try it at most so long"))
]
WriteOption = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help=N_("append it to this site file, after a copy of it"))
]


def register(group: typer.Typer) -> None:
    """Add the command to the group `device`."""
    group.command("add", help=HELP, epilog=EXAMPLES)(add)


def add(
    ctx: typer.Context,
    driver: Driver,
    link: Link,
    profile: ProfileOption = "",
    id_: IdOption = "",
    set_: SetOption = None,
    *,
    probe: ProbeOption = False,
    for_: ForOption = 10.0,
    write: WriteOption = None,
) -> Exit:
    """Add a device."""
    from edge.device_entry import as_toml, checked, entry_of, free_name

    screen: Screen = ctx.obj
    file = SiteText.read(write) if write is not None else None
    name = id_ or free_name(driver, file.names if file else frozenset())
    entry = entry_of(driver, link, name=name, profile=profile, settings=set_ or ())
    spec, toml = checked(entry), as_toml(entry)
    if file is not None:
        file.check(toml)
    result: dict[str, Any] = {"entry": entry, "toml": toml, "probe": None, "written": None}
    found = _tried(spec, for_, screen) if probe else None
    if found is not None:
        result["probe"] = probed_value(found)
    good = found is None or found.reachable
    if file is not None and good:
        backup = file.append(toml)
        result["written"] = {"file": str(file.path), "backup": str(backup)}
    screen.show(result, lambda page: _show(page, result, wanted=write))
    return Exit.OK if good else Exit.FAILED


def _tried(spec: "DeviceSpec", seconds: float, screen: Screen) -> "Probed":
    import asyncio

    from edge.probe import probe

    def listening(url: str) -> None:
        screen.note(_("listening at {url} for {seconds} s: let the device call").format(url=url, seconds=cell(seconds)))

    with quiet():
        return asyncio.run(probe(spec, seconds, listening=listening))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log of the sessions off the screen: what is so, the findings tell."""
    import structlog

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.configure(**before)


def probed_value(found: "Probed") -> dict[str, Any]:
    """Return what was found out, as programs get it."""
    from edge.probe import finding_values

    facts = [
        {"terminal": one.terminal, "fact": type(one.fact).__name__, "values": one.fact.shown()} for one in found.facts
    ]
    return {
        "reachable": found.reachable,
        "health": found.health.value,
        "described": asdict(found.described) if found.described else None,
        "findings": [_with_sentence(one) for one in finding_values(found.findings)],
        "facts": facts,
        "terminals": list(found.terminals),
        "rejected": found.rejected,
        "refused": found.refused,
    }


def _with_sentence(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding with its sentence; here no daemon runs since anything."""
    if finding["code"] == "never_seen":
        why = _("Nothing came from the device in this time.")
        cure = _("Check its power, its cable and the address, and whether the device itself has the right address.")
    else:
        why, cure = told(finding)
    return {**finding, "sentence": why, "cure": cure}


def _show(page: Page, result: Mapping[str, Any], *, wanted: Path | None) -> None:
    entry, probe, written = result["entry"], result["probe"], result["written"]
    if probe is not None:
        page.heading(f"{cell(entry['id'])}: {_('reachable') if probe['reachable'] else _('not reachable')}")
        _show_probe(page, probe)
        page.text("")
    if written is not None:
        text = _("Appended to {file}; it was copied to {backup} before. Start the daemon anew to use it.")
        page.text(text.format(file=written["file"], backup=written["backup"]))
    else:
        page.text(_("For the site file:") + "\n")
        page.text(result["toml"])
        if wanted is not None:
            page.text(_("It is not written to {file}: without --probe it is.").format(file=wanted))


def _show_probe(page: Page, probe: Mapping[str, Any]) -> None:
    described = probe["described"] or {}
    names = {"vendor": _("Vendor"), "model": _("Model"), "firmware": _("Firmware"), "serial": _("Serial number")}
    pairs = [(names[key], value) for key, value in described.items() if value]
    counts = ((_("Terminals"), len(probe["terminals"])), (_("Bad frames"), probe["rejected"]))
    page.fields([*pairs, *((name, count) for name, count in (*counts, (_("Refused"), probe["refused"])) if count)])
    write_findings(page, probe["findings"])
    if probe["terminals"]:
        page.table((_("Terminal"), _("Has told")), _terminal_rows(probe))
    own = [one for one in probe["facts"] if not one["terminal"]]
    if own:
        page.table((_("Fact"), _("Values")), ((one["fact"], one["values"]) for one in own))


def _terminal_rows(probe: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for terminal in probe["terminals"]:
        yield terminal, sorted({one["fact"] for one in probe["facts"] if one["terminal"] == terminal})


@dataclass(frozen=True, slots=True)
class SiteText:
    """A site file to which a device is to be appended."""

    path: Path
    raw: bytes
    names: frozenset[str]
    """Ids of its devices."""

    @classmethod
    def read(cls, path: Path) -> "SiteText":
        """Read a file; raise ConfigInvalid, or InputInvalid for one that is no site file by its size."""
        from edge.mistakes import read_table

        try:
            path = path.resolve(strict=True)
            with path.open("rb") as source:
                raw = source.read(_MOST_BYTES + 1)
        except OSError as error:
            raise ConfigInvalid(
                f"cannot be read: {error.strerror}", place=str(path), cure="name a site file"
            ) from error
        if len(raw) > _MOST_BYTES:
            raise InputInvalid(f"more than {_MOST_BYTES} bytes", place=str(path))
        table, _lines = read_table(raw, str(path))
        devices = table.get("device")
        rows = devices if isinstance(devices, list) else []
        return cls(path, raw, frozenset(str(one.get("id")) for one in rows if isinstance(one, dict)))

    def check(self, toml: str) -> bytes:
        """Return the file with the device; raise ConfigInvalid with its mistakes where it would not load."""
        from edge.config import parse_config

        gap = b"\n" if self.raw.endswith(b"\n") or not self.raw else b"\n\n"
        changed = self.raw + gap + toml.encode()
        parse_config(changed, str(self.path))
        return changed

    def append(self, toml: str) -> Path:
        """Write the file with the device, whole or not at all; return the copy of what it was."""
        changed = self.check(toml)
        backup = self.path.with_name(f"{self.path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.bak")
        try:
            if self.path.read_bytes() != self.raw:
                raise InputInvalid(_("somebody changed it meanwhile"), place=str(self.path), cure=_("try again"))
            shutil.copy2(self.path, backup)
            _replace(self.path, changed)
        except OSError as error:
            raise InputInvalid(
                f"cannot be written: {error.strerror}", place=str(error.filename or self.path)
            ) from error
        return backup


def _replace(path: Path, content: bytes) -> None:
    """Put the content in the file's place, with the file's mode and, where that is allowed, its owner."""
    state = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fchmod(out.fileno(), state.st_mode & 0o7777)
            with suppress(PermissionError):
                os.fchown(out.fileno(), state.st_uid, state.st_gid)
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
