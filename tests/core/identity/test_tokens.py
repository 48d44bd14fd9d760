import base64
import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.identity.describe import DESCRIBERS
from core.identity.mrz import DocumentInvalid
from core.identity.tokens import (
    IdentifierRefused,
    TokenKeyInvalid,
    TokenKind,
    identify,
    normal_identifier,
    subject_token,
    token_message,
)

KEY = bytes(range(32))
TD3 = ("P<UTOSPECIMEN<<SAMPLE<BOOK<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
TD1_LONG = ("I<UTOD23145890<7349<<<<<<<<<<<", "3407127M9507122UTO<<<<<<<<<<<2", "SPECIMEN<<SAMPLE<CARD<<<<<<<<<")


def sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def token(text: str) -> str:
    found = identify(text)
    assert not found.problem
    return subject_token(found.kind, found.natural, KEY, sha256)


@pytest.mark.parametrize(
    ("kind", "natural", "message"),
    [
        ("document", "UTO/L898902C3", b"gatefleet/token/v1\0doc\0UTO\0L898902C3"),
        ("document", "\n".join(TD3), b"gatefleet/token/v1\0doc\0UTO\0L898902C3"),
        ("document", "d<</c01x00t47<", b"gatefleet/token/v1\0doc\0D\0C01X00T47"),
        ("resident", "110101199003078670", b"gatefleet/token/v1\0resident\x00110101199003078670"),
        ("permit", "M1234567801", b"gatefleet/token/v1\0permit\0home_return\0M12345678"),
        ("permit", "P174468(6)", b"gatefleet/token/v1\0permit\0hkid\0P1744686"),
        ("plate", "粤z·1234澳", "gatefleet/token/v1\0plate\0粤Z1234澳".encode()),
        ("opaque", "HQ/pass/7", b"gatefleet/token/v1\0qr\0HQ/pass/7"),
    ],
)
def test_the_message_is_domain_separated(kind: str, natural: str, message: bytes) -> None:
    assert token_message(TokenKind(kind), natural) == message
    made = subject_token(TokenKind(kind), natural, KEY, sha256)
    assert made[0] == {"document": "d", "resident": "r", "permit": "p", "plate": "v", "opaque": "q"}[kind]
    assert made[1:] + "=" == base64.urlsafe_b64encode(sha256(KEY, message)).decode()
    assert len(made) == 44


@pytest.mark.parametrize(
    ("first", "others"),
    [
        (
            "\n".join(TD3),
            [
                "\r".join(TD3),
                "|".join(TD3).lower(),
                "".join(TD3),
                "\x02" + " \r\n".join(TD3) + "\x03",
                "\n".join(TD3) + "\n\n",
            ],
        ),
        ("\n".join(TD1_LONG), ["|".join(TD1_LONG).lower(), "".join(TD1_LONG)]),
        (
            "150102198807303035",
            ["150102880730303", "１５０１０２１９８８０７３０３０３５", " 150102 19880730 3035\r\n"],
        ),
        ("44040119580101000X", ["44040119580101000x"]),
        ("H12345678", ["h1234567800", "H1234567801", "Ｈ１２３４５６７８ "]),
        ("P174468(6)", ["p1744686", "P174468（6）"]),
        ("粤BA03205", ["粤b·a03205", "粵B A03205", "粤BAO3205", " 粤Ｂ－Ａ０３２０５"]),
        ("MX-12-34", ["mx1234", "MX 12 34"]),
    ],
)
def test_one_identifier_has_one_token_whichever_reader_sent_it(first: str, others: list[str]) -> None:
    assert {token(other) for other in others} == {token(first)}


@given(
    st.sampled_from(["\n", "\r", "\r\n", "|", "\n\r\n", ""]),
    st.booleans(),
    st.booleans(),
    st.text(" \t", max_size=3),
)
def test_a_zone_has_one_token_under_every_mix_of_formatting(end: str, lower: bool, wide: bool, pad: str) -> None:
    sent = (pad if end else "").join(("", end.join((TD3[0] + (pad if end else ""), TD3[1])), pad))
    sent = sent.lower() if lower else sent
    if wide:
        sent = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" and sign != "|" else sign for sign in sent)
    assert token(sent) == token("\n".join(TD3))


def test_other_kinds_other_keys_and_other_issuers_give_other_tokens() -> None:
    made = {
        subject_token(TokenKind.OPAQUE, "12345678", KEY, sha256),
        subject_token(TokenKind.PERMIT, "12345678", KEY, sha256),
        subject_token(TokenKind.PLATE, "12345678", KEY, sha256),
        subject_token(TokenKind.DOCUMENT, "UTO/12345678", KEY, sha256),
        subject_token(TokenKind.DOCUMENT, "CHN/12345678", KEY, sha256),
        subject_token(TokenKind.OPAQUE, "12345678", KEY[::-1], sha256),
    }
    assert len({one[1:] for one in made}) == 6


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TokenKind.DOCUMENT, "UTO"),
        (TokenKind.DOCUMENT, "/1"),
        (TokenKind.DOCUMENT, "UTO/"),
        (TokenKind.DOCUMENT, "UTO/A\0B"),
        (TokenKind.DOCUMENT, "\n".join((TD3[0], TD3[1].replace("C3", "C4")))),
        (TokenKind.RESIDENT, "11010119900307867X"),
        (TokenKind.PERMIT, "P174468(7)"),
        (TokenKind.PERMIT, "hkid/H12345678"),
        (TokenKind.PERMIT, "visa/H12345678"),
        (TokenKind.PLATE, ""),
        (TokenKind.PLATE, "粤B\x00234"),
        (TokenKind.PLATE, "1" * 33),
        (TokenKind.PLATE, "A\ud800"),
        (TokenKind.OPAQUE, "\ud800"),
        (TokenKind.OPAQUE, "a\0b"),
        (TokenKind.OPAQUE, " \n"),
        (TokenKind.OPAQUE, "x" * 513),
    ],
)
def test_what_does_not_parse_as_its_kind_gets_no_token(kind: TokenKind, text: str) -> None:
    with pytest.raises(IdentifierRefused):
        subject_token(kind, text, KEY, sha256)


