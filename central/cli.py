"""`gatefleet central`: set up, run, keys."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

_ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.", show_default=True)]
_DEFAULT = Path("/etc/gatefleet/central.toml")


def register(root: typer.Typer) -> None:
    """Add central's commands to the root."""
    central = typer.Typer(help="The central aggregator: set up, run, keys.", no_args_is_help=True)
    key = typer.Typer(help="API keys.", no_args_is_help=True)
    central.command()(run)
    central.command()(init)
    central.command()(reproject)
    key.command("create")(create_key)
    central.add_typer(key, name="key")
    root.add_typer(central, name="central")


def run(config: _ConfigFile = _DEFAULT) -> None:
    """Run central until it is told to stop.

    Example: gatefleet central run -c central.toml
    """
    import gc

    import uvloop

    from central import log
    from central.app import run as run_central
    from central.config import load_config

    loaded = load_config(config)
    log.configure(loaded.log.level)
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: the collector need not look at it
    gc.set_threshold(20_000, 20, 20)  # a group of batches makes many objects and few cycles
    uvloop.run(run_central(loaded))


def init(
    config: _ConfigFile = _DEFAULT,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make the database, the keys that are not there yet, and the first API key, which is shown once.

    Example: gatefleet central init -c central.toml
    """
    from dataclasses import asdict

    from central.config import load_config
    from central.setup import set_up

    done = asyncio.run(set_up(load_config(config)))
    if json_output:
        typer.echo(json.dumps(asdict(done)))
        return
    typer.echo("The schema was brought up to date." if done.migrated else "The schema was up to date.")
    for reference in done.made:
        typer.echo(f"Made {reference}.")
    typer.echo(f"Public key, for crypto.trusted_keys of the edges: {done.public_key}")
    if done.api_key is None:
        typer.echo("There are API keys already; `gatefleet central key create` makes another.")
    else:
        typer.echo(f"The first API key (scope admin, all sites), shown this once: {done.api_key}")


def create_key(
    name: Annotated[str, typer.Option(help="Who bears it; the audit keeps this name.")],
    scope: Annotated[list[str], typer.Option(help="What it may do; may be given more than once.")],
    config: _ConfigFile = _DEFAULT,
    site: Annotated[list[str] | None, typer.Option(help="Where; more than once; all sites unless given.")] = None,
    days: Annotated[int, typer.Option(min=0, help="Days until it ends; 0: never.")] = 0,
) -> None:
    """Make an API key; it is shown once.

    Example: gatefleet central key create -c central.toml --name monitor --scope fleet:read --site hengqin-bridge
    """
    from central.access.service import NewKey
    from central.config import load_config
    from central.setup import make_key

    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    new = NewKey(name, scope, site or ["*"], expires_at=expires_at)
    typer.echo(asyncio.run(make_key(load_config(config), new)))


def reproject(config: _ConfigFile = _DEFAULT) -> None:
    """Project events that were stored while their projection failed or their type was unknown.

    Example: gatefleet central reproject -c central.toml
    """
    from central.app import build
    from central.config import load_config
    from central.reproject import reproject as reproject_events

    async def work() -> tuple[int, int]:
        central = build(load_config(config))
        try:
            return await reproject_events(central.database, central.bus)
        finally:
            await central.database.close()

    done, failing = asyncio.run(work())
    typer.echo(f"{done} events projected, {failing} still fail.")
    if failing:
        raise typer.Exit(1)
