"""Keys are values that were checked, and secrets do not print."""

import base64
import pickle

import pytest

from core.crypto import (
    KeyInvalid,
    PrivateKey,
    PublicKey,
    Suite,
    ed25519_point,
    key_id,
    load_private,
    load_public,
    sm2_curve,
    sm2_public_from_point,
    suite,
)

EXAMPLE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")  # GM/T 0003.5 Annex A.2


def sm2(d: int) -> PrivateKey:
    return PrivateKey("sm", d.to_bytes(32, "big"))


def text(form: str, raw: bytes) -> str:
    return f"{form}:{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def test_text_and_back(any_suite: Suite) -> None:
    private = any_suite.generate()
    public = any_suite.public_of(private)
    assert load_private(f"{private.secret_text()}\n") == private
    assert load_public(f"  {public.text}\r\n") == public
    assert public.text.startswith({"sm": "sm2-pub:", "intl": "ed25519-pub:"}[any_suite.name])


def test_a_secret_never_prints_by_accident(any_suite: Suite) -> None:
    private = any_suite.generate()
    shown = f"{private} {private!r} {private!s} {[private]} {vars(any_suite)}"
    for secret in (private.raw.hex(), private.secret_text().split(":")[1], repr(private.raw)):
        assert secret not in shown


def test_the_error_for_a_bad_private_key_does_not_repeat_it() -> None:
    bad = text("sm2-priv", b"\xff" * 32)
    with pytest.raises(KeyInvalid, match="out of its range") as refused:
        load_private(bad)
    assert "_____" not in str(refused.value)
    with pytest.raises(KeyInvalid) as refused:
        load_private("c2VjcmV0LXNlY3JldA")
    assert "c2Vj" not in str(refused.value)


@pytest.mark.parametrize("d", [1, 2, sm2_curve.N - 2])
def test_the_ends_of_the_scalar_range_work(sm: Suite, d: int) -> None:
    private = sm2(d)
    public = sm.public_of(private)
    assert sm.verify(public, b"x", sm.sign(private, b"x"))
    assert sm.decrypt(private, sm.encrypt_to(public, b"lane")) == b"lane"
    if d == 1:
        assert public.raw == sm2_curve.G


@pytest.mark.parametrize("d", [0, sm2_curve.N - 1, sm2_curve.N, 2**256 - 1])
def test_a_scalar_out_of_range_is_refused(d: int) -> None:
    with pytest.raises(KeyInvalid, match=r"1\.\.n-2"):
        sm2(d)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        bytes(63),
        bytes(65),
        bytes(64),
        b"\xff" * 64,
        sm2_curve.G[:63] + b"\xa1",
        sm2_curve.G[32:] + sm2_curve.G[:32],
        (int.from_bytes(sm2_curve.G[:32], "big") + sm2_curve.P).to_bytes(33, "big")[1:] + sm2_curve.G[32:],
    ],
    ids=["empty", "short", "long", "zero", "ff", "last bit", "swapped", "x plus p, cut"],
)
def test_what_is_no_sm2_point_is_refused(bad: bytes) -> None:
    with pytest.raises(KeyInvalid):
        PublicKey("sm", bad)
    with pytest.raises(KeyInvalid):
        load_public(text("sm2-pub", bad))


