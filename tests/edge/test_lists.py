"""Lists at an edge: proved before they are in force, in force until a newer one is whole on disk."""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clearance.lists import make_content, write_delta, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.errors import BufferUnavailable, LinkLost, ListRefused, SignatureInvalid
from core.identity.tokens import identify, subject_token
from core.messages.signed import Signed
from core.messages.wire import Announced, ListAnnouncement
from edge import lists as lists_module
from edge.lists import ListKeeper, https_fetch
from simulators.people import specimen

from .conftest import START, TOKEN_KEY, Heard, until

EDGE = "hengqin-bridge.gates"
SHA = suite("intl").hash


def token(number):
    shown = identify(specimen(number))
    return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), suite("intl").hmac)


def content(version, numbers, list_id="hq-block"):
    rows = [(token(number), ListEntry(f"E{number}")) for number in numbers]
    return make_content(list_id, version, ListEffect.REFUSE, 10, rows)


@dataclass
class Central:
    """What central signs and serves."""

    signer: object
    pages: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    down: bool = False
    serial: int = 0

    def sign(self, purpose, text):
        return Signed.make(purpose, text, self.signer).model_dump_json().encode()

    def publish(self, new, old=None, **changes):
        """Put a snapshot, and a delta from `old`, on the shelf; return how it is announced."""
        head = new.head
        raw = self.sign("snapshot", write_snapshot(new))
        path = f"/v1/lists/{head.list_id}/snapshots/{head.version}/content"
        self.pages[path] = raw
        fields = {
            "list_id": head.list_id,
            "version": head.version,
            "digest": SHA(raw).hex(),
            "size": len(raw),
            "path": path,
        }
        if old is not None:
            delta = path.replace("snapshots", "deltas")
            self.pages[delta] = self.sign("delta", write_delta(old, new))
            fields |= {"delta_path": delta, "delta_from": old.head.version}
        return Announced(**{**fields, **changes})

    def announce(self, *lists, edge=EDGE, serial=None, issued_at=START):
        self.serial += 1
        body = ListAnnouncement(edge=edge, serial=serial or self.serial, issued_at=issued_at, lists=lists)
        return self.sign("list", body.model_dump_json())

    async def fetch(self, path, largest):
        self.fetched.append(path.split("/")[-3])
        if self.down or path not in self.pages:
            raise LinkLost("cannot fetch", place=path)
        if len(self.pages[path]) > largest:
            raise ListRefused("longer than announced", place=path)
        return self.pages[path]


@pytest.fixture
def central(signer):
    return Central(signer)


@pytest.fixture
def make(tmp_path, trusted, central, heard):
    def make(folder="lists", heard=heard):
        return ListKeeper(
            edge=EDGE, folder=tmp_path / folder, verifier=trusted, fetch=central.fetch, tell=heard, digest=SHA
        )

    return make


@pytest.fixture
async def keeper(make):
    keeper = make()
    await keeper.load()
    return keeper


def versions(keeper):
    return {one.list_id: one.version for one in keeper.in_force}


def hits(keeper, number):
    return any(one.entries.get(token(number)) for one in keeper.in_force)


async def test_what_is_announced_is_fetched_proved_and_in_force(keeper, central, heard, tmp_path):
    await keeper.announced(central.announce(central.publish(content(1, [1, 2]))))
    assert versions(keeper) == {"hq-block": 1}
    assert hits(keeper, 1)
    assert not hits(keeper, 3)
    assert keeper.in_force[0].confirmed_at == START
    assert heard.names() == ["ListApplied"]
    assert keeper.entries("hq-block") == 2


async def test_no_document_number_stands_in_any_file_of_the_folder(keeper, central, tmp_path):
    await keeper.announced(central.announce(central.publish(content(1, range(50)))))
    await keeper.announced(central.announce(central.publish(content(2, range(60)), content(1, range(50)))))
    files = list((tmp_path / "lists").iterdir())
    assert len(files) == 3
    for file in files:
        raw = file.read_bytes()
        assert not any(f"U{number:08d}".encode() in raw or b"SPECIMEN" in raw for number in range(60))
    assert token(7).encode() in (tmp_path / "lists" / "hq-block.signed").read_bytes()


