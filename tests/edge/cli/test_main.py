"""The root command: what is loaded when, who adds commands, and how errors look."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from core.errors import GatefleetError, ListRefused
from edge.cli import commands
from edge.cli.errors import Exit, exit_of
from edge.cli.main import first_word

PROGRAM = Path(sys.executable).with_name("gatefleet")


def _entries(monkeypatch, **registers):
    entries = []
    for name, register in registers.items():

        class Entry:
            def __init__(self, name, register):
                self.name = name
                self._register = register

            def load(self):
                if isinstance(self._register, Exception):
                    raise self._register
                return self._register

        entries.append(Entry(name, register))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)


def test_help_and_status_load_nothing_heavy():
    heavy = ("asyncio", "structlog", "fastapi", "sqlalchemy", "drivers", "central", "simulators", "ssl", "edge.config")
    for arguments in (["--help"], ["status", "--socket", "/nonexistent/x.sock"]):
        code = (
            "import sys, edge.cli.main as m\n"
            f"m.main({arguments!r})\n"
            f"print('LOADED', [n for n in {heavy!r} if n in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "LOADED []", arguments


def test_the_program_and_its_version():
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gatefleet 0.")


def test_no_words_is_the_wish_for_help(run):
    shown = run()
    assert shown.code == 0
    for name in ("status", "central", "sim", "demo", "decode"):
        assert f"  {name} " in shown.out


def test_the_commands_of_other_parts_are_mounted_with_the_common_options(run, monkeypatch):
    seen = []

    def greet(name: str, count: int = 1) -> int:
        """Greet somebody."""
        seen.append((name, count))
        return 7

    def register(root: typer.Typer) -> None:
        app = typer.Typer(help="Central.")
        app.command()(greet)
        app.callback()(lambda: None)
        root.add_typer(app, name="central")

    _entries(monkeypatch, central=register)
    assert run("central", "greet", "li", "--count", "2", "--json", "--lang", "zh_CN").code == 7
    assert seen == [("li", 2)]
    shown = run("central", "greet", "--help")
    assert "Greet somebody." in shown.out
    assert "--json" in shown.out


def test_a_command_with_its_own_json_option_keeps_it(run, monkeypatch):
    from typing import Annotated

    seen = []

    def keys(as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False) -> None:
        """Show keys."""
        seen.append(as_json)

    _entries(monkeypatch, extra=lambda root: root.command("keys")(keys))
    assert run("keys", "--json").code == 0
    assert seen == [True]


@pytest.mark.parametrize("word", ["central", "sim", "demo"])
def test_a_part_that_is_not_installed_is_told_only_when_it_is_called(run, monkeypatch, word):
    failure = ModuleNotFoundError("No module named 'fastapi'")
    _entries(monkeypatch, central=failure, sim=failure)
    shown = run(word, "run", "-c", "x.toml", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "not_installed")
    assert "pip install 'gatefleet[" in shown.json["error"]["cure"]
    assert run("--help").code == 0
    assert run("decode", "plate", "--text", "x").code == 0


def test_a_module_that_is_missing_inside_a_command_is_told(run, monkeypatch):
    def serve() -> None:
        """Serve."""
        raise ModuleNotFoundError("No module named 'uvloop'")

    _entries(monkeypatch, sim=lambda root: root.command("sim")(serve))
    shown = run("sim", "--json")
    assert (shown.code, shown.json["error"]["detail"]) == (1, "No module named 'uvloop'")


def test_a_wrong_command_line_is_exit_status_2(run):
    for words in (("nosuch",), ("status", "--nosuch"), ("gate", "open"), ("status", "--lang", "xx"), ("device",)):
        shown = run(*words)
        assert shown.code == (0 if words == ("device",) else 2), words
    shown = run("statsu", "--json")
    assert shown.json["error"]["code"] == "usage"


def test_a_bug_is_told_without_a_traceback(run, monkeypatch):
    monkeypatch.setattr(commands.status, "ask_all", lambda *_: 1 // 0)
    monkeypatch.setenv("GATEFLEET_SOCKET", "x")
    shown = run("status", "--json")
    assert shown.code == 1
    assert shown.json["error"]["code"] == "internal"
    assert "ZeroDivisionError" in shown.json["error"]["detail"]
    monkeypatch.setenv("GATEFLEET_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("status")


def test_an_error_says_what_where_and_cure(run, monkeypatch):
    def fail(*_):
        raise ListRefused("older than version 7", place="hq-block", cure="fetch the newest")

    monkeypatch.setattr(commands.status, "ask_all", fail)
    monkeypatch.setenv("GATEFLEET_SOCKET", "x")
    assert run("status").err.splitlines() == [
        "Error: the list is refused",
        "  older than version 7",
        "Where: hq-block",
        "Cure: fetch the newest",
    ]
    assert run("status", "--lang", "zh_CN").err.splitlines()[0] == "错误: 名单被拒绝"


def test_every_error_code_of_the_project_has_a_title():
    from edge.cli.output import TITLES

    ours = {one.code for one in GatefleetError.BY_CODE.values() if one.__module__ in {"core.errors", "edge.cli.errors"}}
    assert ours - {"told"} <= set(TITLES)
    assert exit_of(ListRefused("x")) == Exit.FAILED


def test_the_command_is_found_behind_options():
    assert first_word(["--lang", "zh_CN", "--json", "status", "-x"]) == "status"
    assert first_word(["--json"]) == ""


def test_edge_run_of_a_bad_file_is_exit_status_2(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("schema = 1\n", encoding="utf-8")
    done = subprocess.run([PROGRAM, "edge", "run", "-c", file, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "config_invalid"
