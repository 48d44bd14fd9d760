"""SM2 by the system's libcrypto (OpenSSL >= 3.0) through ctypes.

Promises:
1. No OpenSSL object that changes is shared: each operation has its own EVP_PKEY_CTX; only parsed keys, which libcrypto
   does not change after their making, are kept. ctypes drops the GIL, so threads sign at the same time.
2. A parsed key lives exactly as long as the key value it was made from, or the call that uses it.
3. Every handle is freed, and the thread's OpenSSL error queue is left empty: `ssl` uses the same library and reads it.
"""

import ctypes
import sys
from collections.abc import Callable, Iterable
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_ulong, c_void_p, create_string_buffer
from typing import Any, Final
from weakref import WeakKeyDictionary

from core.crypto import der
from core.crypto.errors import CryptoUnavailable
from core.crypto.keys import PrivateKey, PublicKey

LIBRARIES: Final = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib")

_SELECT_PUBLIC: Final = 0x86  # EVP_PKEY_PUBLIC_KEY, include/openssl/evp.h
_SELECT_KEYPAIR: Final = 0x87  # EVP_PKEY_KEYPAIR
_UNSIGNED_INTEGER, _UTF8_STRING, _OCTET_STRING = 2, 4, 5  # OSSL_PARAM_*, include/openssl/core.h
_NID_SM2: Final = 1172  # include/openssl/obj_mac.h
_UNCOMPRESSED: Final = 4  # POINT_CONVERSION_UNCOMPRESSED, include/openssl/ec.h
_LONGEST_SIGNATURE: Final = 72
_CIPHERTEXT_ROOM: Final = 128  # DER around the plaintext: two integers, C3, four headers


class _Param(Structure):
    """OSSL_PARAM of OpenSSL 3."""

    _fields_ = (
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    )


class _Symbol(Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (("file", c_char_p), ("base", c_void_p), ("name", c_char_p), ("address", c_void_p))


_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "OPENSSL_version_major": (c_uint, ()),
    "OpenSSL_version": (c_char_p, (c_int,)),
    "ERR_clear_error": (None, ()),
    "ERR_peek_last_error": (c_ulong, ()),
    "ERR_error_string_n": (None, (c_ulong, c_char_p, c_size_t)),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_CTX_new_from_pkey": (c_void_p, (c_void_p, c_void_p, c_char_p)),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_fromdata_init": (c_int, (c_void_p,)),
    "EVP_PKEY_fromdata": (c_int, (c_void_p, POINTER(c_void_p), c_int, POINTER(_Param))),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_sign_init": (c_int, (c_void_p,)),
    "EVP_PKEY_sign": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_PKEY_verify_init": (c_int, (c_void_p,)),
    "EVP_PKEY_verify": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
    "EVP_PKEY_encrypt_init": (c_int, (c_void_p,)),
    "EVP_PKEY_encrypt": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_PKEY_decrypt_init": (c_int, (c_void_p,)),
    "EVP_PKEY_decrypt": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EC_GROUP_new_by_curve_name": (c_void_p, (c_int,)),
    "EC_GROUP_free": (None, (c_void_p,)),
    "EC_POINT_new": (c_void_p, (c_void_p,)),
    "EC_POINT_free": (None, (c_void_p,)),
    "EC_POINT_mul": (c_int, (c_void_p,) * 6),
    "EC_POINT_point2oct": (c_size_t, (c_void_p, c_void_p, c_int, c_char_p, c_size_t, c_void_p)),
    "BN_bin2bn": (c_void_p, (c_char_p, c_int, c_void_p)),
    "BN_clear_free": (None, (c_void_p,)),
}


def load(names: Iterable[str] = LIBRARIES) -> ctypes.CDLL:
    """The first of the libraries that is OpenSSL 3 or newer, typed; CryptoUnavailable says what failed."""
    tried = []
    for name in names:
        try:
            return _typed(ctypes.CDLL(name))
        except (OSError, AttributeError, CryptoUnavailable) as unusable:  # absent, or 1.1.1 without these functions
            tried.append(f"{name}: {unusable}")
    raise CryptoUnavailable(f"no libcrypto >= 3.0 ({'; '.join(tried)})", cure="install OpenSSL 3 (Debian: libssl3)")


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    for function, (result, arguments) in _PROTOTYPES.items():
        entry = getattr(library, function)
        entry.restype, entry.argtypes = result, arguments
    major: int = library.OPENSSL_version_major()
    if major < 3:
        raise CryptoUnavailable(f"is version {major}")
    return library


class _Handle:
    """Owns one OpenSSL object and frees it with itself."""

    __slots__ = ("_free", "pointer")

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