async def test_the_next_announcement_renews_the_age_and_fetches_nothing(keeper, central, heard):
    one = central.publish(content(1, [1]))
    await keeper.announced(central.announce(one))
    await keeper.announced(central.announce(one, issued_at=START + timedelta(minutes=1)))
    assert keeper.in_force[0].confirmed_at == START + timedelta(minutes=1)
    assert central.fetched == ["snapshots"]
    assert heard.names() == ["ListApplied"]


async def test_an_empty_list_is_a_list(keeper, central):
    await keeper.announced(central.announce(central.publish(content(1, []))))
    assert versions(keeper) == {"hq-block": 1}


async def test_a_withdrawn_list_disappears_also_from_the_disk(keeper, central, make, tmp_path):
    block, visa = central.publish(content(1, [1])), central.publish(content(1, [2], "visa"))
    await keeper.announced(central.announce(block, visa))
    await keeper.announced(central.announce(visa))
    assert versions(keeper) == {"visa": 1}
    again = make()
    await again.load()
    assert versions(again) == {"visa": 1}


# -- refused ---------------------------------------------------------------------------------------------------------


async def refused(keeper, heard, raw, code):
    """Announce; the old version stays in force and the refusal is an event."""
    before, told = versions(keeper), len(heard.events)
    await keeper.announced(raw)
    assert versions(keeper) == before
    assert heard.names()[told:] == ["ListRejected"]
    assert heard.events[-1].code == code


@pytest.fixture
async def held(keeper, central, heard):
    await keeper.announced(central.announce(central.publish(content(5, [1]))))
    heard.events.clear()
    return keeper


async def test_a_tampered_snapshot_is_refused_whatever_its_digest(held, central, heard):
    one = central.publish(content(6, [1, 2]))
    raw = central.pages[one.path].replace(token(1).encode(), token(3).encode())
    central.pages[one.path] = raw
    await refused(held, heard, central.announce(one), "list_refused")
    fitting = one.model_copy(update={"digest": SHA(raw).hex(), "size": len(raw)})
    await refused(held, heard, central.announce(fitting), "signature_invalid")
    assert hits(held, 1)


async def test_a_snapshot_of_a_stranger_is_refused(held, central, heard, stranger):
    evil = Central(stranger)
    one = evil.publish(content(6, []))
    central.pages |= evil.pages
    await refused(held, heard, central.announce(one), "signature_invalid")


async def test_an_older_version_is_refused(held, central, heard):
    await refused(held, heard, central.announce(central.publish(content(4, []))), "list_refused")


async def test_content_of_another_version_or_list_than_announced_is_refused(held, central, heard):
    newer, other = central.publish(content(7, [])), central.publish(content(6, [], "visa"))
    await refused(held, heard, central.announce(newer.model_copy(update={"version": 6})), "list_refused")
    block = other.model_copy(update={"list_id": "hq-block"})
    await refused(held, heard, central.announce(block), "list_refused")


async def test_content_longer_than_announced_is_refused(held, central, heard):
    one = central.publish(content(6, range(100)))
    await refused(held, heard, central.announce(one.model_copy(update={"size": 10})), "list_refused")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"{}", b"", b"not json"])
async def test_content_that_is_none_is_refused_even_if_the_digest_fits(held, central, heard, raw):
    one = central.publish(content(6, []))
    central.pages[one.path] = raw
    fitting = one.model_copy(update={"digest": SHA(raw).hex(), "size": len(raw)})
    await refused(held, heard, central.announce(fitting), "message_invalid")


async def test_an_announcement_to_another_edge_or_of_a_stranger_is_refused(held, central, heard, stranger):
    evil = Central(stranger, serial=90)
    await refused(held, heard, central.announce(edge="other.gates", serial=99), "list_refused")
    await refused(held, heard, evil.announce(), "signature_invalid")
    forged = json.loads(evil.announce()) | {"key_id": central.signer.key_id}
    await refused(held, heard, json.dumps(forged).encode(), "signature_invalid")


