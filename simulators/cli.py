"""`gatefleet sim` and `gatefleet demo`."""

from pathlib import Path
from typing import Annotated

import typer

_Seed = Annotated[int, typer.Option(help="The same seed gives the same people and the same truth.")]


def register(root: typer.Typer) -> None:
    """Add the simulators' commands to the root."""
    sim = typer.Typer(name="sim", help="Simulated devices and checkpoints.", no_args_is_help=True)
    sim.callback()(_group)
    sim.command(
        "site", epilog="gatefleet sim site configs/sites/hengqin-pier.toml --config-out pier.toml --truth truth.jsonl"
    )(site)
    root.add_typer(sim)
    root.command("demo", epilog="gatefleet demo\ngatefleet demo --duration 60 --report out.json")(demo)


def _group() -> None:
    """Hold the commands together, also while there is only one."""


def site(
    file: Annotated[Path, typer.Argument(help="A site file.")],
    config_out: Annotated[Path, typer.Option(help="Where to write the file with the links of this run.")],
    truth: Annotated[Path | None, typer.Option(help="Where to write what really happened, one JSON a line.")] = None,
    seed: _Seed = 1,
    duration: Annotated[float, typer.Option(min=0, help="Seconds during which people come; 0: nobody.")] = 60.0,
    gap: Annotated[float, typer.Option(min=0.5, help="Mean seconds between arrivals at one lane.")] = 6.0,
) -> None:
    """Serve every device of a site on loopback sockets and ptys, and let people come."""
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
    """Run the whole reference site on this machine: broker, central, seven edges, 69 turnstiles, people.

    Without --duration a live board shows it; with it, the uplink is cut for a third of the time, one edge is killed,
    and the exit status is 0 only if central knows everybody exactly once.
    """
    import asyncio

    if duration:
        from simulators.demo.run import headless

        return asyncio.run(headless(seed, duration, report, lambda text: print(text, flush=True)))
    from simulators.demo.board import live

    return asyncio.run(live(seed))