def test_coordinates_above_p_are_refused_even_if_they_fit_the_equation() -> None:
    """(x + p, y) is the same point in a second form; x small enough for 32 bytes exists, y^2 = x^3 + ax + b."""
    p = sm2_curve.P
    for x in range(1, 100):
        square = (x**3 + sm2_curve.A * x + sm2_curve.B) % p
        y = pow(square, (p + 1) // 4, p)
        if y * y % p == square:
            break
    assert PublicKey("sm", x.to_bytes(32, "big") + y.to_bytes(32, "big")).suite == "sm"
    with pytest.raises(KeyInvalid, match="not on the curve"):
        PublicKey("sm", (x + p).to_bytes(32, "big") + y.to_bytes(32, "big"))


# Every canonical encoding of a point of small order (1, 2, 4, 8) on edwards25519.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_an_ed25519_point_of_small_order_is_refused(point: str) -> None:
    with pytest.raises(KeyInvalid, match="small order"):
        PublicKey("intl", bytes.fromhex(point))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        bytes(31),
        bytes(33),
        b"\x02" + bytes(31),
        b"\xff" * 32,
        b"\xed" + b"\xff" * 30 + b"\x7f",
        b"\x01" + bytes(30) + b"\x80",
    ],
    ids=["empty", "short", "long", "off the curve", "y above p", "y is p", "minus zero"],
)
def test_what_is_no_ed25519_point_is_refused(bad: bytes) -> None:
    with pytest.raises(KeyInvalid):
        PublicKey("intl", bad)


def test_the_x25519_twin_is_the_same_key() -> None:
    """The scalar times the base point of one curve is the image of the public key from the other."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    intl = suite("intl")
    for _ in range(8):
        private = intl.generate()
        twin = X25519PrivateKey.from_private_bytes(ed25519_point.seed_to_x25519(private.raw))
        assert twin.public_key().public_bytes_raw() == ed25519_point.public_to_x25519(intl.public_of(private).raw)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ":",
        "sm2-pub",
        "sm2-pub:",
        text("sm2-priv", EXAMPLE),
        text("rsa-pub", sm2_curve.G),
        text("ed25519-pub", sm2_curve.G),
        text("SM2-PUB", sm2_curve.G),
        text("sm2-pub", sm2_curve.G) + "==",
        text("sm2-pub", sm2_curve.G)[:-1] + "B",
        text("sm2-pub", sm2_curve.G).replace("-", "+", 1)[:20] + " " + text("sm2-pub", sm2_curve.G)[20:],
        "sm2-pub:" + "密" * 86,
        "sm2-pub:" + "A" * 10_000_000,
        "\x00" * 80,
    ],
    ids=lambda bad: bad[:24],
)
def test_a_text_that_is_no_public_key_is_refused(bad: str) -> None:
    with pytest.raises(KeyInvalid):
        load_public(bad)


def test_a_long_text_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(KeyInvalid, match="not the text of such a key"):
        load_public("sm2-pub:" + "A" * 1000)


def test_a_public_key_is_not_taken_for_a_private_one() -> None:
    with pytest.raises(KeyInvalid, match="sm2-priv:"):
        load_private(text("sm2-pub", sm2_curve.G))


def test_a_point_is_read_in_its_uncompressed_form_only() -> None:
    assert sm2_public_from_point(b"\x04" + sm2_curve.G) == PublicKey("sm", sm2_curve.G)
    for bad in (b"", sm2_curve.G, b"\x02" + sm2_curve.G[:32], b"\x06" + sm2_curve.G, b"\x04" + sm2_curve.G + b"\x00"):
        with pytest.raises(KeyInvalid, match="65 bytes"):
            sm2_public_from_point(bad)


def test_key_ids_are_stable() -> None:
    """The literals are the promise: a key id is stored, so it may never change."""
    assert key_id(PublicKey("sm", sm2_curve.G)) == "01c83c1522e9d5e3fec2"
    rfc8032_test_1 = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert key_id(PublicKey("intl", rfc8032_test_1)) == "e702c0b1883971f0db01"


def test_ed25519_gives_the_answer_of_rfc_8032_test_2() -> None:
    private = PrivateKey("intl", bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    intl = suite("intl")
    assert intl.public_of(private).raw.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert intl.sign(private, b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_keys_are_frozen_and_survive_pickling(any_suite: Suite) -> None:
    public = any_suite.public_of(any_suite.generate())
    assert pickle.loads(pickle.dumps(public)) == public
    with pytest.raises(AttributeError):
        public.raw = b""  # type: ignore[misc]
