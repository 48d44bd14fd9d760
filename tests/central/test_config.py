import re
from pathlib import Path

import pytest

from central.config import load_config, parse_config, read_secret
from core.errors import ConfigInvalid

SAMPLE = Path(__file__).parents[2] / "configs" / "central.toml"
RIGHT = """
schema = 1
[database]
url = "sqlite:///x.db"
[mqtt]
url = "mqtt://127.0.0.1"
[crypto]
signing_key = "env:A"
token_key = "env:B"
"""


def test_the_sample_loads_and_listens_on_loopback_only() -> None:
    config = load_config(SAMPLE)
    assert config.http.host == "127.0.0.1"
    assert config.crypto.suite == "sm"


def test_every_line_of_the_sample_that_is_commented_out_is_a_key_that_exists() -> None:
    lines = SAMPLE.read_text().splitlines()
    opened, keys = re.subn(r"(?m)^# (?=\w+ = )", "", "\n".join(lines))
    assert keys >= 9
    config = parse_config(opened, "opened")
    assert config.mqtt.shared_group == "ingest"
    assert config.http.tls_cert is not None
    assert config.database.migrates


def test_all_mistakes_are_told_at_once_with_their_keys() -> None:
    text = """
schema = 1
[database]
url = "mysql://x"
color = "red"
[mqtt]
password = "hunter2"
[http]
port = 70000
[crypto]
suite = "rot13"
signing_key = "env:A"
"""
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text, "x.toml")
    told = str(caught.value)
    keys = ["database.url", "database.color", "mqtt.url", "mqtt.password", "http.port", "crypto.suite"]
    for key in [*keys, "crypto.token_key"]:
        assert f"x.toml: {key}: " in told
    assert "there is no such key" in told
    assert "'sm' or 'intl'" in told
    assert "hunter2" not in told


def test_keys_never_travel_in_the_clear_unless_a_proxy_is_named() -> None:
    with pytest.raises(ConfigInvalid, match="in the clear"):
        parse_config(RIGHT + '[http]\nhost = "0.0.0.0"\n', "x")
    assert parse_config(RIGHT + '[http]\nhost = "0.0.0.0"\nbehind_proxy = true\n', "x").http.behind_proxy
    with pytest.raises(ConfigInvalid, match="go together"):
        parse_config(RIGHT + '[http]\ntls_cert = "x"\n', "x")


def test_sqlite_migrates_by_itself_and_postgresql_when_told() -> None:
    assert parse_config(RIGHT, "x").database.migrates
    on_postgresql = RIGHT.replace("sqlite:///x.db", "postgresql://x@y/z")
    assert not parse_config(on_postgresql, "x").database.migrates


@pytest.mark.parametrize("text", ["schema = 2", "[", "schema = 1\nschema = 1"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"x\.toml"):
        parse_config(text, "x.toml")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="-c"):
        load_config(tmp_path / "none.toml")


def test_secrets_are_read_where_they_are_and_named_without_their_value(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    environ = {"A": "s3cret", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for reference in ("env:A", f"file:{tmp_path}/key", "credential:key"):
        assert read_secret(reference, environ) == "s3cret"
    for reference in ("env:B", f"file:{tmp_path}/none", "credential:none"):
        with pytest.raises(ConfigInvalid, match=reference.partition(":")[2]):
            read_secret(reference, environ)
