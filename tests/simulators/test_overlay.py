"""A site file made fit to run here: links, secrets and peers of this run, and nothing of the real site's."""

import tomllib
from pathlib import Path

import pytest

from edge.config import load_config, parse_config
from simulators.overlay import Here, overlaid
from simulators.site_secrets import references, secret, secret_file, write_secrets

SITES = Path(__file__).parents[2] / "configs" / "sites"
FILES = sorted(SITES.glob("*.toml"))


def here(folder, *, cabins=False):
    seal_key = f"file:{folder / 'seal.key'}" if cabins else ""
    return Here(folder, "mqtt://127.0.0.1:9", "", "", f"file:{folder / 'token.key'}", (), seal_key=seal_key)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_stays_whole_and_its_secrets_are_files_of_this_run(path, tmp_path):
    raw = path.read_bytes()
    text = overlaid(raw, here(tmp_path, cabins=b'kind = "cabin"' in raw), {})
    write_secrets(tmp_path, tomllib.loads(raw.decode()))
    assert parse_config(text.encode(), path.name).devices.keys() == load_config(path).devices.keys()
    table = tomllib.loads(text)
    found = [reference for device in table.get("device", ()) for reference in references(device)]
    assert all(Path(one.removeprefix("file:")).read_text(encoding="utf-8").startswith("simulated ") for one in found)
    peers = {peer for device in table.get("device", ()) for peer in device.get("access", {}).get("peers", ())}
    assert peers <= {"127.0.0.0/8"}
    assert "credential:" not in str(table)
    assert not any("hours" in lane.get("rules", {}) for lane in table.get("lane", ()))


def test_two_references_are_two_secrets_and_files_that_only_their_owner_reads(tmp_path):
    table = {"device": [{"settings": {"key": "env:A", "n": 3}, "access": {"users": {"u": "credential:b/../c"}}}]}
    write_secrets(tmp_path, table)
    files = [secret_file(tmp_path, reference) for reference in ("env:A", "credential:b/../c")]
    assert [path.read_text(encoding="utf-8") for path in files] == [secret("env:A"), secret("credential:b/../c")]
    assert {path.parent for path in files} == {tmp_path / "secrets"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
