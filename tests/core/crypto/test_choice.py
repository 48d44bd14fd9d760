"""The choice of library: probed, explained, and clear when it cannot be as asked."""

import ctypes
import subprocess
import sys
from typing import Any

import pytest

from core.crypto import CryptoUnavailable, PrivateKey, PublicKey, choice, libcrypto, suite
from core.crypto.gmssl_fallback import GmsslSm2
from core.crypto.port import Sm2Provider
from core.crypto.suite_sm import SmSuite

ABSENT = ("libcrypto-that-is-not-there.so.9",)


def absent() -> Sm2Provider:
    return libcrypto.LibcryptoSm2(libcrypto.load(ABSENT))


def test_libcrypto_serves_where_it_can() -> None:
    about = suite("sm").describe()
    assert (about.suite, about.provider) == ("sm", "libcrypto")
    assert about.library.startswith("/")
    assert "libcrypto" in about.library
    assert about.version.startswith("OpenSSL")
    assert "passed" in about.reason
    assert about.library in str(about)


def test_without_libcrypto_gmssl_serves_and_says_so() -> None:
    provider, reason = choice.choose_sm2("auto", absent)
    about = SmSuite(provider, reason).describe()
    assert (about.provider, about.version) == ("gmssl", "3.2.2")
    assert "slow fallback" in about.reason
    assert ABSENT[0] in about.reason


def test_a_library_without_these_functions_is_not_libcrypto() -> None:
    with pytest.raises(CryptoUnavailable, match="libc"):
        libcrypto.load(("libc.so.6",))


def test_forced_libcrypto_that_is_missing_is_a_clear_error() -> None:
    with pytest.raises(CryptoUnavailable) as missing:
        choice.choose_sm2("libcrypto", absent)
    assert missing.value.place == "sm2_provider"
    assert ABSENT[0] in str(missing.value)
    assert "OpenSSL >= 3.0" in missing.value.cure


def test_asking_twice_gives_the_same_suite() -> None:
    assert suite("sm") is suite("sm", sm2_provider="auto")
    assert suite("intl") is suite("intl")
    assert suite("intl").describe().provider == "cryptography"
    assert suite("sm", sm2_provider="gmssl").describe().reason == "asked for"


class Liar(GmsslSm2):
    """Says yes to everything: the defect that a probe must not miss."""

    def verify(self, public: PublicKey, digest: bytes, signature: bytes) -> bool:
        return True


class Garbler(GmsslSm2):
    """Signs wrongly."""

    def sign(self, private: PrivateKey, digest: bytes) -> bytes:
        return super().sign(private, digest[::-1])


@pytest.mark.parametrize(
    ("provider", "failure"), [(Liar(), "refuses it for another digest"), (Garbler(), "verifies its own signature")]
)
def test_a_wrong_library_fails_its_probe(provider: GmsslSm2, failure: str) -> None:
    choice.probe_sm2(GmsslSm2())
    with pytest.raises(CryptoUnavailable, match=failure):
        choice.probe_sm2(provider)


def test_a_library_that_is_there_but_wrong_is_not_used() -> None:
    provider, reason = choice.choose_sm2("auto", Liar)
    assert provider.describe()[0] == "gmssl"
    assert not isinstance(provider, Liar)
    assert "refuses it for another digest" in reason
    with pytest.raises(CryptoUnavailable, match="asked for"):
        choice.choose_sm2("libcrypto", Liar)


class Counting:
    """libcrypto with its makings and freeings counted, and functions that can be made to fail."""

    def __init__(self, **replaced: Any) -> None:
        self.library = libcrypto.load()
        self.replaced = replaced
        self.made = self.freed = 0

    def __getattr__(self, name: str) -> Any:
        function = self.replaced.get(name) or getattr(self.library, name)

        def counted(*arguments: object) -> Any:
            result = function(*arguments)
            self.made += bool(result) and ("_new" in name or name in ("EVP_PKEY_fromdata", "BN_bin2bn"))
            self.freed += name.endswith("_free")
            return result

        return counted


