"""`gatefleet edge seal-key`: the key with which this edge seals its boardings. The secret half stays on the machine."""

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from edge.cli.errors import Exit, InputInvalid
from edge.cli.language import N_, _
from edge.cli.output import Page, Screen

GROUP_HELP: Final = N_("The key with which this edge seals its boardings.")
NEW_HELP: Final = N_(
    "Make a new key, and show the public half for central.\n\n"
    "The file is for its owner only, and is never overwritten: central keeps old public keys for old boardings."
)
NEW_EXAMPLES: Final = "gatefleet edge seal-key new /etc/gatefleet/credentials/seal.key"
SHOW_HELP: Final = N_("Show the public half of a key.")
SHOW_EXAMPLES: Final = "gatefleet edge seal-key show /etc/gatefleet/credentials/seal.key"
_MAX_FILE: Final = 4096

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help=N_("where the secret half is"))]


def register(edge: typer.Typer) -> None:
    """Add the group to the edge's."""
    app = typer.Typer(name="seal-key", help=GROUP_HELP)
    app.command("new", help=NEW_HELP, epilog=NEW_EXAMPLES)(new)
    app.command("show", help=SHOW_HELP, epilog=SHOW_EXAMPLES)(show)
    edge.add_typer(app)


def new(
    ctx: typer.Context,
    file: FileArgument,
    suite: Annotated[
        Literal["sm", "intl"], typer.Option("--suite", metavar="sm|intl", help=N_("as in the configuration"))
    ] = "sm",
) -> Exit:
    """Make a key."""
    from core.crypto import suite as suite_of

    crypto = suite_of(suite)
    private = crypto.generate()
    _write(file, private.secret_text() + "\n")
    return _show(ctx.obj, file, crypto.public_of(private))


def show(ctx: typer.Context, file: FileArgument) -> Exit:
    """Show a key's public half."""
    from core.crypto import load_private
    from core.crypto import suite as suite_of

    try:
        with file.open("rb") as source:
            text = source.read(_MAX_FILE).decode("ascii")
    except OSError as error:
        raise InputInvalid(error.strerror or str(error), place=str(file)) from error
    except UnicodeDecodeError:
        raise InputInvalid(_("not a text file"), place=str(file)) from None
    private = load_private(text)
    return _show(ctx.obj, file, suite_of(private.suite).public_of(private))


def _show(screen: Screen, file: Path, public: Any) -> Exit:
    from core.crypto import key_id

    value = {"file": str(file), "key_id": key_id(public), "public_key": public.text}

    def human(page: Page) -> None:
        page.fields(
            [(_("File"), value["file"]), (_("Key id"), value["key_id"]), (_("Public key"), value["public_key"])]
        )
        page.text(_('In the configuration: [crypto] seal_key = "file:{file}"').format(file=value["file"]))
        page.text(
            _("At central: PUT /v1/edges/SITE.NAME/seal-keys/{key} with the public key").format(key=value["key_id"])
        )

    screen.show(value, human)
    return Exit.OK


def _write(file: Path, text: str) -> None:
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:  # noqa: PTH123 (the mode must be right from the start)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        raise InputInvalid(_("there is such a file already"), place=str(file), cure=_("give a new name")) from None
    except OSError as error:
        raise InputInvalid(error.strerror or str(error), place=str(file)) from error
