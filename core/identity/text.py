"""What every reader of identifiers does first: one width, one case, one kind of space."""

_TO_ASCII_UPPER = (
    {0xFF01 + offset: chr(0x21 + offset).upper() for offset in range(0x5E)}
    | {ord(letter): letter.upper() for letter in "abcdefghijklmnopqrstuvwxyz"}
    | {0x3000: " ", 0x00A0: " ", 0xFEFF: None}
)
"""Not `str.upper()` nor NFKC: they turn one foreign sign into several, and a wrong plate into a right one."""


def fold(text: str) -> str:
    """Return the text with full-width signs as ASCII and the letters a-z as A-Z; everything else stays."""
    return text.translate(_TO_ASCII_UPPER)


def squeeze(text: str) -> str:
    """Return the folded text without any white space."""
    return "".join(fold(text).split())


def shorten(text: str, limit: int = 64) -> str:
    """Return at most `limit` + 1 signs, so that a parser can tell "too long" without walking through the rest."""
    return text[: limit + 1]