async def test_a_replayed_announcement_withdraws_nothing_and_makes_nothing_younger(keeper, central, heard):
    old = central.announce()
    one = central.publish(content(1, [1]))
    now = START + timedelta(hours=1)
    await keeper.announced(central.announce(one, issued_at=now))
    await keeper.announced(old)
    assert versions(keeper) == {"hq-block": 1}
    assert keeper.in_force[0].confirmed_at == now
    assert heard.names() == ["ListApplied", "ListRejected"]


async def test_an_older_serial_is_refused_after_a_restart_too(keeper, central, make, heard):
    old = central.announce()
    await keeper.announced(central.announce(central.publish(content(1, [1]))))
    again = make()
    await again.load()
    await refused(again, heard, old, "list_refused")


@pytest.mark.parametrize(
    "changes",
    [{"issued_at": "2026-11-21T08:00:00"}, {"serial": 0}, {"lists": 3}, {"issued_at": "yesterday"}, {"edge": None}],
    ids=str,
)
async def test_a_signed_announcement_that_is_none_is_refused_and_no_lane_ever_sees_it(held, central, heard, changes):
    """A time without a zone went into force, and every decision after it raised."""
    good = {"edge": EDGE, "serial": 99, "issued_at": "2026-11-21T08:00:00Z", "lists": []}
    raw = central.sign("list", json.dumps({**good, **changes}))
    before = versions(held)
    await held.announced(raw)
    assert versions(held) == before
    assert heard.names() == ["ListRejected"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/b", "", ".hidden", "x*", "x[0]", "x\0"])
async def test_a_list_whose_name_is_a_path_is_refused(held, central, heard, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    one = central.publish(content(1, [1], name))
    await held.announced(central.announce(one))
    assert versions(held) == {"hq-block": 5}
    with pytest.raises(ListRefused):
        await held.apply(central.sign("snapshot", write_snapshot(content(1, [1], name))).decode())
    assert sorted(tmp_path.rglob("*")) == before


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_an_announcement_are_refused(make, raw):
    heard = Heard()

    async def announce():
        keeper = make(folder=hashlib.sha256(raw).hexdigest()[:12], heard=heard)
        await keeper.load()
        await keeper.announced(raw)
        assert keeper.in_force == ()

    asyncio.run(announce())
    assert heard.names() == ["ListRejected"]


# -- deltas ----------------------------------------------------------------------------------------------------------


async def test_a_delta_that_follows_is_enough(held, central, heard):
    await held.announced(central.announce(central.publish(content(6, [1, 2]), content(5, [1]))))
    assert versions(held) == {"hq-block": 6}
    assert hits(held, 2)
    assert central.fetched == ["snapshots", "deltas"]
    assert heard.names() == ["ListApplied"]


async def test_a_delta_from_another_version_is_not_asked_for(held, central):
    await held.announced(central.announce(central.publish(content(8, [3]), content(7, [1]))))
    assert (versions(held), central.fetched) == ({"hq-block": 8}, ["snapshots", "snapshots"])


@pytest.mark.parametrize("wrong", ["gap", "tampered", "garbage", "gone", "too long", "another list"])
async def test_a_delta_that_does_not_do_falls_back_to_the_snapshot(held, central, heard, wrong, stranger):
    one = central.publish(content(6, [2]), content(5, [1]))
    if wrong == "gap":
        central.pages[one.delta_path] = central.sign("delta", write_delta(content(4, [9]), content(6, [2])))
    elif wrong == "tampered":
        central.pages[one.delta_path] = Central(stranger).sign("delta", write_delta(content(5, [1]), content(6, [2])))
    elif wrong == "garbage":
        central.pages[one.delta_path] = b"\xff"
    elif wrong == "gone":
        del central.pages[one.delta_path]  # central keeps only so many deltas
    elif wrong == "too long":
        # Many are taken off at once: the delta is longer than what remains.
        one = central.publish(content(6, [2]), content(5, [1]))
        central.pages[one.delta_path] = b"x" * (one.size + 5000)
    else:
        delta = write_delta(content(5, [1], "visa"), content(6, [2], "visa"))
        central.pages[one.delta_path] = central.sign("delta", delta)
    await held.announced(central.announce(one))
    assert versions(held) == {"hq-block": 6}
    assert (hits(held, 1), hits(held, 2)) == (False, True)
    assert central.fetched == ["snapshots", "deltas", "snapshots"]
    assert heard.names()[-1] == "ListApplied"


async def test_a_restart_without_an_uplink_keeps_the_newest_with_its_deltas(keeper, central, make, heard):
    await keeper.announced(central.announce(central.publish(content(1, [1]))))
    for version in range(2, 13):
        new, old = content(version, range(1, version + 1)), content(version - 1, range(1, version))
        at = START + timedelta(minutes=version)
        await keeper.announced(central.announce(central.publish(new, old), issued_at=at))
    central.down = True
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 12}
    assert all(hits(again, number) for number in range(1, 13))
    assert again.in_force[0].confirmed_at == START + timedelta(minutes=12)
    assert "ListRejected" not in heard.names()


async def test_deltas_do_not_pile_up(keeper, central, monkeypatch, tmp_path):
    monkeypatch.setattr(lists_module, "_MAX_DELTAS", 3)
    await keeper.announced(central.announce(central.publish(content(1, [1]))))
    for version in range(2, 10):
        await keeper.announced(
            central.announce(central.publish(content(version, [version]), content(version - 1, [version - 1])))
        )
    assert central.fetched.count("snapshots") == 3
    assert len(list((tmp_path / "lists").glob("*.delta"))) <= 3


async def test_the_deltas_of_a_list_are_not_those_of_one_with_a_longer_name(keeper, central, make, heard):
    """`hq.v*.delta` took the deltas of `hq.vip` for its own: refused at a start, deleted with the list."""
    short, long = content(1, [1], "hq"), content(1, [2], "hq.vip")
    await keeper.announced(central.announce(central.publish(short), central.publish(long)))
    newer = central.publish(content(2, [2, 3], "hq.vip"), long)
    await keeper.announced(central.announce(central.publish(short), newer))
    again = make()
    await again.load()
    assert versions(again) == {"hq": 1, "hq.vip": 2}
    await again.announced(central.announce(newer))
    third = make()
    await third.load()
    assert versions(third) == {"hq.vip": 2}
    assert "ListRejected" not in heard.names()


async def test_deltas_from_before_the_snapshot_are_passed_over(keeper, central, make, heard, tmp_path):
    """After a crash between the new snapshot and the old deltas' removal the list fell back at the next start."""
    await keeper.announced(central.announce(central.publish(content(1, [1]))))
    await keeper.announced(central.announce(central.publish(content(2, [2]), content(1, [1]))))
    left = tmp_path / "lists" / "hq-block.v000000000002.delta"
    raw = left.read_bytes()
    await keeper.announced(central.announce(central.publish(content(5, [5]))))
    await keeper.announced(central.announce(central.publish(content(6, [6]), content(5, [5]))))
    left.write_bytes(raw)
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 6}
    assert "ListRejected" not in heard.names()


