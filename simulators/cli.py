"""`gatefleet sim` and `gatefleet demo`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge.cli.output import Screen
    from simulators.devices import Asked
    from simulators.single import Single

_Seed = Annotated[int, typer.Option(help="The same seed gives the same people and the same truth.")]
_Listen = Annotated[str, typer.Option(metavar="URL", help="Where it listens; else at a free port of loopback.")]
_To = Annotated[str, typer.Option(metavar="URL", help="Whom it calls.")]
_Profile = Annotated[str, typer.Option(metavar="VENDOR/MODEL", help="Another model of it.")]
_Misbehave = Annotated[list[str] | None, typer.Option(metavar="WORD", help="What it does wrong; may be repeated.")]
_Count = Annotated[int, typer.Option(min=1, max=20_000, help="How many terminals, of a device that may be many.")]
_Every = Annotated[float, typer.Option(min=0.05, max=86_400, help="Seconds between two things that happen at it.")]
_User = Annotated[str, typer.Option(metavar="NAME", help="Whom it logs in as, where it pushes.")]
_Password = Annotated[str, typer.Option(metavar="REFERENCE", help="Where its password is: env:NAME or file:/path.")]


def register(root: typer.Typer) -> None:
    """Add the simulators' commands to the root."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    root.command("sim", help="Simulated devices and checkpoints.", context_settings=passed_on)(sim)
    root.command("demo", epilog="gatefleet demo\ngatefleet demo --duration 60 --report out.json")(demo)


def sim(ctx: typer.Context) -> int:
    """Run a command of the simulators: which there are depends on a table that is read only now."""
    arguments = list(ctx.args)
    status = group().main(args=arguments, prog_name="gatefleet sim", standalone_mode=False, obj=ctx.obj)
    return status if isinstance(status, int) else 0


def group() -> Any:
    """Return `gatefleet sim`: a whole site, the list of devices, and a command for each of them."""
    from edge.cli.dress import dress
    from simulators.devices import DEVICES

    app = typer.Typer(name="sim", help="Simulated devices and checkpoints.", cls=_group_class(), add_completion=False)
    app.callback()(_group)
    app.command(
        "site", epilog="gatefleet sim site configs/sites/hengqin-pier.toml --config-out pier.toml --truth truth.jsonl"
    )(site)
    app.command("list", epilog="gatefleet sim list\ngatefleet sim list --json")(list_)
    for made in DEVICES.values():
        help_ = f"Be {made.what}, until Ctrl-C.\n\n{_said(made)}"
        app.command(made.name, help=help_, epilog=_examples(made))(_command(made))
    dress(app)
    return typer.main.get_group(app)


