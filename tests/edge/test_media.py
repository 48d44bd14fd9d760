"""What terminals send beside positions, through a whole daemon: durable first, then confirmed."""

import asyncio

import pytest

from core.messages.event import Stream
from simulators.jt808 import Terminal

from .test_all_devices import device, running, site, stored, unused_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("version", [2013, 2019])
async def test_a_picture_is_on_the_disk_when_it_is_confirmed(nook, version):
    port = unused_port()
    settings = {"terminals": ["138*"], "auth_key": f"file:{nook / 'auth.key'}"}
    devices = [device("LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{port}", settings)]
    picture = b"\xff\xd8\xff" + bytes(range(256)) * 20
    async with running(site(nook, devices)) as parts:
        terminal = Terminal("13800000001", version, seed=1)
        assert await terminal.connect("127.0.0.1", port)
        await terminal.send_media(7, picture)
        (media,) = await stored(parts, Stream.STATE, "MediaTaken")  # confirmed: so it is there already
        (path,) = (nook / "buffer.db-media").iterdir()
        assert path.read_bytes() == picture
        assert (media["device"], media["terminal"].lstrip("0"), media["media_id"]) == ("LOC", "13800000001", 7)
        assert media["file"] == {
            "role": "", "media_type": "image/jpeg", "digest": f"sha256:{path.stem}", "bytes": len(picture),
        }  # fmt: skip
        await terminal.send_media(7, picture)
        assert len(list((nook / "buffer.db-media").iterdir())) == 1
        terminal.cut()


async def test_where_it_cannot_be_stored_it_is_not_confirmed(nook):
    port = unused_port()
    settings = {"terminals": ["138*"], "auth_key": f"file:{nook / 'auth.key'}"}
    devices = [device("LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{port}", settings)]
    async with running(site(nook, devices)) as parts:
        (nook / "buffer.db-media").write_text("in the way", encoding="utf-8")
        terminal = Terminal("13800000001", 2013, seed=1)
        assert await terminal.connect("127.0.0.1", port)
        sending = asyncio.create_task(terminal.send_media(7, b"\xff\xd8\xff"))
        async with asyncio.timeout(10):
            while not parts.devices.sessions["LOC"].counts.unconfirmed:
                await asyncio.sleep(0.02)
        assert await terminal.position_confirmed() == 0  # what comes after it is served
        assert not sending.done()
        sending.cancel()
        assert parts.devices.sessions["LOC"].counts.unconfirmed == 1
        assert await stored(parts, Stream.STATE, "MediaTaken") == []
        terminal.cut()
