"""docs/cli.md can fail: every command is in it, with its examples, and what it says the program prints is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from edge.cli import commands
from edge.cli.dress import dress

DOC = Path(__file__).parents[3] / "docs" / "cli.md"
TEXT = DOC.read_text(encoding="utf-8")


def leaves(group, path="gatefleet"):
    """Return (words, command) of all commands under a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def own_commands():
    root = typer.Typer()
    root.callback()(lambda: None)
    commands.register(root)
    dress(root)
    return list(leaves(typer.main.get_group(root)))


COMMANDS = own_commands()


def sections():
    """Return heading -> text of the commands' sections."""
    parts = re.split(r"^### (.+)$", TEXT.partition("\n## Commands of the other parts")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def console_blocks():
    for number, block in enumerate(re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL)):
        yield pytest.param(block, id=f"block-{number}")


def test_there_are_the_commands_that_are_promised():
    words = {name.removeprefix("gatefleet ") for name, _command in COMMANDS}
    assert words >= {
        *("status", "why", "device list", "device show", "device watch", "gate open", "gate lock", "gate release"),
        *("passage tail", "buffer status", "buffer verify", "buffer repair", "buffer export", "decode", "list apply"),
        *("config check", "ticket list", "ticket show", "ticket take", "ticket resolve", "edge run"),
    }


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _command in COMMANDS])
def test_every_command_has_help_an_example_and_the_common_options(words, command):
    assert command.help
    assert command.epilog
    assert all(line.startswith(words) for line in command.epilog.split("\n"))
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--json", "--lang"} <= flags
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[words for words, _command in COMMANDS])
def test_every_command_is_documented_with_its_examples(words, command):
    assert words in sections(), f"docs/cli.md has no section '### {words}'"
    for line in command.epilog.split("\n"):
        assert f"\n{line}\n" in sections()[words]


def test_no_section_outlives_its_command():
    assert set(sections()) == {words for words, _command in COMMANDS}


@pytest.mark.parametrize("block", list(console_blocks()))
def test_what_the_docs_say_is_printed_is_printed(block, tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    for command, expected in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE):
        done = subprocess.run(
            ["sh", "-c", f"{{ {command}; }} 2>&1"],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert [line.rstrip() for line in done.stdout.splitlines()] == expected.splitlines(), command


def test_the_blocks_are_found():
    assert len(list(console_blocks())) >= 4
    assert sum(block.values[0].count("\n$ ") + 1 for block in console_blocks()) >= 8
