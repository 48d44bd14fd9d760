"""The DER forms, to and from raw; whatever else comes is FrameInvalid."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crypto import der
from core.errors import FrameInvalid

ZERO_LED = bytes.fromhex("00cd") + b"\x11" * 30


@given(st.binary(min_size=64, max_size=64))
def test_a_signature_comes_back(raw: bytes) -> None:
    encoded = der.signature_to_der(raw)
    assert len(encoded) <= 72
    assert der.signature_from_der(encoded) == raw


@given(st.binary(min_size=98, max_size=400), st.integers(1, 70_000))
def test_a_ciphertext_comes_back(raw: bytes, longer: int) -> None:
    raw = b"\x04" + raw[1:] + bytes(longer)
    assert der.ciphertext_from_der(der.ciphertext_to_der(raw)) == raw


def test_integers_are_the_shortest() -> None:
    assert (
        der.signature_to_der(bytes(31) + b"\x01" + b"\x80" + bytes(31)).hex() == "3026020101022100" + "80" + "00" * 31
    )
    assert der.signature_to_der(ZERO_LED * 2)[:5].hex() == "3044022000"  # 00 cd: cd alone would be negative


def test_one_surplus_zero_is_taken() -> None:
    short = b"\x00" + b"\x11" * 31
    padded = bytes.fromhex("3044") + b"\x02\x20" + short + b"\x02\x20" + short
    assert der.signature_from_der(padded) == short * 2


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "30",
        "3080",
        "3006020101",
        "3006020101020101ff",
        "300602010102010100",
        "3106020101020101",
        "3006020101040101",
        "3006020181020101",
        "30050200020101",
        "30810602010102010 1".replace(" ", ""),
        "3084000000060201010201010",
        "30280222" + "00" * 2 + "11" * 32 + "020101",
        "30260221" + "01" * 33 + "020101",
        "3003020101",
        "30ff" + "00" * 300,
    ],
)
def test_what_is_no_der_signature_is_refused(bad: str) -> None:
    with pytest.raises(FrameInvalid):
        der.signature_from_der(bytes.fromhex(bad + "0" * (len(bad) % 2)))


def test_a_ciphertext_with_a_short_c3_is_refused() -> None:
    good = der.ciphertext_to_der(b"\x04" + b"\x11" * 96 + b"C2")
    cut = good.replace(b"\x04\x20" + b"\x11" * 32, b"\x04\x1f" + b"\x11" * 31)
    with pytest.raises(FrameInvalid, match="C3 has 31"):
        der.ciphertext_from_der(cut[:1] + bytes([cut[1] - 1]) + cut[2:])


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_crashes(noise: bytes) -> None:
    for read, size in ((der.signature_from_der, 64), (der.ciphertext_from_der, 97)):
        for bytes_ in (noise, b"\x30" + bytes([len(noise) & 0x7F]) + noise):
            with contextlib.suppress(FrameInvalid):
                assert len(read(bytes_)) >= size
