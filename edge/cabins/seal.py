"""The seal of this edge's boardings: a key of its own, which is nowhere but here."""

from base64 import urlsafe_b64encode

from core.crypto import load_private, suite
from core.crypto.signing import SigningKey
from core.errors import ConfigInvalid, GatefleetError
from edge.config import read_secret
from edge.lanes.boarding import Seal
from edge.sections import CryptoSection

_PLACE = "crypto.seal_key"
_CURE = "`gatefleet edge seal-key new FILE` makes one"


def seal_of(section: CryptoSection) -> Seal:
    """Return the seal; raise ConfigInvalid where there is no key that fits."""
    if not section.seal_key:
        raise ConfigInvalid("a cabin's summaries are sealed: it needs a key", place=_PLACE, cure=_CURE)
    try:
        key = SigningKey(load_private(read_secret(section.seal_key)))
    except ConfigInvalid:
        raise
    except GatefleetError as error:
        raise ConfigInvalid(error.detail, place=_PLACE, cure=error.cure or _CURE) from error
    if key.private.suite != section.suite:
        why = f"a key of suite {key.private.suite}, the edge's is {section.suite}"
        raise ConfigInvalid(why, place=_PLACE, cure=_CURE)
    crypto = suite(section.suite)
    name = "sm3" if section.suite == "sm" else "sha256"
    return Seal(
        key.key_id,
        lambda data: urlsafe_b64encode(key.sign(data)).decode().rstrip("="),
        lambda data: f"{name}:{crypto.hash(data).hex()}",
    )
