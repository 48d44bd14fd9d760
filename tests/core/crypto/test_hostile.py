"""Bytes from anyone: never a crash, never a yes."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.crypto import KeyInvalid, PublicKey, SealBroken, load_private, load_public, sm2_curve, suite

SUITES = {
    "sm-libcrypto": suite("sm", sm2_provider="libcrypto"),
    "sm-gmssl": suite("sm", sm2_provider="gmssl"),
    "intl": suite("intl"),
}
PRIVATE = {name: each.generate() for name, each in SUITES.items()}
EDGES = [0, 1, sm2_curve.N - 1, sm2_curve.N, sm2_curve.P, 2**256 - 1]
NUMBERS = (st.sampled_from(EDGES) | st.integers(0, 2**256 - 1)).map(lambda number: number.to_bytes(32, "big"))
SIGNATURES = st.binary(max_size=200) | st.tuples(NUMBERS, NUMBERS).map(b"".join)


def examples(name: str) -> settings:
    return settings(
        max_examples=25 if name == "sm-gmssl" else 300,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("name", SUITES)
def test_random_signatures_never_verify(name: str) -> None:
    public = SUITES[name].public_of(PRIVATE[name])

    @examples(name)
    @given(st.binary(max_size=80), SIGNATURES)
    def never(data: bytes, signature: bytes) -> None:
        assert SUITES[name].verify(public, data, signature) is False

    never()


@pytest.mark.parametrize("name", SUITES)
def test_random_keys_never_verify(name: str) -> None:
    signature = SUITES[name].sign(PRIVATE[name], b"data")
    raw = SUITES[name].public_of(PRIVATE[name]).raw

    @examples(name)
    @given(st.binary(max_size=70) | st.tuples(NUMBERS, NUMBERS).map(b"".join) | NUMBERS)
    def never(other: bytes) -> None:
        assume(other != raw)
        try:
            public = PublicKey(SUITES[name].name, other)
        except KeyInvalid:
            return
        assert SUITES[name].verify(public, b"data", signature) is False

    never()


@pytest.mark.parametrize("name", SUITES)
def test_random_ciphertexts_and_seals_never_open(name: str) -> None:
    point = SUITES["sm-libcrypto"].public_of(PRIVATE["sm-libcrypto"]).raw
    starts = st.sampled_from([b"", b"\x04", b"\x04" + point, b"\x04" + sm2_curve.G])

    @examples(name)
    @given(starts, st.binary(max_size=200))
    def never(start: bytes, noise: bytes) -> None:
        with pytest.raises(SealBroken):
            SUITES[name].decrypt(PRIVATE[name], start + noise)
        with pytest.raises(SealBroken):
            SUITES[name].open(bytes(16), start + noise)

    never()


@settings(deadline=None)
@given(
    st.text(max_size=150)
    | st.text(max_size=100).map("sm2-pub:{}".format)
    | st.text(max_size=60).map("ed25519-pub:{}".format)
)
def test_random_texts_are_no_keys(text: str) -> None:
    for load in (load_public, load_private):
        with pytest.raises(KeyInvalid):
            load(text)