# -- the disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"{}", "cut", "flip"], ids=str)
async def test_a_damaged_list_is_refused_with_an_event_and_fetched_again(held, central, make, heard, tmp_path, damage):
    file = tmp_path / "lists" / "hq-block.signed"
    raw = file.read_bytes()
    place = raw.index(token(1).encode())
    flipped = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
    file.write_bytes({"cut": raw[: len(raw) // 2], "flip": flipped}.get(damage, damage))
    again = make()
    await again.load()
    assert again.in_force == ()
    assert heard.names() == ["ListRejected"]
    await again.announced(central.announce(central.publish(content(5, [1]))))
    assert hits(again, 1)


async def test_a_damaged_delta_is_refused_with_an_event_and_the_whole_is_fetched(held, central, make, heard, tmp_path):
    await held.announced(central.announce(central.publish(content(6, [1, 2]), content(5, [1]))))
    next((tmp_path / "lists").glob("*.delta")).write_bytes(b"\xff")
    heard.events.clear()
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 5}
    assert heard.names() == ["ListRejected"]
    await again.announced(central.announce(central.publish(content(6, [1, 2]))))
    assert versions(again) == {"hq-block": 6}


async def test_a_damaged_announcement_is_told_and_the_lists_are_taken_for_old(held, central, make, heard, tmp_path):
    (tmp_path / "lists" / "announcement").write_bytes(b"damaged")
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 5}
    assert again.in_force[0].confirmed_at.year == 1970
    assert heard.names() == ["ListRejected"]


async def test_an_old_copy_beside_the_list_does_not_come_into_force(held, make, central, heard, tmp_path):
    """`cp hq-block.signed zz-backup.signed`: it was read last, and its older version won."""
    folder = tmp_path / "lists"
    (folder / "zz-backup.signed").write_bytes((folder / "hq-block.signed").read_bytes())
    await held.announced(central.announce(central.publish(content(9, [9]))))
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 9}
    assert heard.names()[-1] == "ListRejected"