def test_a_plate_that_fits_no_form_still_has_a_token() -> None:
    made = subject_token(TokenKind.PLATE, "Love U", KEY, sha256)
    assert made == subject_token(TokenKind.PLATE, "LOVE-U", KEY, sha256)


@pytest.mark.parametrize(
    ("key", "mac"), [(b"", sha256), (KEY[:15], sha256), (KEY, lambda key, message: sha256(key, message)[:31])]
)
def test_weak_keys_and_wrong_macs_are_our_own_fault(key: bytes, mac: Callable[[bytes, bytes], bytes]) -> None:
    with pytest.raises(TokenKeyInvalid):
        subject_token(TokenKind.PLATE, "MX1234", key, mac)


@pytest.mark.parametrize(
    ("text", "kind", "natural", "document", "problem"),
    [
        ("|".join(TD3), "document", "UTO/L898902C3", "passport", ""),
        ("|".join(TD1_LONG), "document", "UTO/D23145890734", "identity_card", ""),
        ("|".join((TD3[0], TD3[1][:-1])), "document", "", "", "lines of [44, 43] characters fit no format"),
        ("|".join((TD3[0], TD3[1][:-1] + "1")), "document", "UTO/L898902C3", "passport", "check digit of composite"),
        ("|".join((TD3[0], "<" * 9 + TD3[1][9:])), "document", "", "passport", "number is empty"),
        ("110101199003078670", "resident", "110101199003078670", "resident", ""),
        ("11010119900307867X", "resident", "11010119900307867X", "resident", "check digit does not fit"),
        ("830000199201300022", "resident", "830000199201300022", "taiwan_residence", ""),
        ("440308199902301512", "opaque", "440308199902301512", "", ""),
        ("000101199003078670", "opaque", "000101199003078670", "", ""),
        ("M1234567801", "permit", "home_return/M12345678", "home_return", ""),
        ("P174468(7)", "permit", "hkid/P1744687", "hkid", "check digit does not fit"),
        ("P1744687", "opaque", "P1744687", "", ""),
        ("粤Z1234澳", "plate", "粤Z1234澳", "", ""),
        ("沪AI2345", "plate", "沪A12345", "", ""),
        ("HI", "opaque", "HI", "", ""),
        ("京A123", "opaque", "京A123", "", ""),
        (" https://pass.example/q/Ab3<<x \r\n", "opaque", "https://pass.example/q/Ab3<<x", "", ""),
        ("x" * 512, "opaque", "x" * 512, "", ""),
    ],
)
def test_identify_says_what_a_reader_sent(text: str, kind: str, natural: str, document: str, problem: str) -> None:
    found = identify(text)
    assert (found.kind, found.natural, found.hints.document) == (kind, natural, document)
    assert bool(found.problem) is bool(problem)
    assert found.problem.startswith(problem)


def test_hints_come_from_the_document() -> None:
    zone = identify("|".join(TD3)).hints
    assert (zone.nationality, zone.birth, zone.sex, zone.expiry) == ("UTO", "740812", "F", "120415")
    lasting = identify("|".join(("V<UTOSPECIMEN<<SAMPLE" + "<" * 15, "L8988901C4XXX4009078F<<<<<<<<<<<<<<<")))
    assert (lasting.hints.expiry, lasting.problem) == ("", "")
    resident = identify("110101199003078670").hints
    assert (resident.nationality, resident.birth, resident.sex, resident.expiry) == ("CHN", "19900307", "M", "")


@pytest.mark.parametrize("text", ["", "  \r\n", "x" * 513, "a\0b", "\udfff"])
def test_what_is_no_text_is_refused(text: str) -> None:
    with pytest.raises(IdentifierRefused):
        identify(text)


def test_repr_shows_no_identifier() -> None:
    for text in ("|".join(TD3), "110101199003078670", "H12345678", "粤B12345"):
        shown = repr(identify(text))
        for secret in ("L898902C3", "19900307", "12345", "740812"):
            assert secret not in shown


texts = (
    st.text(st.characters(), max_size=600)
    | st.text("PIVUTO<09\n|", max_size=180)
    | st.text("HMCP0123456789X()/", max_size=20)
)


@settings(max_examples=400)
@given(texts)
def test_identify_refuses_or_gives_what_can_have_a_token(text: str) -> None:
    with suppress(IdentifierRefused):
        found = identify(text)
        if not found.problem:
            made = subject_token(found.kind, found.natural, KEY, sha256)
            again = identify(found.natural) if found.kind in (TokenKind.RESIDENT, TokenKind.PLATE) else found
            assert subject_token(again.kind, again.natural, KEY, sha256) == made
            assert normal_identifier(found.kind, found.natural) == found.natural


@settings(max_examples=200)
@given(st.sampled_from(TokenKind), texts)
def test_no_text_crashes_a_token(kind: TokenKind, text: str) -> None:
    with suppress(IdentifierRefused):
        assert len(subject_token(kind, text, KEY, sha256)) == 44


@given(st.sampled_from(sorted(DESCRIBERS)), texts)
def test_no_text_crashes_the_decode_command(kind: str, text: str) -> None:
    with suppress(DocumentInvalid):
        assert "valid" in DESCRIBERS[kind](text)
