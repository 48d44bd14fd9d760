"""Digest authentication against published and captured exchanges."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid, GatefleetError, Unsupported
from drivers.digest import Login, authorization, holds, parse_digest, response

# RFC 2617, 3.5.
MUFASA = Login("Mufasa", "Circle Of Life")
EXAMPLE = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
# RFC 7616, 3.9.1.
SHA256 = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "algorithm": "SHA-256",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}
VECTORS = Path(__file__).parents[1] / "vectors"


def rows(name, protocol):
    lines = (VECTORS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["protocol"] == protocol]


def test_the_rfcs_examples_hold():
    assert holds(MUFASA, "GET", parse_digest(EXAMPLE))
    assert not holds(MUFASA, "POST", parse_digest(EXAMPLE))
    assert not holds(Login("Mufasa", "circle of life"), "GET", parse_digest(EXAMPLE))
    assert not holds(Login("mufasa", "Circle Of Life"), "GET", parse_digest(EXAMPLE))
    assert (
        response(Login("Mufasa", "Circle of Life"), "GET", SHA256)
        == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )


@pytest.mark.parametrize("row", rows("gb28181", "gb28181-digest"), ids=lambda row: row["input"]["username"])
def test_captured_registrations(row):
    given_ = row["input"]
    login = Login(given_["username"], given_["password"])
    assert response(login, given_["method"], given_) == row["expected"]["response"]


@pytest.mark.parametrize("row", rows("gb28181", "gb28181-auth-header"))
def test_a_captured_header(row):
    assert {key: value for key, value in row["expected"].items() if key != "note"}.items() <= parse_digest(
        row["input"]
    ).items()


@pytest.mark.parametrize("row", rows("gat1400", "gat1400-register"))
def test_a_header_with_unquoted_words(row):
    wanted = row["expected"]["parsed_authorization"]
    assert wanted.items() <= parse_digest(row["input"]["headers"]["Authorization"]).items()


@pytest.mark.parametrize("qop", ["", "auth", "auth-int,auth"])
@pytest.mark.parametrize("algorithm", ["", "MD5", "md5", "SHA-256"])
def test_what_we_answer_is_what_we_accept(qop, algorithm):
    challenge = {"realm": "viid", "nonce": "n", "opaque": "o"}
    challenge |= {"qop": qop} if qop else {}
    challenge |= {"algorithm": algorithm} if algorithm else {}
    params = parse_digest(authorization(MUFASA, "POST", "/x", challenge, cnonce="c"))
    assert holds(MUFASA, "POST", params)
    assert params["opaque"] == "o"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic QTpC",
        "Digest username",
        'Digest username="x',
        'Digest a="1", a="2"',
        "Digest " + "a" * 4000,
        'Digest ="x"',
    ],
)
def test_a_malformed_header_is_refused(header):
    with pytest.raises(FrameInvalid):
        parse_digest(header)


def test_what_is_missing_or_unknown_is_named():
    with pytest.raises(FrameInvalid, match="without uri"):
        response(MUFASA, "GET", {"realm": "r", "nonce": "n"})
    with pytest.raises(Unsupported, match="MD5-sess"):
        response(MUFASA, "GET", {"realm": "r", "nonce": "n", "uri": "/", "algorithm": "MD5-sess"})
    with pytest.raises(Unsupported, match="auth-int"):
        authorization(MUFASA, "GET", "/", {"realm": "r", "nonce": "n", "qop": "auth-int"}, cnonce="c")


def test_a_password_is_not_shown():
    assert "Circle" not in repr(MUFASA)


@given(st.text(max_size=300))
def test_no_header_breaks_it(text):
    with contextlib.suppress(GatefleetError):
        holds(MUFASA, "GET", parse_digest("Digest " + text))