async def test_a_list_that_could_not_be_brought_is_not_younger_after_a_restart(held, central, make, heard):
    """The announcement named version 6, version 5 was in force, and a restart took it for confirmed."""
    one = central.publish(content(6, [2]))
    central.pages[one.path] = b"tampered"
    await held.announced(central.announce(one, issued_at=START + timedelta(hours=9)))
    assert held.in_force[0].confirmed_at == START
    again = make()
    await again.load()
    assert (versions(again), again.in_force[0].confirmed_at) == ({"hq-block": 5}, START)


async def test_a_folder_that_cannot_be_written_leaves_the_old_list_in_force_and_is_tried_again(
    held, central, monkeypatch, tmp_path
):
    one = central.publish(content(6, [2]))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(lists_module.os, "fsync", full)
        with pytest.raises(BufferUnavailable, match="No space left"):
            await held.announced(central.announce(one))
        assert (versions(held), hits(held, 1)) == ({"hq-block": 5}, True)
    await held.announced(central.announce(one))
    assert versions(held) == {"hq-block": 6}


async def test_a_list_is_on_the_disk_before_it_is_in_force(keeper, central, monkeypatch):
    synced = []
    real = lists_module.os.fsync

    def watched(descriptor):
        synced.append(versions(keeper))
        real(descriptor)

    monkeypatch.setattr(lists_module.os, "fsync", watched)
    await keeper.announced(central.announce(central.publish(content(1, [1]))))
    assert synced[:2] == [{}, {}]  # the file, and the folder that names it


# -- the technician's stick ------------------------------------------------------------------------------------------


async def test_a_stick_brings_a_newer_list(held, central, heard, make):
    text = central.sign("snapshot", write_snapshot(content(6, [4]))).decode()
    applied = await held.apply(text)
    assert applied.head.version == 6
    assert hits(held, 4)
    again = make()
    await again.load()
    assert versions(again) == {"hq-block": 6}


@pytest.mark.parametrize("version", [4, 5])
async def test_a_stick_brings_nothing_older(held, central, version):
    with pytest.raises(ListRefused, match="not newer"):
        await held.apply(central.sign("snapshot", write_snapshot(content(version, []))).decode())
    assert hits(held, 1)


async def test_a_stick_of_a_stranger_is_refused(held, stranger):
    with pytest.raises(SignatureInvalid):
        await held.apply(Central(stranger).sign("snapshot", write_snapshot(content(6, []))).decode())


async def test_a_stick_that_comes_while_an_older_list_is_fetched_stays_in_force(held, central, heard):
    """The fetch had looked at the version before it waited: the older list went over the newer."""
    arrived, goes = asyncio.Event(), asyncio.Event()
    fetch = central.fetch

    async def slow(path, largest):
        arrived.set()
        await goes.wait()
        return await fetch(path, largest)

    held._fetch = slow
    announcing = asyncio.ensure_future(held.announced(central.announce(central.publish(content(6, [6])))))
    await arrived.wait()
    await held.apply(central.sign("snapshot", write_snapshot(content(7, [7]))).decode())
    goes.set()
    await announcing
    assert (versions(held), hits(held, 7)) == ({"hq-block": 7}, True)
    assert heard.names() == ["ListApplied", "ListRejected"]


# -- when central is away --------------------------------------------------------------------------------------------


