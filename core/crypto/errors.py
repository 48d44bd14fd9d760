"""What can go wrong with keys, seals and libraries."""

from core.errors import GatefleetError, Whose


class KeyInvalid(GatefleetError):
    """A key that is malformed, off its curve, out of range or of another suite; the text never repeats the key."""

    code = "key_invalid"


class PlaintextRefused(GatefleetError):
    """A plaintext whose length the cipher cannot take."""

    code = "plaintext_refused"


class SealBroken(GatefleetError):
    """A sealed or encrypted value was changed, cut, or made for another key."""

    code = "seal_broken"
    whose = Whose.REFUSED


class CryptoUnavailable(GatefleetError):
    """No library on this machine can do what the suite needs, or the one that was asked for cannot."""

    code = "crypto_unavailable"