def _group_class() -> Any:
    """Return the class of a group that tells which devices there are."""
    from edge.cli.dress import HelpfulGroup
    from edge.cli.errors import UsageWrong

    class Simulators(HelpfulGroup):
        """A group that tells which commands it has."""

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Return the command that is called; raise UsageWrong with those that there are."""
            names = self.list_commands(ctx)
            if args and args[0] not in names:
                cure = f"one of: {', '.join(names)}"
                raise UsageWrong(f"there is no simulator {args[0]!r}", place=ctx.command_path, cure=cure)
            return super().resolve_command(ctx, args)

    return Simulators


def _group() -> None:
    """Hold the commands together."""


def _said(made: "Single") -> str:
    """Return what can be said to a device, in a paragraph."""
    bad = f"It misbehaves: {', '.join(made.bad)}." if made.bad else "It does not misbehave."
    if made.calls:
        return f"It calls --to {' or '.join(f'{scheme}://host:port' for scheme in made.calls)}. {bad}"
    listens = " or ".join(one if one == "pty" else f"{one}://host:port" for one in made.listens)
    return f"It listens at a free port of loopback, or at {listens}. {bad}"


def _examples(made: "Single") -> str:
    start = f"gatefleet sim {made.name}"
    if made.calls:
        start += f" --to {made.calls[0]}://127.0.0.1:8808"
    more = "--count 100" if made.counts else f"--misbehave {made.bad[0]}"
    return f"{start}\n{start} {more} --json"


def _command(made: "Single") -> Callable[..., int]:
    """Return the command of one device."""
    from simulators.devices import Asked

    def command(
        ctx: typer.Context,
        listen: _Listen = "",
        to: _To = "",
        *,
        seed: _Seed = 1,
        profile: _Profile = "",
        misbehave: _Misbehave = None,
        count: _Count = 1,
        every: _Every = 5.0,
        user: _User = "",
        password: _Password = "",
    ) -> int:
        """Be a device."""
        asked = Asked(listen, to, user, password, profile, misbehave or (), seed, count, every)
        return _be(made, asked, ctx.obj)

    return command


def _be(made: "Single", asked: "Asked", screen: "Screen") -> int:
    import asyncio

    from simulators.devices import run, wish

    def began(told: dict[str, Any]) -> None:
        first, *more = _told_lines(told)
        screen.line(told, first)
        for line in more if not screen.json else ():
            screen.line(None, line)

    def tell(text: str) -> None:
        if not screen.json:
            screen.line(None, f"{made.name}: {text}")

    asyncio.run(run(made, wish(made, asked), began, tell))
    return 0


def _told_lines(told: dict[str, Any]) -> list[str]:
    """Return the address in the first line, then what goes into a site file and into the environment."""
    lines = [f"{told['device']}: {told['url']}"]
    if told["toml"]:
        lines += ["", *told["toml"].splitlines()]
    else:
        lines += [f"{key} = {value}" for key, value in told["settings"].items()]
    return lines + [f"export {name}={shlex.quote(value)}" for name, value in told["environ"].items()]


def list_(ctx: typer.Context) -> int:
    """List the devices that can be simulated by themselves."""
    from simulators.devices import DEVICES

    rows = [
        {
            "device": one.name,
            "what": one.what,
            "profile": one.profile,
            "listens": list(one.listens),
            "calls": list(one.calls),
            "misbehaves": list(one.bad),
        }
        for one in DEVICES.values()
    ]
    columns = ("Device", "What", "Profile", "Listens at", "Calls", "Misbehaves")
    ctx.obj.show(rows, lambda page: page.table(columns, (tuple(row.values()) for row in rows)))
    return 0


def site(
    file: Annotated[Path, typer.Argument(help="A site file.")],
    config_out: Annotated[Path, typer.Option(help="Where to write the file with the links of this run.")],
    truth: Annotated[Path | None, typer.Option(help="Where to write what really happened, one JSON a line.")] = None,
    seed: _Seed = 1,
    duration: Annotated[float, typer.Option(min=0, help="Seconds during which people come; 0: nobody.")] = 60.0,
    gap: Annotated[float, typer.Option(min=0.5, help="Mean seconds between arrivals at one lane.")] = 6.0,
) -> None:
    """Serve every device of a site on loopback sockets and ptys, and let people and vehicles come."""
    import asyncio

    from simulators.standalone import simulate

    asyncio.run(simulate(file, config_out, truth, seed=seed, duration_s=duration, gap_s=gap))


def demo(
    seed: _Seed = 1,
    duration: Annotated[
        float, typer.Option(min=0, help="Seconds; with faults and a reckoning, without the board. 0: until Ctrl-C.")
    ] = 0.0,
    report: Annotated[Path | None, typer.Option(help="Where to write the reckoning, as JSON.")] = None,
) -> int:
    """Run the reference site on this machine: broker, central, its edges with people, vehicles, buses and a cabin.

    Without --duration a live board shows it; with it, the uplink is cut for a third of the time, two edges are killed,
    and the exit status is 0 only if central knows everybody and every position exactly once.
    """
    import asyncio

    if duration:
        from simulators.demo.run import headless

        return asyncio.run(headless(seed, duration, report, lambda text: print(text, flush=True)))
    from simulators.demo.board import live

    return asyncio.run(live(seed))
