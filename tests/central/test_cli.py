import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from central.cli import register
from core.crypto import load_private, load_public, suite

APP = typer.Typer()
register(APP)


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "central.toml"
    path.write_text(f"""
schema = 1
[database]
url = "{database_url}"
[mqtt]
url = "mqtt://127.0.0.1:1"
[crypto]
suite = "intl"
signing_key = "file:{tmp_path}/keys/signing.key"
token_key = "file:{tmp_path}/keys/token.key"
""")
    return path


def _call(*arguments: object) -> str:
    done = CliRunner().invoke(APP, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_init_makes_what_is_missing_and_shows_the_first_key_once(config: Path, tmp_path: Path) -> None:
    first = json.loads(_call("central", "init", "-c", config, "--json"))
    assert first["migrated"]
    assert first["api_key"].startswith("gf_")
    signing = tmp_path / "keys" / "signing.key"
    private = load_private(signing.read_text())
    assert load_public(first["public_key"]) == suite("intl").public_of(private)
    for path in (signing, tmp_path / "keys" / "token.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = json.loads(_call("central", "init", "-c", config, "--json"))
    assert again == first | {"migrated": False, "made": [], "api_key": None}
    text = _call("central", "init", "-c", config)
    assert first["public_key"] in text
    assert "gf_" not in text


def test_keys_are_made_on_the_command_line(config: Path) -> None:
    _call("central", "init", "-c", config)
    made = _call("central", "key", "create", "-c", config, "--name", "monitor", "--scope", "fleet:read", "--site", "n")
    assert made.startswith("gf_")


def test_reproject_with_nothing_to_do_says_so(config: Path) -> None:
    _call("central", "init", "-c", config)
    assert "0 events projected, 0 still fail" in _call("central", "reproject", "-c", config)
