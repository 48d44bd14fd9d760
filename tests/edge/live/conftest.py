"""A live view without its daemon: the simulated camera, grants of a central, and a memory that can be looked at."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import Unsupported
from core.messages.ids import ulid
from core.messages.view_grant import ViewGrant
from edge.ledger import Ledger
from edge.live.grants import Grants
from edge.live.live import Live
from edge.live.rtsp import Times
from edge.sections import LiveSection
from simulators.jpeg import moving_picture

EDGE = "north.eyes"
START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
"""When the clock that is set by hand begins."""
QUICK = Times(connect_s=1.0, answer_s=1.0, silent_s=1.0)


async def until(true, seconds=5.0):
    """Return once something is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def new_id():
    return ulid(1, secrets.token_bytes(10))


def grant(signer, *, edge=EDGE, device="cam-1", at=START, expires_s=60, for_s=600, actor="duty officer", id_=""):
    made = ViewGrant(
        id=id_ or new_id(),
        edge=edge,
        device=device,
        actor=actor,
        issued_at=at,
        expires_at=at + timedelta(seconds=expires_s),
        until=at + timedelta(seconds=for_s),
    )
    return made.text(signer)


@dataclass
class Eye:
    """A camera as the live view sees it."""

    url: str = "rtsp://127.0.0.1:9/none"
    login: object = None
    stills: object = None
    """True: it makes pictures; an error: it raises that; None: it makes none."""
    asked: int = 0

    def stream(self):
        return self.url, self.login

    async def still(self):
        self.asked += 1
        if self.stills is None:
            raise Unsupported("no pictures of its own")
        if isinstance(self.stills, Exception):
            raise self.stills
        return moving_picture(self.asked)


@dataclass
class House:
    """A live view that runs."""

    live: Live
    shelf: object
    eyes: dict[str, Eye] = field(default_factory=dict)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.live.port}/live"


@pytest.fixture
def make_live(shelf, clock, trusted):
    """Run a live view over some cameras meanwhile."""

    @contextlib.asynccontextmanager
    async def running(eyes, **settings):
        ledger = Ledger(shelf, clock.stamp)
        grants = Grants(EDGE, trusted, clock, shelf, ledger)
        live = Live(LiveSection(**settings), eyes, grants, ledger, new_id=new_id, times=QUICK)
        tasks = [asyncio.create_task(live.run()), asyncio.create_task(ledger.run_told())]
        try:
            async with asyncio.timeout(5):
                await live.listening.wait()
            yield House(live, shelf, eyes)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    return running