async def test_a_centre_that_serves_nothing_holds_nothing_else_back(held, central):
    """One list that cannot be fetched must not make the others old."""
    new = central.publish(content(1, [2], "visa"))
    block = central.publish(content(5, [1]))
    central.down = True
    later = START + timedelta(hours=1)
    with pytest.raises(LinkLost):
        await held.announced(central.announce(new, block, issued_at=later))
    assert [(one.list_id, one.confirmed_at) for one in held.in_force] == [("hq-block", later)]


async def test_what_could_not_be_fetched_is_fetched_when_it_can(held, central, task):
    one = central.publish(content(6, [2]))
    central.down = True
    held.heard(central.announce(one))

    async def supervised():
        while True:
            try:
                await held.run()
            except LinkLost:
                await asyncio.sleep(0.005)

    task(supervised())
    await until(lambda: len(central.fetched) >= 4)
    assert versions(held) == {"hq-block": 5}
    central.down = False
    await until(lambda: versions(held) == {"hq-block": 6})


async def test_of_many_announcements_that_wait_only_the_newest_is_done(keeper, central, heard, task):
    for version in range(1, 20):
        keeper.heard(central.announce(central.publish(content(version, [version]))))
    task(keeper.run())
    await until(lambda: versions(keeper) == {"hq-block": 19})
    assert len(heard.events) == 1


@pytest.mark.slow  # it measures time, and wants a processor to itself
async def test_a_large_list_holds_up_no_lane(keeper, central):
    """Reading it took the loop for as long as it took; it is done beside it now."""
    rows = [(f"d{number:043d}", ListEntry(f"E{number}")) for number in range(20_000)]
    raw = central.announce(central.publish(make_content("hq-block", 1, ListEffect.REFUSE, 10, rows)))
    beats = [time.monotonic()]

    async def beat():
        while True:
            await asyncio.sleep(0.001)
            beats.append(time.monotonic())

    beating = asyncio.create_task(beat())
    await keeper.announced(raw)
    beating.cancel()
    beats.append(time.monotonic())
    assert keeper.entries("hq-block") == 20_000
    assert max(after - before for before, after in pairwise(beats)) < (beats[-1] - beats[0]) / 2


# -- by HTTP ---------------------------------------------------------------------------------------------------------


class Page(BaseHTTPRequestHandler):
    asked: list = []

    def do_GET(self):
        Page.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/nonsense":
            self.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
            return
        body = b"x" * 100
        self.send_response(200)
        self.send_header("Content-Length", "999" if self.path == "/short" else "100")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    Page.asked = []
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_contents_come_by_http_with_the_edges_key(web):
    fetch = https_fetch(web + "/", lambda: "k-123")
    assert await fetch("/page", 100) == b"x" * 100
    assert Page.asked == [("/page", "Bearer k-123")]


async def test_what_is_longer_than_announced_is_refused(web):
    with pytest.raises(ListRefused, match="longer than the 99 bytes"):
        await https_fetch(web, lambda: "")("/page", 99)
    assert Page.asked == [("/page", None)]


@pytest.mark.parametrize("path", ["/missing", "/nonsense", "/with blank", "/short"])
async def test_what_cannot_be_fetched_is_a_lost_link_or_short_and_never_another_error(web, path):
    try:
        raw = await https_fetch(web, lambda: "")(path, 1000)
    except LinkLost:
        return
    assert len(raw) == 100  # the digest tells that it is short


@pytest.mark.parametrize("path", ["@evil.example/x", "page", "", "http://evil.example/"])
async def test_a_path_that_would_lead_elsewhere_is_not_asked_for(web, path):
    """`https://central` + `@evil.example/x` is a page of evil.example, and the key would go there."""
    with pytest.raises(ListRefused, match="not a path"):
        await https_fetch(web, lambda: "k-123")(path, 1000)
    assert Page.asked == []


async def test_a_centre_that_is_away_is_a_lost_link():
    with pytest.raises(LinkLost):
        await https_fetch("http://127.0.0.1:9", lambda: "")("/page", 10)


async def test_a_list_of_authorities_that_is_not_there_is_a_lost_link(web, tmp_path):
    with pytest.raises(LinkLost):
        await https_fetch("https://127.0.0.1:9", lambda: "", tmp_path / "none.pem")("/page", 10)
