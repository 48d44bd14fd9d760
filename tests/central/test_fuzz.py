"""Whatever is sent to any route of central, the answer is no mistake of ours, and every error is a problem."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from central.access.service import Access, NewKey
from central.app import Central, build
from central.config import parse_config
from central.db import open_database
from central.migrations import upgrade
from core.crypto import suite

pytestmark = pytest.mark.slow

EXAMPLES = 25
CONFIG = """
schema = 1
[database]
url = "{url}"
[mqtt]
url = "mqtt://127.0.0.1:1"
[crypto]
suite = "intl"
signing_key = "file:{home}/signing.key"
token_key = "file:{home}/token.key"
"""


async def _set_up(url: str) -> str:
    database = open_database(url)
    async with database.begin() as conn:
        await upgrade(conn)
        _, key = await Access(database).create(conn, NewKey("fuzzer", ["admin"], ["*"]), by="test")
    await database.close()
    return key


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Hypothesis calls plain functions: one loop for all their requests."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def central(runner: asyncio.Runner, database_url: str, tmp_path: Path) -> Iterator[Central]:
    (tmp_path / "signing.key").write_text(suite("intl").generate().secret_text())
    (tmp_path / "token.key").write_text("00" * 32)
    made = build(parse_config(CONFIG.format(url=database_url, home=tmp_path), "test"))
    yield made
    runner.run(made.database.close())


def test_no_request_is_answered_with_a_mistake_of_ours(
    runner: asyncio.Runner, central: Central, database_url: str
) -> None:
    key = runner.run(_set_up(database_url))
    headers = {"Authorization": f"Bearer {key}", "If-Match": "*"}
    transport = httpx.ASGITransport(central.api, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://central", headers=headers)
    schema = schemathesis.openapi.from_dict(central.api.openapi())
    wrong: dict[str, str] = {}
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def probe(case: schemathesis.Case) -> None:
            sent = _sent(case)
            answer = runner.run(client.request(**sent))
            if answer.status_code == 500:
                wrong[f"{case.method} {case.path}"] = f"{sent}: {answer.text}"
            elif answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"

        probe()
    runner.run(client.aclose())
    assert wrong == {}


def _sent(case: schemathesis.Case) -> dict[str, Any]:
    sent = case.as_transport_kwargs(base_url="http://central")
    sent["headers"] = {
        name: value for name, value in dict(sent.get("headers") or {}).items() if name.lower() != "authorization"
    }
    return {name: sent[name] for name in ("method", "url", "params", "json", "headers") if sent.get(name) is not None}