class LibcryptoSm2:
    """The Sm2Provider with the promises above; CryptoUnavailable if the library refuses an operation on good input."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._private: WeakKeyDictionary[PrivateKey, _Handle] = WeakKeyDictionary()
        self._public: WeakKeyDictionary[PublicKey, _Handle] = WeakKeyDictionary()

    def describe(self) -> tuple[str, str, str]:
        """Name, file and version of the library."""
        version: bytes = self._library.OpenSSL_version(0)
        return "libcrypto", _file_of(self._library), version.decode()

    def public_xy(self, private: PrivateKey) -> bytes:
        """The point d * G by libcrypto's constant-time ladder."""
        lib = self._library
        # EC_GROUP and EC_POINT are not deprecated in OpenSSL 3; EVP_PKEY_fromdata alone would leave the point empty.
        group = _Handle(self._made(lib.EC_GROUP_new_by_curve_name(_NID_SM2), "curve"), lib.EC_GROUP_free)
        scalar = _Handle(self._made(lib.BN_bin2bn(private.raw, 32, None), "scalar"), lib.BN_clear_free)
        point = _Handle(self._made(lib.EC_POINT_new(group.pointer), "point"), lib.EC_POINT_free)
        done = lib.EC_POINT_mul(group.pointer, point.pointer, scalar.pointer, None, None, None)
        self._made(done == 1, "multiplication")
        out = create_string_buffer(65)
        size = lib.EC_POINT_point2oct(group.pointer, point.pointer, _UNCOMPRESSED, out, 65, None)
        self._made(size == 65, "point encoding")
        return out.raw[1:]

    def sign(self, private: PrivateKey, digest: bytes) -> bytes:
        """The 64 bytes r || s with a nonce from libcrypto's private random generator."""
        out, size = create_string_buffer(_LONGEST_SIGNATURE), c_size_t(_LONGEST_SIGNATURE)
        done = self._run("sign", self._private_handle(private), out, byref(size), digest, len(digest))
        self._made(done, "signature")
        return der.signature_from_der(out.raw[: size.value])

    def verify(self, public: PublicKey, digest: bytes, signature: bytes) -> bool:
        """Whether r || s fits."""
        encoded = der.signature_to_der(signature)
        return self._run("verify", self._public_handle(public), encoded, len(encoded), digest, len(digest))

    def encrypt(self, public: PublicKey, plaintext: bytes) -> bytes:
        """The bytes 04 || C1 || C3 || C2."""
        room = len(plaintext) + _CIPHERTEXT_ROOM
        out, size = create_string_buffer(room), c_size_t(room)
        done = self._run("encrypt", self._public_handle(public), out, byref(size), plaintext, len(plaintext))
        self._made(done, "encryption")
        return der.ciphertext_from_der(out.raw[: size.value])

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes | None:
        """The plaintext, or None if C3 does not fit."""
        encoded = der.ciphertext_to_der(ciphertext)
        out, size = create_string_buffer(len(ciphertext)), c_size_t(len(ciphertext))
        done = self._run("decrypt", self._private_handle(private), out, byref(size), encoded, len(encoded))
        return out.raw[: size.value] if done else None

    def _run(self, operation: str, key: _Handle, *arguments: object) -> bool:
        """One EVP_PKEY operation in a context of its own; a no leaves no trace in the error queue."""
        lib = self._library
        context = self._made(lib.EVP_PKEY_CTX_new_from_pkey(None, key.pointer, None), "context")
        try:
            self._made(getattr(lib, f"EVP_PKEY_{operation}_init")(context) == 1, operation)
            done: bool = getattr(lib, f"EVP_PKEY_{operation}")(context, *arguments) == 1
        finally:
            lib.EVP_PKEY_CTX_free(context)
        if not done:
            lib.ERR_clear_error()
        return done

    def _private_handle(self, key: PrivateKey) -> _Handle:
        handle = self._private.get(key)
        if handle is None:
            native = key.raw if sys.byteorder == "big" else key.raw[::-1]
            secret = ((b"priv", _UNSIGNED_INTEGER, native),)
            handle = self._private[key] = self._parse(_SELECT_KEYPAIR, self.public_xy(key), secret)
        return handle

    def _public_handle(self, key: PublicKey) -> _Handle:
        handle = self._public.get(key)
        if handle is None:
            handle = self._public[key] = self._parse(_SELECT_PUBLIC, key.raw)
        return handle

    def _parse(self, selection: int, xy: bytes, secret: tuple[tuple[bytes, int, bytes], ...] = ()) -> _Handle:
        lib = self._library
        values = ((b"group", _UTF8_STRING, b"SM2"), (b"pub", _OCTET_STRING, b"\x04" + xy), *secret)
        buffers = [create_string_buffer(value, len(value)) for _, _, value in values]  # alive until the call returns
        params = (_Param * (len(values) + 1))()  # the last stays all zero: OSSL_PARAM_END
        for index, (name, kind, value) in enumerate(values):
            params[index] = _Param(name, kind, ctypes.cast(buffers[index], c_void_p), len(value), 0)
        key = c_void_p()
        context = self._made(lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None), "algorithm SM2")
        try:
            self._made(lib.EVP_PKEY_fromdata_init(context) == 1, "key import")
            self._made(lib.EVP_PKEY_fromdata(context, byref(key), selection, params) == 1, "key import")
        finally:
            lib.EVP_PKEY_CTX_free(context)
            for buffer in buffers:
                ctypes.memset(buffer, 0, len(buffer))
        assert key.value is not None
        return _Handle(key.value, lib.EVP_PKEY_free)

    def _made(self, result: Any, what: str) -> Any:
        if not result:
            text = create_string_buffer(256)
            self._library.ERR_error_string_n(self._library.ERR_peek_last_error(), text, len(text))
            self._library.ERR_clear_error()
            raise CryptoUnavailable(f"libcrypto has no SM2 {what}: {text.value.decode(errors='replace')}")
        return result


def open_sm2() -> LibcryptoSm2:
    """SM2 by this machine's libcrypto, not yet probed; CryptoUnavailable if there is none."""
    return LibcryptoSm2(load())


def _file_of(library: ctypes.CDLL) -> str:
    """The file that the loader took, as far as the C library tells."""
    symbol = _Symbol()
    try:
        found = ctypes.CDLL(None).dladdr(library.OpenSSL_version, byref(symbol))
    except AttributeError:  # a C library without dladdr
        found = 0
    return symbol.file.decode(errors="replace") if found and symbol.file else "libcrypto"