def work(provider: libcrypto.LibcryptoSm2) -> None:
    private = PrivateKey("sm", bytes(31) + b"\x05")
    public = PublicKey("sm", provider.public_xy(private))
    signature = provider.sign(private, bytes(32))
    assert provider.verify(public, bytes(32), signature)
    assert not provider.verify(public, b"\x01" * 32, signature)
    ciphertext = provider.encrypt(public, b"abc")
    changed = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    assert provider.decrypt(private, ciphertext) == b"abc"
    assert provider.decrypt(private, changed) is None


def test_every_handle_is_freed() -> None:
    library: Any = Counting()
    provider = libcrypto.LibcryptoSm2(library)
    work(provider)
    assert library.made == library.freed > 10
    assert not provider._private
    assert not provider._public


def test_a_parsed_key_is_kept_while_its_key_lives() -> None:
    library: Any = Counting()
    provider = libcrypto.LibcryptoSm2(library)
    private = PrivateKey("sm", bytes(31) + b"\x05")
    provider.sign(private, bytes(32))
    before = library.made
    provider.sign(private, bytes(32))
    provider.sign(PrivateKey("sm", bytes(31) + b"\x05"), bytes(32))
    assert library.made == before + 2  # only the two contexts
    public = PublicKey("sm", provider.public_xy(private))
    provider.verify(public, bytes(32), b"\x01" * 64)
    before = library.made
    provider.verify(public, bytes(32), b"\x01" * 64)
    assert library.made == before + 1


def test_a_no_leaves_the_error_queue_empty() -> None:
    """The `ssl` module reads the same queue: a leftover would fail somebody's handshake."""
    provider = libcrypto.LibcryptoSm2(libcrypto.load())
    peek = ctypes.CDLL("libcrypto.so.3").ERR_peek_error
    peek.restype = ctypes.c_ulong
    work(provider)
    assert peek() == 0
    with pytest.raises(CryptoUnavailable, match="key import"):
        provider._parse(libcrypto._SELECT_PUBLIC, bytes(64))
    assert peek() == 0


def test_an_error_is_not_a_yes() -> None:
    """EVP_PKEY_verify(3): 1 is a yes, 0 a no, and less than 0 an error."""
    library: Any = Counting(EVP_PKEY_verify=lambda *_: -1)
    provider = libcrypto.LibcryptoSm2(library)
    public = PublicKey("sm", provider.public_xy(PrivateKey("sm", bytes(31) + b"\x05")))
    assert provider.verify(public, bytes(32), b"\x01" * 64) is False


def test_a_libcrypto_before_3_is_refused() -> None:
    library: Any = Counting(OPENSSL_version_major=lambda: 1)
    library.replaced |= {name: lambda: None for name in libcrypto._PROTOTYPES if name != "OPENSSL_version_major"}
    with pytest.raises(CryptoUnavailable, match="version 1"):
        libcrypto._typed(library)


def test_a_python_without_sm3_is_a_clear_error() -> None:
    program = (
        "import hashlib\n"
        "def new(name, *_): raise ValueError('unsupported hash type ' + name)\n"
        "hashlib.new = new\n"
        "from core.crypto import CryptoUnavailable, suite\n"
        "try: suite('sm')\n"
        "except CryptoUnavailable as missing: print(missing)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "no SM3 (unsupported hash type sm3)" in found.stdout


@pytest.mark.parametrize(
    "broken", ["EVP_PKEY_CTX_new_from_name", "EVP_PKEY_fromdata", "EVP_PKEY_sign", "EC_GROUP_new_by_curve_name"]
)
def test_a_build_without_sm2_is_unavailable_and_leaks_nothing(broken: str) -> None:
    library: Any = Counting(**{broken: lambda *_: 0})
    provider = libcrypto.LibcryptoSm2(library)
    with pytest.raises(CryptoUnavailable, match="libcrypto has no SM2"):
        choice.probe_sm2(provider)
    del provider
    assert library.made == library.freed


def test_the_import_is_light() -> None:
    """A command that signs nothing pays for no library."""
    program = (
        "import sys, core.crypto; "
        "print(*sorted({'gmssl', 'cryptography', 'Cryptodome', 'asyncio', 'logging', 'threading'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
