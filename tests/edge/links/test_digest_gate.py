"""The promises of `edge.links.digest_gate` by their words."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.digest import Login, authorization, parse_digest, response
from edge.links.digest_gate import MAX_NONCES, MAX_PEERS, NONCE_MS, Admitted, Barred, Challenged, Door, Gate, peer_key

CAMERA = Login("cam-1", "right")
DIGEST = Door("digest", {"cam-1": "right", "cam-2": "other"})
BASIC = Door("basic", {"cam-1": "right", "操作员": "密码:1"})
PEER = "10.0.0.5"


@pytest.fixture
def gate() -> Gate:
    return Gate(b"k" * 32)


def challenge(gate: Gate, now_ms: int = 0, door: Door = DIGEST, which: int = 0) -> dict[str, str]:
    verdict = gate.judge(door, "POST", "", PEER, now_ms)
    assert isinstance(verdict, Challenged)
    assert not verdict.failed
    return parse_digest(verdict.headers[which])


def answered(params, nc: int = 1, login: Login = CAMERA) -> str:
    return authorization(login, "POST", "/anpr", params, cnonce="c0ffee", nc=nc)


def judge(gate: Gate, header: str, now_ms: int = 0, door: Door = DIGEST, peer: str = PEER):
    return gate.judge(door, "POST", header, peer, now_ms)


def is_stale(verdict) -> bool:
    return (
        isinstance(verdict, Challenged) and not verdict.failed and all("stale=true" in one for one in verdict.headers)
    )


@pytest.mark.parametrize(("which", "algorithm"), [(0, "SHA-256"), (1, "MD5")])
def test_who_knows_the_password_is_admitted(gate, which, algorithm):
    params = challenge(gate, which=which)
    assert params["algorithm"] == algorithm
    assert judge(gate, answered(params)) == Admitted("cam-1")


@pytest.mark.parametrize(
    "header",
    [
        lambda params: answered(params, login=Login("cam-1", "wrong")),
        lambda params: answered(params, login=Login("cam-9", "right")),
        lambda params: answered(params, login=Login("cam-2", "right")),
        lambda params: answered({**params, "realm": "elsewhere"}),
        lambda params: answered(params).replace("qop=auth", "qop=auth-int"),
        lambda params: answered(params).replace("POST", "GET").replace("/anpr", "/other"),
        lambda params: answered(params).replace("algorithm=SHA-256", "algorithm=SHA-256-sess"),
        lambda _: "Basic " + base64.b64encode(b"cam-1:right").decode(),
        lambda _: "Digest",
        lambda _: "Digest username=\udcff",
        lambda _: 'Digest username="' + "x" * 4000 + '"',
        lambda _: 'Digest username="cam-1", response=""',
    ],
)
def test_everybody_else_is_not(gate, header):
    verdict = judge(gate, header(challenge(gate)))
    assert isinstance(verdict, Challenged)
    assert verdict.failed


def test_an_algorithm_that_was_not_offered_is_refused(gate):
    only = Door("digest", DIGEST.users, ("SHA-256",))
    params = {**challenge(gate, door=only), "algorithm": "MD5"}
    assert judge(gate, answered(params), door=only).failed
    assert judge(gate, answered(params)) == Admitted("cam-1")


def test_a_header_admits_once(gate):
    params = challenge(gate)
    first, second = answered(params, 1), answered(params, 2)
    assert judge(gate, first) == Admitted("cam-1")
    assert is_stale(judge(gate, first))
    assert judge(gate, second) == Admitted("cam-1")
    assert is_stale(judge(gate, second))
    assert is_stale(judge(gate, first))


def test_counts_may_come_in_another_order_within_the_window(gate):
    params = challenge(gate)
    for nc in (70, 7, 69, 8, 100_000, 99_940):
        assert judge(gate, answered(params, nc)) == Admitted("cam-1")
    for nc in (70, 7, 6, 100_000, 99_940, 99_936, 0):
        assert is_stale(judge(gate, answered(params, nc)))


def test_without_a_count_a_nonce_serves_once(gate):
    def old(params) -> str:
        plain = {key: params[key] for key in ("realm", "nonce")} | {"uri": "/anpr", "username": "cam-1"}
        plain["response"] = response(CAMERA, "POST", plain)
        return "Digest " + ", ".join(f'{key}="{value}"' for key, value in plain.items())

    params = challenge(gate, which=1)
    assert judge(gate, old(params)) == Admitted("cam-1")
    assert is_stale(judge(gate, old(params)))
    assert is_stale(judge(gate, answered(params, 5)))
    params = challenge(gate, which=1)
    assert judge(gate, answered(params)) == Admitted("cam-1")
    assert is_stale(judge(gate, old(params)))


def test_a_nonce_is_ours_and_holds_five_minutes(gate):
    params = challenge(gate, 1000)
    assert judge(gate, answered(params, 1), 1000 + NONCE_MS) == Admitted("cam-1")
    assert is_stale(judge(gate, answered(params, 2), 1001 + NONCE_MS))
    assert is_stale(judge(Gate(b"other" * 8), answered(params, 3), 1000))
    forged = params["nonce"][:-1] + ("0" if params["nonce"][-1] != "0" else "1")
    for nonce in (forged, "", "00" * 32, params["nonce"].upper(), "é" * 64):
        assert not isinstance(judge(gate, answered({**params, "nonce": nonce}, 4), 1000), Admitted)


def test_who_was_right_but_late_has_no_penalty(gate):
    header = answered(challenge(gate))
    assert judge(gate, header) == Admitted("cam-1")
    assert all(is_stale(judge(gate, header)) for _ in range(100))
    assert len(gate.penalties) == 0


def test_who_fails_again_and_again_waits_longer_each_time(gate):
    wrong, now = answered(challenge(gate), login=Login("cam-1", "wrong")), 0
    for _ in range(5):
        assert judge(gate, wrong, now).failed
    waits = []
    for _ in range(8):
        barred = judge(gate, wrong, now)
        assert isinstance(barred, Barred)
        assert judge(gate, wrong, now) == barred
        waits.append(barred.retry_after_s)
        now += barred.retry_after_s * 1000
        assert judge(gate, wrong, now).failed
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_meanwhile_not_even_a_right_password_is_looked_at(gate):
    right = answered(challenge(gate))
    for _ in range(5):
        judge(gate, "Digest nonsense")
    assert judge(gate, right) == Barred(1)
    assert judge(gate, "") == Barred(1)
    assert judge(gate, right, peer="10.0.0.6") == Admitted("cam-1")
    params = challenge(gate, 1000)
    assert judge(gate, answered(params), 1000) == Admitted("cam-1")
    assert judge(gate, "Digest nonsense", 1000).failed


def test_failures_are_forgotten_in_ten_minutes(gate):
    for _ in range(9):
        gate.penalties.failed(PEER, 0)
    assert gate.penalties.left_ms(PEER, 0) == 16_000
    gate.penalties.failed(PEER, 600_001)
    assert gate.penalties.left_ms(PEER, 600_001) == 0


def test_what_was_forgotten_does_not_admit_again(gate):
    first = challenge(gate)
    unused = challenge(gate)
    assert judge(gate, answered(first)) == Admitted("cam-1")
    for _ in range(MAX_NONCES):
        assert judge(gate, answered(challenge(gate))) == Admitted("cam-1")
    assert len(gate.nonces) == MAX_NONCES
    assert is_stale(judge(gate, answered(first)))
    assert judge(gate, answered(unused)) == Admitted("cam-1")


def test_no_more_peers_are_remembered_than_the_table_holds(gate):
    for number in range(MAX_PEERS + 50):
        judge(gate, "Digest x", peer=f"10.1.{number >> 8}.{number & 255}")
    assert len(gate.penalties) == MAX_PEERS


@pytest.mark.parametrize(
    ("told", "user"),
    [
        ("Basic " + base64.b64encode(b"cam-1:right").decode(), "cam-1"),
        ("basic  " + base64.b64encode("操作员:密码:1".encode()).decode(), "操作员"),
        ("Basic " + base64.b64encode(b"cam-1:wrong").decode(), None),
        ("Basic " + base64.b64encode(b"cam-9:right").decode(), None),
        ("Basic " + base64.b64encode(b"cam-1").decode(), None),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), None),
        ("Basic !!!", None),
        ("Bearer " + base64.b64encode(b"cam-1:right").decode(), None),
        ("Basic é", None),
    ],
)
def test_basic(gate, told, user):
    verdict = judge(gate, told, door=BASIC)
    assert verdict == Admitted(user) if user else verdict.failed


def test_basic_is_asked_for_where_nothing_was_told(gate):
    assert judge(gate, "", door=BASIC).headers == ('Basic realm="gatefleet", charset="UTF-8"',)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("x" * 99, "x" * 64),
    ],
)
def test_what_a_peer_is_known_by(address, key):
    assert peer_key(address) == key


def test_passwords_are_not_shown():
    assert "right" not in repr(DIGEST)


@given(
    st.text(max_size=200), st.sampled_from([DIGEST, BASIC]), st.sampled_from(["", "Digest ", "Basic ", "Digest a=b, "])
)
def test_no_header_breaks_it(text, door, before):
    assert not isinstance(judge(Gate(b"k" * 32), before + text, door=door), Admitted)
