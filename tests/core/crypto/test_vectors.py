"""Every published answer in tests/vectors/crypto_sm.jsonl, by the calls the suite uses, through both SM2 providers."""

import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import OFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, ECB, Mode
from cryptography.hazmat.primitives.padding import PKCS7

from core.crypto import (
    KeyInvalid,
    PrivateKey,
    PublicKey,
    SealBroken,
    Suite,
    der,
    sm2_curve,
    sm2_public_from_point,
    suite,
)
from core.crypto.gmssl_fallback import GmsslSm2
from core.crypto.libcrypto import LibcryptoSm2, load
from core.crypto.port import Sm2Provider
from core.crypto.suite_sm import SmSuite

ROWS = [
    json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "crypto_sm.jsonl").read_text().splitlines()
]

unhex = bytes.fromhex


def suites() -> list[Suite]:
    return [suite("sm", sm2_provider="libcrypto"), suite("sm", sm2_provider="gmssl")]


def providers() -> list[Sm2Provider]:
    return [LibcryptoSm2(load()), GmsslSm2()]


def check_pubkey(given: Any, expected: Any) -> None:
    for sm in suites():
        assert sm.public_of(PrivateKey("sm", unhex(given["d"]))).raw.hex() == expected["public_xy"]


def check_za(given: Any, expected: Any) -> None:
    assert sm2_curve.z_of(unhex(given["public_xy"]), given["id"].encode()).hex() == expected["za"]


def check_e(given: Any, expected: Any) -> None:
    found = sm2_curve.message_digest(unhex(given["public_xy"]), given["msg_utf8"].encode(), given["id"].encode())
    assert found.hex() == expected["e"]


def signature_of(given: Any, expected: Any) -> bytes:
    if "signature_der" not in given:
        return unhex(given["r"] + given["s"])
    raw = der.signature_from_der(unhex(given["signature_der"]))
    assert raw.hex() == expected["r"] + expected["s"]
    return raw


def check_verify(given: Any, expected: Any) -> None:
    public, signature = PublicKey("sm", unhex(given["public_xy"])), signature_of(given, expected)
    message = given["msg_utf8"].encode()
    digest = sm2_curve.message_digest(public.raw, message, given["id"].encode())
    assert [provider.verify(public, digest, signature) for provider in providers()] == [expected["valid"]] * 2
    if given["id"].encode() == sm2_curve.DEFAULT_ID:
        assert [sm.verify(public, message, signature) for sm in suites()] == [expected["valid"]] * 2


def check_verify_e(given: Any, expected: Any) -> None:
    public, signature = PublicKey("sm", unhex(given["public_xy"])), signature_of(given, expected)
    found = [provider.verify(public, unhex(given["e"]), signature) for provider in providers()]
    assert found == [expected["valid"]] * 2


def check_encrypt(given: Any, expected: Any) -> None:
    fixed = SmSuite(GmsslSm2(nonce=lambda: int(given["k"], 16)), "the standard's k")
    ciphertext = fixed.encrypt_to(PublicKey("sm", unhex(given["public_xy"])), given["msg_utf8"].encode())
    assert ciphertext.hex() == "04" + expected["C1_xy"] + expected["C3"] + expected["C2"]
    private = PrivateKey("sm", unhex(next(row["input"]["d"] for row in ROWS if row["protocol"] == "sm2-pubkey")))
    assert [sm.decrypt(private, ciphertext) for sm in suites()] == [given["msg_utf8"].encode()] * 2


def check_decrypt_refused(given: Any, expected: Any) -> None:
    assert "error" in expected
    for sm in suites():
        with pytest.raises(SealBroken, match="C3 does not fit"):
            sm.decrypt(PrivateKey("sm", unhex(given["d"])), unhex(given["c1c3c2"]))


def check_decrypt_der(given: Any, expected: Any) -> None:
    ciphertext = der.ciphertext_from_der(unhex(given["ciphertext_der"]))
    for sm in suites():
        assert sm.decrypt(PrivateKey("sm", unhex(given["d"])), ciphertext).decode() == expected["msg_utf8"]
    assert der.ciphertext_to_der(ciphertext).hex() == given["ciphertext_der"]


