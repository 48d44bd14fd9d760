"""Who may look at which camera: grants of central."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import zstandard

from central.access.routes import authenticator
from central.access.service import Access, NewKey
from central.batches import Inbound, read
from central.bus import Bus
from central.fleet.view_routes import camera_routes
from central.fleet.views import Cameras
from central.http import create_api
from central.ingest import Ingest
from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Stream
from core.messages.view_events import CameraOffered
from core.messages.view_grant import ViewGrant

KEY = SigningKey(suite("intl").generate())
TRUSTED = TrustedKeys([KEY.public])
STAMP = Stamp(datetime(2026, 3, 1, 1, 2, 3, tzinfo=UTC), 1, "boot-1", ClockSource.NTP, 0, 1)
URL = "https://gate.example/eyes"


class Centre:
    """The cameras with their API."""

    def __init__(self, database, metrics):
        self.database = database
        self.bus = Bus(database, metrics)
        self.ingest = Ingest(database, self.bus, metrics)
        self.access = Access(database)
        cameras = Cameras(KEY)
        cameras.register(self.bus)
        api = create_api(
            database=database,
            authenticate=authenticator(self.access),
            metrics=metrics,
            routers=[camera_routes(cameras)],
            version="1",
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://central")
        self._seq = {}

    async def key(self, *scopes, sites=("*",)):
        async with self.database.begin() as conn:
            _, key = await self.access.create(conn, NewKey("duty officer", scopes, sites), by="test")
        self.client.headers["Authorization"] = f"Bearer {key}"

    async def offer(self, device="dome-1", url=URL, edge="north.eyes"):
        seq = self._seq[edge] = self._seq.get(edge, 0) + 1
        body = pack(CameraOffered(device=device, live_url=url), STAMP).body
        entry = place(body, source=edge, epoch="E", stream="state", seq=seq, after=seq - 1)
        payload = zstandard.ZstdCompressor().compress(join_batch([entry]))
        await self.ingest.store([read(Inbound(edge, Stream.STATE, payload))])

    async def ask(self, camera="dome-1", key=None, **body):
        headers = {"Idempotency-Key": key} if key else {}
        return await self.client.post(
            f"/v1/cameras/{camera}/views", json={"reason": "crowd at gate 3"} | body, headers=headers
        )


@pytest.fixture
async def centre(database, metrics):
    made = Centre(database, metrics)
    await made.key("admin")
    yield made
    await made.client.aclose()


async def test_a_grant_names_edge_camera_viewer_and_time_and_only_the_signature_makes_it_good(centre):
    await centre.offer()
    before = datetime.now(UTC)
    answer = await centre.ask()
    assert answer.status_code == 201
    told = answer.json()
    assert told["url"] == f"{URL}/live/dome-1#{told['grant']}"
    grant = ViewGrant.read(told["grant"], TRUSTED)
    assert (grant.id, grant.edge, grant.device, grant.actor) == (told["id"], "north.eyes", "dome-1", "duty officer")
    assert timedelta(seconds=59) < grant.expires_at - before < timedelta(seconds=70)
    assert timedelta(seconds=599) < grant.until - before < timedelta(seconds=610)
    assert datetime.fromisoformat(told["expires_at"]) == grant.expires_at


async def test_who_may_look_and_why_is_written_down_without_the_grant(centre):
    await centre.offer()
    grant = (await centre.ask(for_s=30)).json()["grant"]
    answer = await centre.client.get("/v1/cameras/dome-1/views")
    (row,) = answer.json()["items"]
    assert (row["actor"], row["reason"], row["edge"]) == ("duty officer", "crowd at gate 3", "north.eyes")
    assert grant not in answer.text
    assert row["expires_at"] == row["until"]


async def test_a_retry_is_the_same_grant(centre):
    await centre.offer()
    first, second = await centre.ask(key="k1"), await centre.ask(key="k1")
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len((await centre.client.get("/v1/cameras/dome-1/views")).json()["items"]) == 1
    assert (await centre.ask(key="k1", for_s=20)).status_code == 422


async def test_who_lacks_the_scope_or_the_site_gets_nothing(centre):
    await centre.offer()
    await centre.offer(edge="south.eyes", device="dome-2")
    await centre.key("fleet:read", "lanes:command")
    assert (await centre.ask()).status_code == 403
    await centre.key("cameras:view", "fleet:read", sites=("south",))
    assert (await centre.ask()).status_code == 403
    assert (await centre.ask("dome-2")).status_code == 201
    listed = (await centre.client.get("/v1/cameras")).json()["items"]
    assert [one["id"] for one in listed] == ["south.eyes.dome-2"]
    assert (await centre.client.get("/v1/cameras/dome-2/views")).status_code == 403, "that is the audit's"
    del centre.client.headers["Authorization"]
    assert (await centre.ask()).status_code == 401


async def test_a_camera_that_shows_nothing_gets_no_grant_and_the_last_word_counts(centre):
    await centre.offer(url="")
    answer = await centre.ask()
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/camera_dark")
    await centre.offer()
    assert (await centre.ask()).status_code == 201
    await centre.offer(url="")
    assert (await centre.ask()).status_code == 409
    assert (await centre.client.get("/v1/cameras")).json()["items"][0]["live"] is False


async def test_a_name_that_two_have_must_be_said_whole(centre):
    await centre.offer()
    await centre.offer(edge="south.eyes")
    answer = await centre.ask()
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/camera_ambiguous")
    assert (await centre.ask("south.eyes.dome-1")).status_code == 201
    assert (await centre.ask("nobody")).status_code == 404


async def test_who_covers_one_site_means_its_camera_and_hears_of_no_other(centre):
    await centre.offer()
    await centre.offer(edge="south.eyes")
    await centre.offer(edge="west.eyes")
    await centre.key("cameras:view", sites=("south",))
    answer = await centre.ask()
    assert answer.status_code == 201
    assert ViewGrant.read(answer.json()["grant"], TRUSTED).edge == "south.eyes"
    await centre.key("cameras:view", sites=("east",))
    answer = await centre.ask()
    assert answer.status_code == 403
    assert ".eyes" not in answer.text


@pytest.mark.parametrize("url", ["javascript:alert(1)//", "data:text/html,x", "gate.example"])
async def test_an_address_that_is_not_the_webs_is_as_none(centre, url):
    await centre.offer(url=url)
    assert (await centre.ask()).status_code == 409


@pytest.mark.parametrize("body", [{"reason": ""}, {"for_s": 5}, {"for_s": 3601}, {"edge": "x"}])
async def test_a_wish_that_cannot_be_is_refused(centre, body):
    await centre.offer()
    assert (await centre.ask(**body)).status_code == 422
