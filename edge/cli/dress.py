"""What every command gets, whoever wrote it: `--json` and `--lang`, its help in the technician's language, one layout.

Commands are written with English help texts; they are translated when the commands of a run are known.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from edge.cli.language import N_, _
from edge.cli.output import Page, standard

JsonOption = Annotated[bool, typer.Option("--json", help=N_("answer in JSON, errors too"))]
LangOption = Annotated[str, typer.Option("--lang", metavar="LANG", help=N_("language of texts: en or zh_CN"))]
_HELP_OPTION: Final = N_("show this help")


class HelpfulCommand(TyperCommand):
    """A command whose help is ours."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 we write with rich, not with the formatter
        """Write the help."""
        _write_help(self, ctx, ())


class HelpfulGroup(TyperGroup):
    """A group whose help is ours; without a command it shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take no words as the wish for help."""
        return super().parse_args(ctx, args or ["--help"])

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 as above
        """Write the help, with the commands of the group."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, command.help or "") for name, command in commands if command and not command.hidden]
        _write_help(self, ctx, [(name, help_.partition("\n")[0]) for name, help_ in rows])


def dress(app: typer.Typer) -> None:
    """Give all commands of an app the common options, the translated help and the layout."""
    for command in app.registered_commands:
        assert command.callback is not None
        command.help = _(command.help or inspect.getdoc(command.callback) or "")
        command.cls = HelpfulCommand
        command.callback = with_common_options(command.callback)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        inner = group.typer_instance.info
        help_ = group.help if isinstance(group.help, str) else inner.help
        group.help = _(help_) if isinstance(help_, str) else help_
        group.cls = HelpfulGroup
        dress(group.typer_instance)


def with_common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with `--json` and `--lang`, which main() has read already. What it has itself it keeps."""
    signature = inspect.signature(command)
    taken = set(signature.parameters) | {flag for one in signature.parameters.values() for flag in _flags(one)}
    wanted = (("json", "--json", JsonOption, False), ("lang", "--lang", LangOption, ""))
    extra = [
        inspect.Parameter(f"common_{name}", inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, flag, kind, default in wanted
        if flag not in taken and name not in taken
    ]

    @functools.wraps(command)
    def dressed(**values: Any) -> Any:
        return command(**{name: value for name, value in values.items() if not name.startswith("common_")})

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values()]
    dressed.__signature__ = signature.replace(parameters=[*parameters, *extra])  # type: ignore[attr-defined]  # read by inspect
    return dressed


def _flags(parameter: inspect.Parameter) -> Iterable[str]:
    """Return the flags that a parameter declares, such as `--json`."""
    for note in (*getattr(parameter.annotation, "__metadata__", ()), parameter.default):
        yield from (word for word in getattr(note, "param_decls", None) or () if isinstance(word, str))
        default = getattr(note, "default", None)
        if isinstance(default, str) and default.startswith("-"):
            yield default


def _write_help(command: Any, ctx: Any, commands: Iterable[tuple[str, str]]) -> None:
    shown = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    arguments = [_argument(one) for one in shown if one.param_type_name == "argument"]
    options = [_option(one, ctx) for one in shown if one.param_type_name != "argument"]
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    sections = ((_("Arguments"), arguments), (_("Options"), options), (_("Commands"), list(commands)))

    def write(page: Page) -> None:
        page.text(f"{_('Usage')}: {usage}\n")
        if command.help:
            page.text(command.help + "\n")
        if command.epilog:
            page.heading(_("Examples"))
            page.text("".join(f"  {line}\n" for line in command.epilog.split("\n")))
        for title, rows in sections:
            if rows:
                page.heading(title)
                page.fields((f"  {name}", text) for name, text in rows)
                page.text("")

    standard(json_wanted=False).show(None, write)


def _argument(parameter: Any) -> tuple[str, str]:
    return parameter.metavar or parameter.name.upper(), _(parameter.help or "")


def _option(parameter: Any, ctx: Any) -> tuple[str, str]:
    """Return an option's flags and its text, with what it is where it is not given."""
    flags = parameter.get_help_record(ctx)[0]
    text = _(_HELP_OPTION if "--help" in parameter.opts else parameter.help or "")
    if parameter.required:
        return flags, f"{text} ({_('required')})"
    default = parameter.default
    if isinstance(default, bool) or not isinstance(default, int | float | str | Path) or default == "":
        return flags, text
    return flags, f"{text} ({_('default: {value}').format(value=default)})"
