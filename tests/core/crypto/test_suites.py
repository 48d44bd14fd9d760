"""What the port promises, for each suite and each SM2 provider."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from gmssl.sm2 import CryptSM2

from core.crypto import (
    MAX_ENCRYPTED_BYTES,
    SIGNATURE_BYTES,
    KeyInvalid,
    PlaintextRefused,
    SealBroken,
    Suite,
    sm2_curve,
    suite,
)
from core.crypto.gmssl_fallback import GmsslSm2
from core.crypto.keys import PrivateKey, PublicKey
from core.crypto.suite_sm import SmSuite

DATA = "放行 lane 3".encode()


def flips(value: bytes) -> list[bytes]:
    """The value with one bit changed, at its ends and in between."""
    spots = {0, 1, 11, 12, 31, 32, 64, len(value) // 2, len(value) - 17, len(value) - 1}
    return [
        value[:spot] + bytes([value[spot] ^ 1]) + value[spot + 1 :] for spot in sorted(spots) if 0 <= spot < len(value)
    ]


def test_a_signature_fits_its_key_and_data_only(any_suite: Suite) -> None:
    private, other = any_suite.generate(), any_suite.generate()
    public = any_suite.public_of(private)
    signature = any_suite.sign(private, DATA)
    assert len(signature) == SIGNATURE_BYTES
    assert any_suite.verify(public, DATA, signature)
    assert not any_suite.verify(public, DATA + b"!", signature)
    assert not any_suite.verify(any_suite.public_of(other), DATA, signature)
    assert not any(any_suite.verify(public, DATA, changed) for changed in flips(signature))
    assert not any_suite.verify(public, DATA, signature[:-1])
    assert not any_suite.verify(public, DATA, signature + b"\x00")
    assert not any_suite.verify(public, DATA, b"")


def test_empty_data_can_be_signed(any_suite: Suite) -> None:
    private = any_suite.generate()
    assert any_suite.verify(any_suite.public_of(private), b"", any_suite.sign(private, b""))


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(16), bytes(1000)], ids=len)
def test_a_seal_opens_to_what_went_in(any_suite: Suite, plaintext: bytes) -> None:
    key = any_suite.generate_seal_key()
    sealed = any_suite.seal(key, plaintext, b"head")
    assert len(sealed) == len(plaintext) + 28
    assert any_suite.open(key, sealed, b"head") == plaintext
    assert any_suite.seal(key, plaintext, b"head") != sealed


def test_a_changed_seal_is_broken(any_suite: Suite) -> None:
    key = any_suite.generate_seal_key()
    sealed = any_suite.seal(key, DATA, b"head")
    attempts = [(key, bad, b"head") for bad in (*flips(sealed), sealed[:-1], sealed[:28], sealed[:27], b"")]
    attempts += [(key, sealed, b""), (key, sealed, b"hear"), (any_suite.generate_seal_key(), sealed, b"head")]
    for attempt in attempts:
        with pytest.raises(SealBroken):
            any_suite.open(*attempt)


@pytest.mark.parametrize("length", [0, 15, 17, 24, 33])
def test_a_seal_key_has_the_suites_length(any_suite: Suite, length: int) -> None:
    with pytest.raises(KeyInvalid, match=str(length)):
        any_suite.seal(bytes(length), DATA)
    with pytest.raises(KeyInvalid, match=str(length)):
        any_suite.open(bytes(length), bytes(40))


def test_both_suites_take_16_bytes_and_intl_takes_32(any_suite: Suite) -> None:
    for length in (16,) if any_suite.name == "sm" else (16, 32):
        assert any_suite.open(bytes(length), any_suite.seal(bytes(length), DATA)) == DATA


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 1000, MAX_ENCRYPTED_BYTES])
def test_only_the_holder_reads_what_is_encrypted_to_a_key(any_suite: Suite, length: int) -> None:
    private = any_suite.generate()
    plaintext = bytes(range(256)) * (length // 256) + bytes(range(length % 256))
    ciphertext = any_suite.encrypt_to(any_suite.public_of(private), plaintext)
    assert any_suite.decrypt(private, ciphertext) == plaintext
    with pytest.raises(SealBroken):
        any_suite.decrypt(any_suite.generate(), ciphertext)


def test_a_changed_ciphertext_is_broken(any_suite: Suite) -> None:
    private = any_suite.generate()
    ciphertext = any_suite.encrypt_to(any_suite.public_of(private), DATA)
    for bad in (*flips(ciphertext), ciphertext[:-1], ciphertext[:40], b"", bytes(len(ciphertext))):
        with pytest.raises(SealBroken):
            any_suite.decrypt(private, bad)


@pytest.mark.parametrize("length", [0, MAX_ENCRYPTED_BYTES + 1])
def test_a_plaintext_out_of_bounds_is_refused(any_suite: Suite, length: int) -> None:
    with pytest.raises(PlaintextRefused, match=str(length)):
        any_suite.encrypt_to(any_suite.public_of(any_suite.generate()), bytes(length))


@pytest.mark.parametrize("length", [0, MAX_ENCRYPTED_BYTES + 1])
def test_a_ciphertext_out_of_bounds_is_refused_unread(any_suite: Suite, length: int) -> None:
    envelope = b"\x04" + sm2_curve.G + bytes(32) if any_suite.name == "sm" else bytes(32 + 16)
    with pytest.raises(SealBroken, match=r"^not "):
        any_suite.decrypt(any_suite.generate(), envelope + bytes(length))


def test_keys_of_the_other_suite_are_refused(any_suite: Suite) -> None:
    stranger = suite("intl" if any_suite.name == "sm" else "sm")
    private = stranger.generate()
    public = stranger.public_of(private)
    uses: list[Callable[[], object]] = [
        lambda: any_suite.public_of(private),
        lambda: any_suite.sign(private, DATA),
        lambda: any_suite.encrypt_to(public, DATA),
        lambda: any_suite.decrypt(private, bytes(200)),
    ]
    for use in uses:
        with pytest.raises(KeyInvalid, match=f"suite {stranger.name} in suite {any_suite.name}"):
            use()
    assert not any_suite.verify(public, DATA, stranger.sign(private, DATA))


def test_pieces_hash_as_the_whole(any_suite: Suite) -> None:
    hasher = any_suite.hasher()
    hasher.update(DATA[:5])
    hasher.update(DATA[5:])
    assert hasher.digest() == any_suite.hash(DATA)
    assert len(any_suite.hash(DATA)) == len(any_suite.hmac(b"key", DATA)) == len(any_suite.hmac(b"", b"")) == 32
    assert any_suite.hmac(b"key", DATA) != any_suite.hmac(b"kez", DATA)


def test_the_providers_read_one_another() -> None:
    fast, slow = suite("sm", sm2_provider="libcrypto"), suite("sm", sm2_provider="gmssl")
    for signer, reader in ((fast, slow), (slow, fast)):
        private = signer.generate()
        public = signer.public_of(private)
        assert reader.public_of(private) == public
        assert reader.verify(public, DATA, signer.sign(private, DATA))
        assert reader.decrypt(private, signer.encrypt_to(public, DATA)) == DATA


def test_two_threads_at_once_give_right_results(any_suite: Suite) -> None:
    rounds = 6 if any_suite.describe().provider == "gmssl" else 150
    shared = any_suite.generate()

    def work(worker: int) -> bool:
        own = any_suite.generate()
        good = True
        for count in range(rounds):
            private = (shared, own)[count % 2]
            public, data = any_suite.public_of(private), b"%d/%d" % (worker, count)
            signature = any_suite.sign(private, data)
            good &= any_suite.verify(public, data, signature) and not any_suite.verify(public, b"-" + data, signature)
            good &= any_suite.decrypt(private, any_suite.encrypt_to(public, data)) == data
        return good

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [True, True]


def test_a_key_stream_of_zeros_is_never_sent_or_taken() -> None:
    """One byte in 256 would leave SM2 as it went in (GB/T 32918.4 section 6.1 A5, section 7.1 B4)."""
    private, plain = PrivateKey("sm", (5).to_bytes(32, "big")), b"\x01"
    fast = suite("sm", sm2_provider="libcrypto")
    public = fast.public_of(private)
    weak = next(k for k in range(1, 5000) if sm2_curve.mask(shared_point(k, private), plain) == plain)
    nonces = iter((weak, 12345))
    ciphertext = SmSuite(GmsslSm2(nonce=lambda: next(nonces)), "scripted nonces").encrypt_to(public, plain)
    assert next(nonces, None) is None
    assert ciphertext[97:] != plain
    assert fast.decrypt(private, ciphertext) == plain
    leaking = GmsslSm2(nonce=lambda: weak).encrypt(public, plain)
    for sm in (fast, suite("sm", sm2_provider="gmssl")):
        with pytest.raises(SealBroken):
            sm.decrypt(private, leaking)


def shared_point(k: int, private: PrivateKey) -> bytes:
    product = k * int.from_bytes(private.raw, "big") % sm2_curve.N
    return suite("sm").public_of(PrivateKey("sm", product.to_bytes(32, "big"))).raw


def test_a_forged_sum_at_infinity_is_a_no_and_an_equal_pair_is_not(sm: Suite) -> None:
    """Whoever holds d can choose r and s such that s*G + (r+s)*P is no point, or is a doubling."""
    d = 7
    public = sm.public_of(PrivateKey("sm", d.to_bytes(32, "big")))
    e = int.from_bytes(sm2_curve.message_digest(public.raw, DATA), "big")
    s = 123456789
    t = -s * pow(d, -1, sm2_curve.N) % sm2_curve.N
    assert not sm.verify(public, DATA, pair((t - s) % sm2_curve.N, s))
    # s*G == t*P: r + s = s/d, and r must be e + x(2s*G); choose s first, then a digest that fits.
    t = s * pow(d, -1, sm2_curve.N) % sm2_curve.N
    r = (t - s) % sm2_curve.N
    doubled = sm.public_of(PrivateKey("sm", (2 * s).to_bytes(32, "big"))).raw
    e = (r - int.from_bytes(doubled[:32], "big")) % sm2_curve.N
    assert isinstance(sm, SmSuite)
    assert sm._provider.verify(public, e.to_bytes(32, "big"), pair(r, s))


def pair(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("out", [0, sm2_curve.N, sm2_curve.N + 1, 2**256 - 1])
def test_r_and_s_out_of_range_never_verify(sm: Suite, out: int) -> None:
    private = sm.generate()
    public = sm.public_of(private)
    signature = sm.sign(private, DATA)
    assert not sm.verify(public, DATA, out.to_bytes(32, "big") + signature[32:])
    assert not sm.verify(public, DATA, signature[:32] + out.to_bytes(32, "big"))


def test_the_range_ends_at_both_sides() -> None:
    last = sm2_curve.N - 1
    assert all(sm2_curve.signature_in_range(pair(r, s)) for r, s in ((1, 1), (last, last), (1, last - 1)))
    assert not any(sm2_curve.signature_in_range(pair(r, s)) for r, s in ((0, 1), (1, 0), (last + 1, 1), (1, last + 1)))


def test_a_point_off_the_curve_never_meets_the_private_key(sm: Suite) -> None:
    """The invalid-curve attack: the sum of C3 is right for a point of another, weaker curve."""
    private, plain, point = sm.generate(), b"probe", sm2_curve.G[:63] + b"\xa1"
    engine = CryptSM2(private_key="", public_key="")
    shared = bytes.fromhex(engine._kg(int.from_bytes(private.raw, "big"), point.hex()))
    forged = b"\x04" + point + sm2_curve.check_value(shared, plain) + sm2_curve.mask(shared, plain)
    assert GmsslSm2().decrypt(private, forged) == plain
    with pytest.raises(SealBroken, match="not on the curve"):
        sm.decrypt(private, forged)


def test_r_plus_s_of_zero_never_verifies(sm: Suite) -> None:
    public = sm.public_of(sm.generate())
    assert not sm.verify(public, DATA, pair(5, sm2_curve.N - 5))
    assert not sm2_curve.signature_in_range(pair(5, sm2_curve.N - 5))


def test_a_value_that_only_looks_like_a_key_of_the_suite_cannot_be_made() -> None:
    public = suite("intl").public_of(suite("intl").generate())
    with pytest.raises(KeyInvalid, match="64 bytes"):
        dataclasses.replace(public, suite="sm")
    with pytest.raises(KeyInvalid, match="no suite"):
        PublicKey("rot13", public.raw)  # type: ignore[arg-type]
