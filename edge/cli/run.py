"""`gatefleet edge run`: the daemon itself, in the foreground; systemd calls it like this."""

from pathlib import Path
from typing import Annotated, Final

import typer

from edge.cli import seal_key
from edge.cli.language import N_

GROUP_HELP: Final = N_("The daemon of this checkpoint machine.")
RUN_HELP: Final = N_("Run an edge daemon in the foreground until it is told to stop.")
RUN_EXAMPLES: Final = "gatefleet edge run -c /etc/gatefleet/gates.toml"


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="edge", help=GROUP_HELP)
    app.callback()(_group)
    app.command("run", help=RUN_HELP, epilog=RUN_EXAMPLES)(run)
    seal_key.register(app)
    root.add_typer(app)


def _group() -> None:
    """Hold the commands together, also while there is only one."""


def run(config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help=N_("its configuration"))]) -> int:
    """Run the daemon; return its exit status."""
    from edge import daemon

    return daemon.run(config)