def check_point_refused(given: Any, expected: Any) -> None:
    assert expected == {"error": "point not on curve"}
    with pytest.raises(KeyInvalid, match="not on the curve"):
        sm2_public_from_point(unhex(given["point"]))


def check_sm3(given: Any, expected: Any) -> None:
    assert suite("sm").hash(unhex(given)).hex() == expected


def check_sm3_repeat(given: Any, expected: Any) -> None:
    hasher = suite("sm").hasher()
    for _ in range(given["times"]):
        hasher.update(given["utf8"].encode())
    assert hasher.digest().hex() == expected
    assert suite("sm").hash(given["utf8"].encode() * given["times"]).hex() == expected


def check_hmac(given: Any, expected: Any) -> None:
    tag = suite("sm").hmac(unhex(given["key"]), unhex(given["msg"]))
    assert hmac.compare_digest(tag, unhex(given["tag"])) is expected["valid"]


def check_gcm(given: Any, expected: Any) -> None:
    sealed = unhex(given["iv"] + expected["ciphertext"] + expected["tag"])
    key, aad = unhex(given["key"]), unhex(given["aad"])
    assert suite("sm").open(key, sealed, aad).hex() == given["plaintext"]


def mode_check(mode: Callable[[bytes], Mode]) -> Callable[[Any, Any], None]:
    def check(given: Any, expected: Any) -> None:
        cipher: Cipher[Any] = Cipher(SM4(unhex(given["key"])), mode(unhex(given["iv"] or "")))
        encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
        assert (encryptor.update(unhex(given["plaintext"])) + encryptor.finalize()).hex() == expected["ciphertext"]
        assert (decryptor.update(unhex(expected["ciphertext"])) + decryptor.finalize()).hex() == given["plaintext"]

    return check


def check_pkcs7(given: Any, expected: Any) -> None:
    plaintext = given["plaintext_utf8"].encode() if "plaintext_utf8" in given else unhex(given["plaintext"])
    padder, encryptor = PKCS7(128).padder(), Cipher(SM4(unhex(given["key"])), CBC(unhex(given["iv"]))).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    assert (encryptor.update(padded) + encryptor.finalize()).hex() == expected["ciphertext"]


def check_pkcs7_refused(given: Any, expected: Any) -> None:
    assert expected["error"] == "invalid padding"
    decryptor, unpadder = Cipher(SM4(unhex(given["key"])), CBC(unhex(given["iv"]))).decryptor(), PKCS7(128).unpadder()
    unpadder.update(decryptor.update(unhex(given["ciphertext"])) + decryptor.finalize())
    with pytest.raises(ValueError, match="padding"):
        unpadder.finalize()


CHECKS: dict[str, Callable[[Any, Any], None]] = {
    "sm2-pubkey": check_pubkey,
    "sm2-za": check_za,
    "sm2-e": check_e,
    "sm2-verify": check_verify,
    "sm2-verify-e": check_verify_e,
    "sm2-encrypt-fixed-k": check_encrypt,
    "sm2-decrypt": check_decrypt_refused,
    "sm2-decrypt-der": check_decrypt_der,
    "sm2-pubkey-parse": check_point_refused,
    "sm3": check_sm3,
    "sm3-repeat": check_sm3_repeat,
    "sm3-hmac": check_hmac,
    "sm4-ecb": mode_check(lambda _: ECB()),
    "sm4-cbc": mode_check(CBC),
    "sm4-ofb": mode_check(OFB),
    "sm4-ctr": mode_check(CTR),
    "sm4-gcm": check_gcm,
    "sm4-cbc-pkcs7": check_pkcs7,
    "sm4-cbc-pkcs7-decrypt": check_pkcs7_refused,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["protocol"])
def test_published_answer(row: dict[str, Any]) -> None:
    CHECKS[row["protocol"]](row["input"], row["expected"])


def test_every_kind_of_row_is_there() -> None:
    assert {row["protocol"] for row in ROWS} == set(CHECKS)
