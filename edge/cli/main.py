"""`gatefleet`: the technician's tool. One root command; edge, central and simulators add theirs by entry points.

Start-up counts: a part is imported only when one of its commands is called, so that `status` answers at once and works
where the other parts are not installed.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from core.errors import GatefleetError
from edge.cli import commands, language
from edge.cli.dress import HelpfulGroup, JsonOption, LangOption, dress
from edge.cli.errors import Exit, NotInstalled, UsageWrong
from edge.cli.language import N_, _
from edge.cli.output import Screen, standard

GROUP: Final = "gatefleet.commands"
OWN: Final = "edge"
ABSENT: Final[Mapping[str, tuple[str, str]]] = {
    "central": ("central", N_("The central aggregator: set up, run, keys.")),
    "sim": ("sim", N_("Simulated devices and checkpoints.")),
    "demo": ("sim", N_("The whole reference site on this machine, without devices.")),
}
"""Commands of other parts: the entry point (and the extra to install), and a line for the root's help."""

HELP: Final = N_(
    "gatefleet: the technician's tool of a border checkpoint's edge.\n\n"
    "It finds the daemons of this machine by their sockets and works with the uplink down."
)
EXAMPLES: Final = 'gatefleet status\ngatefleet why gate-03\ngatefleet gate open E03 --reason "stuck traveller"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; return its exit status. No traceback reaches the user."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    language.speak(language.choose(given, os.environ))
    screen = standard(json_wanted="--json" in given[: given.index("--") if "--" in given else None])
    try:
        return _run(given, screen)
    except GatefleetError as error:
        return screen.error(error)
    except ModuleNotFoundError as error:
        return screen.error(_missing(given, error))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:  # the outermost frame: a bug is told, not thrown at the technician
        if os.environ.get("GATEFLEET_DEBUG"):
            raise
        detail = f"{type(error).__name__}: {error}"
        return screen.error(GatefleetError(detail, cure=_("report it, with what GATEFLEET_DEBUG=1 shows")))


def _run(given: Sequence[str], screen: Screen) -> int:
    wanted = language.asked(given)
    if wanted and not language.known(wanted):
        known = ", ".join(language.LANGUAGES)
        raise UsageWrong(_("unknown language {name!r}").format(name=wanted), place="--lang", cure=known)
    group = build(first_word(given))
    try:
        status = group.main(args=list(given), prog_name="gatefleet", standalone_mode=False, obj=screen)
    except typer.Abort:
        return Exit.INTERRUPTED
    except typer.TyperException as error:
        place = getattr(getattr(error, "ctx", None), "command_path", "gatefleet")
        cure = _("see {command} --help").format(command=place)
        raise UsageWrong(error.format_message(), place=place, cure=cure) from error
    return status if isinstance(status, int) else Exit.OK


def first_word(arguments: Sequence[str]) -> str:
    """Return the command that is called; empty if there is none."""
    words = iter(arguments)
    for word in words:
        if word == "--lang":
            next(words, "")
        elif not word.startswith("-"):
            return word
    return ""


def build(word: str = "") -> Any:
    """Return the root command with what `word` needs; parts that it does not need are shown by name only."""
    root = typer.Typer(
        name="gatefleet", help=_(HELP), epilog=EXAMPLES, cls=HelpfulGroup, add_completion=False, rich_markup_mode=None
    )
    root.callback()(_root)
    commands.register(root)
    if word not in _names(root):
        _mount_others(root, word)
    dress(root)
    return typer.main.get_group(root)


def _names(root: typer.Typer) -> set[str | None]:
    groups = (
        name
        for group in root.registered_groups
        for name in (group.name, group.typer_instance.info.name if group.typer_instance else None)
    )
    return {command.name for command in root.registered_commands} | {name for name in groups if isinstance(name, str)}


def _mount_others(root: typer.Typer, word: str) -> None:
    """Add the part that `word` belongs to, all parts if it is of none we know, and the names of the others."""
    from importlib.metadata import entry_points

    failures: dict[str, str] = {}
    for entry in entry_points(group=GROUP):
        is_known = any(part == entry.name for part, _line in ABSENT.values())
        needed = ABSENT[word][0] == entry.name if word in ABSENT else bool(word) or not is_known
        if needed and entry.name != OWN:
            try:
                entry.load()(root)
            except (ImportError, AttributeError) as error:
                failures[entry.name] = str(error)
    here = _names(root)
    for name, (part, line) in ABSENT.items():
        if name not in here:
            _absent(root, name, line, NotInstalled(failures.get(part, part), cure=_install(part)))


def _absent(root: typer.Typer, name: str, line: str, why: NotInstalled) -> None:
    """Add a command that says why it is not there."""

    def absent() -> None:
        """Say why this command is not there."""
        raise why

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    root.command(name, help=line, context_settings=anything)(absent)


def _install(part: str) -> str:
    return _("install it: pip install 'gatefleet[{part}]'").format(part=part)


def _missing(given: Sequence[str], error: ModuleNotFoundError) -> NotInstalled:
    part = ABSENT.get(first_word(given), (OWN, ""))[0]
    return NotInstalled(str(error), place=f"gatefleet {first_word(given)}", cure=_install(part))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"gatefleet {version('gatefleet')}")
        raise typer.Exit


def _root(
    common_json: JsonOption = False,
    common_lang: LangOption = "",
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help=N_("show the version"))
    ] = False,
) -> None:
    """Take the options that stand before the command; main() has read them."""


if __name__ == "__main__":
    sys.exit(main())
