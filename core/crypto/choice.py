"""Which code serves a suite: probed at first use with known answers, never assumed from a version number."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Final

from core.crypto import libcrypto, sm2_curve
from core.crypto.errors import CryptoUnavailable
from core.crypto.keys import PrivateKey, PublicKey
from core.crypto.port import ProviderName, Sm2Provider, Suite

# GM/T 0003.5-2012 Annex A.2: key pair, digest e of "message digest", its signature.
_KNOWN_PRIVATE: Final = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
_KNOWN_PUBLIC: Final = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_KNOWN_MESSAGE: Final = b"message digest"
_KNOWN_DIGEST: Final = bytes.fromhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640")
_KNOWN_SIGNATURE: Final = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)


@cache
def make_sm(wanted: ProviderName) -> Suite:
    """The suite `sm`; CryptoUnavailable if a library that is needed or asked for fails its probe."""
    from core.crypto.suite_sm import SmSuite  # noqa: PLC0415  (20 ms that only users of this suite pay)

    check_sm3()
    provider, reason = choose_sm2(wanted)
    return SmSuite(provider, reason)


@cache
def make_intl() -> Suite:
    """The suite `intl`."""
    from core.crypto.suite_intl import IntlSuite  # noqa: PLC0415  (as above)

    return IntlSuite()


def choose_sm2(wanted: ProviderName, fast: Callable[[], Sm2Provider] = libcrypto.open_sm2) -> tuple[Sm2Provider, str]:
    """The provider to use and the reason: `fast` if it passes its probe, else gmssl, unless one was asked for."""
    if wanted == "gmssl":
        return _gmssl(), "asked for"
    try:
        provider = fast()
        probe_sm2(provider)
    except CryptoUnavailable as missing:
        if wanted == "libcrypto":
            raise CryptoUnavailable(
                f"SM2 by libcrypto was asked for: {missing.detail}",
                place="sm2_provider",
                cure='install OpenSSL >= 3.0 built with SM2, or choose sm2_provider = "auto"',
            ) from missing
        return _gmssl(), f"slow fallback, since libcrypto cannot serve: {missing.detail}"
    return provider, "asked for" if wanted == "libcrypto" else "passed its known-answer probe"


def probe_sm2(provider: Sm2Provider) -> None:
    """CryptoUnavailable unless the provider reproduces the standard's example and verifies what it signs."""
    private, public = PrivateKey("sm", _KNOWN_PRIVATE), PublicKey("sm", _KNOWN_PUBLIC)
    steps: dict[str, Callable[[], bool]] = {
        "derives the standard's key pair": lambda: provider.public_xy(private) == _KNOWN_PUBLIC,
        "verifies the standard's signature": lambda: provider.verify(public, _KNOWN_DIGEST, _KNOWN_SIGNATURE),
        "refuses it for another digest": lambda: not provider.verify(public, bytes(32), _KNOWN_SIGNATURE),
        "verifies its own signature": lambda: provider.verify(
            public, _KNOWN_DIGEST, provider.sign(private, _KNOWN_DIGEST)
        ),
        "decrypts its own ciphertext": lambda: (
            provider.decrypt(private, provider.encrypt(public, b"probe")) == b"probe"
        ),
    }
    failed = [step for step, holds in steps.items() if not holds()]
    if failed:
        raise CryptoUnavailable(f"{provider.describe()[0]} failed its SM2 probe, not true: {', '.join(failed)}")


def check_sm3() -> None:
    """CryptoUnavailable unless hashlib's SM3 gives the standard's e."""
    try:
        right = sm2_curve.message_digest(_KNOWN_PUBLIC, _KNOWN_MESSAGE) == _KNOWN_DIGEST
    except ValueError as missing:
        raise CryptoUnavailable(
            f"this Python's hashlib has no SM3 ({missing})",
            cure=f"use a Python linked to an OpenSSL with SM3; this one has {len(hashlib.algorithms_available)} hashes",
        ) from missing
    if not right:
        raise CryptoUnavailable("this Python's SM3 gives wrong results", cure="replace the OpenSSL of this Python")


def _gmssl() -> Sm2Provider:
    try:
        from core.crypto.gmssl_fallback import GmsslSm2  # noqa: PLC0415  (10 ms that almost no machine needs)
    except ImportError as missing:
        raise CryptoUnavailable(f"no SM2: gmssl is not installed ({missing})") from missing
    provider = GmsslSm2()
    probe_sm2(provider)
    return provider
