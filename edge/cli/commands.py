"""The commands of the edge: one module for each group. Importing them is cheap; what is heavy waits inside."""

import typer

from edge.cli import buffer, cabin, camera, config, decode, device, gate, passage, run, status, ticket, why
from edge.cli import list as lists


def register(root: typer.Typer) -> None:
    """Add the edge's commands to the root."""
    for module in (status, device, why, gate, cabin, camera, passage, buffer, decode, config, lists, ticket, run):
        module.register(root)
