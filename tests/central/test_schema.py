"""Central's start while its database is away, or not as it should be."""

import asyncio
import re
import socket

import pytest
from sqlalchemy import text

from central.db import open_database
from central.errors import Unavailable
from central.schema import bring_up_to_date, bring_up_when_there


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def relayed(port, to):
    """Listen on a port and pass everything on."""

    async def pump(reader, writer):
        while chunk := await reader.read(65536):
            writer.write(chunk)
        writer.close()

    async def serve(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    return await asyncio.start_server(serve, "127.0.0.1", port)


@pytest.mark.real
async def test_a_database_that_is_not_there_yet_is_waited_for(postgresql_database, capsys):
    url, port = postgresql_database(), unused_port()
    real = int(re.search(r":(\d+)/", url)[1])
    database = open_database(url.replace(f":{real}/", f":{port}/"))
    starting = asyncio.create_task(bring_up_when_there(database, migrate=True))
    async with asyncio.timeout(20):
        while "database.away" not in capsys.readouterr().out:
            await asyncio.sleep(0.05)
        assert not starting.done()
        async with await relayed(port, real):
            assert await starting
            async with database.read() as conn:
                assert (await conn.execute(text("SELECT count(*) FROM event"))).scalar_one() == 0
            await database.close()


async def test_a_schema_that_is_behind_and_may_not_be_changed_is_told_at_once(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/central.db")
    with pytest.raises(Unavailable, match="older than this release"):
        await bring_up_when_there(database, migrate=False)
    assert await bring_up_to_date(database, migrate=True)
    assert not await bring_up_when_there(database, migrate=False)
    await database.close()
