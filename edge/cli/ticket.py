"""`gatefleet ticket list|show|take|resolve`: a technician's tickets at central, by its REST API."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from core.errors import MessageInvalid
from edge.cli.errors import Exit
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen, cell, local_time, rows_of, section

if TYPE_CHECKING:
    from edge.cli.central_api import Central

PATH: Final = "/v1/tickets"
MAX_LISTED: Final = 500
GROUP_HELP: Final = N_("Tickets at central.")
LIST_HELP: Final = N_("List tickets.")
LIST_EXAMPLES: Final = "gatefleet ticket list --central https://central.example\ngatefleet ticket list --state assigned"
SHOW_HELP: Final = N_("Show one ticket with its history.")
SHOW_EXAMPLES: Final = "gatefleet ticket show T-20261121-0007"
TAKE_HELP: Final = N_("Take a ticket: you work on it now.")
TAKE_EXAMPLES: Final = "gatefleet ticket take T-20261121-0007"
RESOLVE_HELP: Final = N_(
    "Resolve a ticket.\n\n"
    "RESOLUTION is one of: reset, reconfigure, repair, replace_part, replace_unit, firmware, "
    "network, power, external, no_fault_found, duplicate."
)
RESOLVE_EXAMPLES: Final = 'gatefleet ticket resolve T-20261121-0007 --as repair --note "hinge greased"'
CentralOption = Annotated[
    str | None, typer.Option("--central", metavar="URL", help=N_("central's address, else GATEFLEET_CENTRAL"))
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help=N_("file with the API key, else GATEFLEET_API_KEY"))
]
TicketArgument = Annotated[str, typer.Argument(metavar="TICKET", help=N_("its code"))]


def register(root: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(name="ticket", help=GROUP_HELP)
    app.command("list", help=LIST_HELP, epilog=LIST_EXAMPLES)(list_)
    app.command("show", help=SHOW_HELP, epilog=SHOW_EXAMPLES)(show)
    app.command("take", help=TAKE_HELP, epilog=TAKE_EXAMPLES)(take)
    app.command("resolve", help=RESOLVE_HELP, epilog=RESOLVE_EXAMPLES)(resolve)
    root.add_typer(app)


def list_(
    ctx: typer.Context,
    state: Annotated[str, typer.Option("--state", metavar="STATE", help=N_("only in this state"))] = "",
    site: Annotated[str, typer.Option("--site", metavar="SITE", help=N_("only of this site"))] = "",
    url: CentralOption = None,
    key_file: KeyFileOption = None,
) -> Exit:
    """List tickets."""
    screen: Screen = ctx.obj
    tickets, more = _listed(_central(url, key_file), {"state": state, "site": site})
    columns = (_("Ticket"), _("Priority"), _("State"), _("Asset"), _("Lane"), _("Title"), _("Assignee"), _("Since"))
    screen.show(tickets, lambda page: page.table(columns, map(_row, tickets)))
    if more:
        screen.note(_("more than {limit} tickets: narrow it with --state or --site").format(limit=MAX_LISTED))
    return Exit.OK


def _listed(api: "Central", query: Mapping[str, str]) -> tuple[list[Mapping[str, Any]], bool]:
    """Return tickets page by page, bounded, and whether there are more."""
    tickets: list[Mapping[str, Any]] = []
    cursor = ""
    while len(tickets) < MAX_LISTED:
        page = api.get(PATH, {**query, "limit": "100", "cursor": cursor}).data
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise MessageInvalid(_("not a page of tickets"), place=api.url)
        tickets += rows_of(page, "items")
        cursor = str(page.get("next_cursor") or "")
        if not cursor or not page["items"]:
            return tickets, False
    return tickets[:MAX_LISTED], True


def _row(ticket: Mapping[str, Any]) -> tuple[object, ...]:
    keys = ("code", "priority", "state", "asset", "lane", "title", "assignee")
    return (*(ticket.get(key) for key in keys), local_time(ticket.get("state_since")))


def show(ctx: typer.Context, ticket: TicketArgument, url: CentralOption = None, key_file: KeyFileOption = None) -> Exit:
    """Show one ticket."""
    api = _central(url, key_file)
    ticket_itself = _object(api.get(_path(ticket)).data)
    log = api.get(f"{_path(ticket)}/events", {"limit": str(MAX_LISTED)}).data
    data = {**ticket_itself, "events": rows_of(_object(log), "items")}
    screen: Screen = ctx.obj
    screen.show(data, lambda page: _write(page, data))
    return Exit.OK


def take(ctx: typer.Context, ticket: TicketArgument, url: CentralOption = None, key_file: KeyFileOption = None) -> Exit:
    """Take a ticket."""
    return _act(ctx.obj, _central(url, key_file), ticket, "assign", {})


def resolve(
    ctx: typer.Context,
    ticket: TicketArgument,
    *,
    resolution: Annotated[str, typer.Option("--as", metavar="RESOLUTION", help=N_("what cured it"))],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help=N_("what was done"))],
    url: CentralOption = None,
    key_file: KeyFileOption = None,
) -> Exit:
    """Resolve a ticket."""
    body = {"resolution_code": resolution, "note": note}
    return _act(ctx.obj, _central(url, key_file), ticket, "resolve", body)


def _act(screen: Screen, api: "Central", ticket: str, verb: str, body: Mapping[str, Any]) -> Exit:
    """Do one thing to the ticket as it is now: if somebody changes it in between, central refuses."""
    seen = api.get(_path(ticket))
    data = _object(api.post(f"{_path(ticket)}:{verb}", body, if_match=seen.etag).data)
    screen.show(data, lambda page: _write(page, data))
    return Exit.OK


def _central(url: str | None, key_file: Path | None) -> "Central":
    from edge.cli.central_api import central

    return central(url, key_file)


def _path(ticket: str) -> str:
    from urllib.parse import quote

    return f"{PATH}/{quote(ticket, safe='')}"


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise MessageInvalid(_("not a ticket"))
    return data


def _write(page: Page, ticket: Mapping[str, Any]) -> None:
    page.heading(f"{cell(ticket.get('code'))}  {cell(ticket.get('title'))}")
    page.fields(
        [
            (_("State"), _("{state} since {time}").format(**_state(ticket))),
            (_("Priority"), ticket.get("priority")),
            (_("Asset"), ticket.get("asset")),
            (_("Lane"), ticket.get("lane")),
            (_("Assignee"), ticket.get("assignee")),
            (_("Description"), ticket.get("description")),
            (_("Fault"), ticket.get("fault_class")),
            (_("Resolution"), ticket.get("resolution_code")),
            (_("Solution"), ticket.get("solution")),
        ]
    )
    if events := rows_of(ticket, "events"):
        columns = (_("Time"), _("By"), _("What"), _("State"), _("Detail"))
        page.table(
            columns,
            (
                (
                    local_time(one.get("at")),
                    one.get("actor"),
                    one.get("kind"),
                    one.get("state"),
                    section(one, "payload"),
                )
                for one in events
            ),
        )


def _state(ticket: Mapping[str, Any]) -> dict[str, str]:
    return {"state": cell(ticket.get("state")), "time": local_time(ticket.get("state_since"))}
