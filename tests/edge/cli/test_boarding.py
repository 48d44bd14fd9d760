"""boarding and edge seal-key: what is sent, once, to whom; what people and programs see."""

import asyncio
import json
import re
from dataclasses import dataclass, field

import pytest

from core.crypto import key_id, load_private, load_public, suite
from edge.control import ControlServer

COUNTS = {"expected": 3, "seen": 2, "verified": 1, "held": 1, "released_by_officer": 0, "refused": 0}
COUNTS |= {"unexpected": 0, "no_show": 1}
CABIN = {
    "lane": "C1",
    "step": "held",
    "mode": "normal",
    "held": "NX101-1-0002",
    "boarding": "NX101-1",
    "flight": "NX101",
    "stand": "12A",
    "officer": "P1",
    "opened_at": "2026-11-21T08:00:00+00:00",
    "named": True,
    "visits": 2,
    "anomalies": 0,
    "counts": COUNTS,
}
SHUT = {"lane": "C2", "step": "shut", "mode": "normal", "held": None, "boarding": None}


@dataclass
class Cabins:
    """A daemon with two cabins; remembers what it was asked to do."""

    acts: list = field(default_factory=list)
    result: str = "done"
    detail: str = ""

    def server(self, path):
        acts = ("boarding_open", "boarding_close", "boarding_rule")
        operations = {"status": self.status, "boarding_show": self.show, **dict.fromkeys(acts, self.act)}
        return ControlServer(path, operations, {})

    async def status(self, request):
        return {"lanes": [{"id": "C1"}, {"id": "C2"}]}

    async def show(self, request):
        return {"cabins": [one for one in (CABIN, SHUT) if request.get("lane", one["lane"]) == one["lane"]]}

    async def act(self, request):
        self.acts.append(request)
        return {**CABIN, "result": self.result, "detail": self.detail}


@pytest.fixture
async def cabins(folder, monkeypatch):
    made = Cabins()
    server = await made.server(folder / "cabins.sock").serve()
    monkeypatch.setenv("GATEFLEET_SOCKET", str(folder / "cabins.sock"))
    yield made
    server.close()


async def test_open_sends_the_documents_once_and_with_the_user(run, cabins, folder):
    manifest = folder / "manifest.txt"
    manifest.write_text("\ufeff# NX101\nUTO/U1\n\n  UTO/U2  \n", encoding="utf-8")
    words = ("boarding", "open", "C1", "--flight", "NX101", "--stand", "12A", "--documents", str(manifest))
    shown = await asyncio.to_thread(run, *words, "--document", "UTO/U3", "--officer", "P1", "--id", "B1")
    assert shown.code == 0, shown.err
    (act,) = cabins.acts
    assert act.pop("actor").startswith("cli:")
    assert act == {
        "op": "boarding_open",
        "lane": "C1",
        "boarding": "B1",
        "flight": "NX101",
        "stand": "12A",
        "officer": "P1",
        "documents": ["UTO/U3", "UTO/U1", "UTO/U2"],
    }
    assert "U1" not in shown.out


async def test_a_boarding_is_named_after_its_flight_and_time_where_nothing_is_said(run, cabins):
    shown = await asyncio.to_thread(
        run, "boarding", "open", "C1", "--flight", "NX101", "--stand", "1", "--expected", "0"
    )
    assert shown.code == 0, shown.err
    assert re.fullmatch(r"NX101-\d{6}-\d{4}", cabins.acts[0]["boarding"])
    assert cabins.acts[0]["expected"] == 0


@pytest.mark.parametrize("how", [(), ("--expected", "3", "--document", "UTO/U1"), ("--expected", "1001")])
async def test_either_how_many_or_who(run, cabins, how):
    shown = await asyncio.to_thread(run, "boarding", "open", "C1", "--flight", "NX101", "--stand", "1", *how)
    assert (shown.code, cabins.acts) == (2, [])


async def test_a_manifest_that_cannot_be_read_is_told_without_its_text(run, cabins, folder):
    words = ("boarding", "open", "C1", "--flight", "NX101", "--stand", "1", "--documents")
    for name, content in (("gone", None), ("binary", b"U1\xff"), ("long", b"U1\n" * 400_000)):
        if content is not None:
            (folder / name).write_bytes(content)
        shown = await asyncio.to_thread(run, *words, str(folder / name))
        assert (shown.code, cabins.acts) == (1, []), name
        assert "U1" not in shown.err


async def test_a_ruling_names_the_attempt_and_has_a_reason(run, cabins):
    words = ("boarding", "rule", "C1", "NX101-1-0002")
    shown = await asyncio.to_thread(run, *words, "release", "--reason", " compared by eye ", "--json")
    assert (shown.code, shown.json["held"]) == (0, "NX101-1-0002")
    (act,) = cabins.acts
    told = {key: act[key] for key in ("op", "lane", "attempt", "ruling", "reason")}
    assert tuple(told.values()) == ("boarding_rule", "C1", "NX101-1-0002", "release", "compared by eye")
    for wrong in (("free", "--reason", "x"), ("release", "--reason", " "), ("release",)):
        assert (await asyncio.to_thread(run, *words, *wrong)).code == 2
    assert len(cabins.acts) == 1


async def test_what_the_cabin_refuses_ends_with_1_and_its_words(run, cabins):
    cabins.result, cabins.detail = "failed", "somebody is in the cabin"
    shown = await asyncio.to_thread(run, "boarding", "close", "C1")
    assert shown.code == 1
    assert "somebody is in the cabin" in shown.out
    assert "boarding" not in cabins.acts[0]
    await asyncio.to_thread(run, "boarding", "close", "C1", "--id", "B7")
    assert cabins.acts[1]["boarding"] == "B7"


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("waits for the officer", "Not come")), ("zh_CN", ("等待民警", "未到"))]
)
async def test_show_says_who_waits_and_how_it_stands(run, cabins, lang, words):
    shown = await asyncio.to_thread(run, "boarding", "show", "--lang", lang)
    assert shown.code == 0
    for word in (*words, "NX101-1-0002", "C2"):
        assert word in shown.out
    one = await asyncio.to_thread(run, "boarding", "show", "C1", "--json")
    assert one.json == {"cabins": [CABIN], "dead": []}
    assert (await asyncio.to_thread(run, "boarding", "show", "C9")).code == 1


@pytest.mark.parametrize("name", ["sm", "intl"])
def test_a_new_seal_key_is_for_its_owner_only_and_is_never_overwritten(run, folder, name):
    path = folder / "seal.key"
    made = run("edge", "seal-key", "new", str(path), "--suite", name, "--json")
    assert made.code == 0, made.err
    private = load_private(path.read_text(encoding="ascii"))
    public = suite(name).public_of(private)
    assert (load_public(made.json["public_key"]), made.json["key_id"]) == (public, key_id(public))
    assert path.stat().st_mode & 0o777 == 0o600
    assert private.secret_text() not in made.out
    before = path.read_bytes()
    again = run("edge", "seal-key", "new", str(path))
    assert (again.code, path.read_bytes()) == (1, before)
    shown = run("edge", "seal-key", "show", str(path), "--json")
    assert json.loads(shown.out) == made.json
    assert private.secret_text() not in run("edge", "seal-key", "show", str(path)).out


@pytest.mark.parametrize("content", [None, b"", b"sm2-priv:AAAA", b"\xff"])
def test_what_is_no_key_is_told_without_its_text(run, folder, content):
    if content is not None:
        (folder / "seal.key").write_bytes(content)
    shown = run("edge", "seal-key", "show", str(folder / "seal.key"))
    assert shown.code != 0
    assert "AAAA" not in shown.err
