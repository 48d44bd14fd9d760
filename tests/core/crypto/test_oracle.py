"""gmssl and the openssl program as independent oracles: whatever one side makes, the other takes."""

import base64
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gmssl.sm2 import CryptSM2

from core.crypto import PrivateKey, PublicKey, Suite, der, sm2_curve, suite
from core.crypto.gmssl_fallback import GmsslSm2
from core.crypto.suite_sm import SmSuite

FAST = suite("sm", sm2_provider="libcrypto")


def gmssl(private: PrivateKey, public: PublicKey) -> CryptSM2:
    """gmssl itself, by its own Z and SM3, with the key set after construction (its lstrip("04") eats digits)."""
    oracle = CryptSM2(private_key=private.raw.hex(), public_key="", mode=1)
    oracle.public_key = public.raw.hex()
    return oracle


def scalars(seed: int) -> Iterator[PrivateKey]:
    rng = random.Random(seed)
    while True:
        yield PrivateKey("sm", rng.randrange(1, sm2_curve.N - 1).to_bytes(32, "big"))


def sample(count: int) -> list[PrivateKey]:
    """Keys whose public x starts with 04, 0404 after lstrip, or 00, and random ones up to `count`."""
    special = []
    for start in (b"\x04", b"\x00"):
        found = (key for key in scalars(start[0]) if FAST.public_of(key).raw.startswith(start))
        special += [next(found), next(found)]
    rest = scalars(99)
    return special + [next(rest) for _ in range(count - len(special))]


def both_ways(private: PrivateKey) -> None:
    public = FAST.public_of(private)
    oracle, data = gmssl(private, public), private.raw[:7]
    assert oracle.verify_with_sm3(FAST.sign(private, data).hex(), data)
    theirs = bytes.fromhex(oracle.sign_with_sm3(data))
    assert FAST.verify(public, data, theirs)
    assert not FAST.verify(public, data + b"!", theirs)
    assert oracle.decrypt(FAST.encrypt_to(public, data)[1:]) == data
    assert FAST.decrypt(private, b"\x04" + oracle.encrypt(data)) == data


def test_gmssl_agrees_on_a_few_keys() -> None:
    for private in sample(6):
        both_ways(private)


@pytest.mark.slow
def test_gmssl_agrees_on_two_hundred_keys() -> None:
    for private in sample(220):
        both_ways(private)


@pytest.mark.parametrize("half", [0, 32], ids=["r", "s"])
def test_a_leading_zero_byte_keeps_its_place(half: int) -> None:
    private = next(scalars(5))
    public = FAST.public_of(private)
    signed = ((data, FAST.sign(private, data)) for data in (count.to_bytes(4, "big") for count in range(100_000)))
    data, signature = next((data, signature) for data, signature in signed if signature[half] == 0)
    assert len(signature) == 64
    assert gmssl(private, public).verify_with_sm3(signature.hex(), data)
    assert suite("sm", sm2_provider="gmssl").verify(public, data, signature)


def test_our_fallback_pads_too() -> None:
    private = next(scalars(6))
    public = FAST.public_of(private)
    e = int.from_bytes(sm2_curve.message_digest(public.raw, b"x"), "big")
    nonce = next(k for k in range(1, 100_000) if (e + x_of(k)) % sm2_curve.N < 2**248)
    signature = SmSuite(GmsslSm2(nonce=lambda: nonce), "a known nonce").sign(private, b"x")
    assert signature[0] == 0
    assert FAST.verify(public, b"x", signature)


def x_of(k: int) -> int:
    return int.from_bytes(FAST.public_of(PrivateKey("sm", k.to_bytes(32, "big"))).raw[:32], "big")


def test_nonces_never_repeat() -> None:
    """Two signatures with one nonce give the key away; r repeats with it."""
    private = next(scalars(7))
    for provider, count in (("libcrypto", 200), ("gmssl", 10)):
        signer: Suite = suite("sm", sm2_provider=provider)  # type: ignore[arg-type]
        assert len({signer.sign(private, b"same")[:32] for _ in range(count)}) == count


def spki(public: PublicKey) -> str:
    prefix = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")  # id-ecPublicKey, sm2p256v1
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(prefix + public.raw).decode()}-----END PUBLIC KEY-----\n"


def sec1(private: PrivateKey, public: PublicKey) -> str:
    body = (
        bytes.fromhex("30770201010420")
        + private.raw
        + bytes.fromhex("a00a06082a811ccf5501822da14403420004")
        + public.raw
    )
    return f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(body).decode()}-----END EC PRIVATE KEY-----\n"


@pytest.mark.real
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_the_openssl_program_agrees(tmp_path: Path) -> None:
    for private in sample(6):
        public = FAST.public_of(private)
        (tmp_path / "public.pem").write_text(spki(public))
        (tmp_path / "private.pem").write_text(sec1(private, public))
        (tmp_path / "data").write_bytes(private.raw)
        (tmp_path / "signature").write_bytes(der.signature_to_der(FAST.sign(private, private.raw)))
        options = ["dgst", "-sm3", "-sigopt", "distid:1234567812345678"]
        verified = openssl(tmp_path, *options, "-verify", "public.pem", "-signature", "signature", "data")
        assert verified == b"Verified OK\n"
        theirs = openssl(tmp_path, *options, "-sign", "private.pem", "data")
        assert FAST.verify(public, private.raw, der.signature_from_der(theirs))


def openssl(where: Path, *arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], cwd=where, capture_output=True, check=True).stdout
