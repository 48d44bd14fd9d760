"""What central signs: one purpose never passes for another, and one changed byte is enough."""

from datetime import UTC, datetime, timedelta

import pytest

from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.errors import MessageInvalid, SignatureInvalid
from core.messages.commands import OpenLane, Order
from core.messages.signed import Signed

KEYS = [SigningKey(suite(name).generate()) for name in ("sm", "intl")]
BODY = '{"hello":"世界"}'


@pytest.mark.parametrize("key", KEYS, ids=["sm", "intl"])
def test_a_signed_text_opens_for_who_trusts_the_key(key):
    raw = Signed.make("command", BODY, key).model_dump_json()
    assert Signed.read(raw, "command").opened(TrustedKeys([key.public])) == BODY


@pytest.mark.parametrize("key", KEYS, ids=["sm", "intl"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one.model_copy(update={"body": one.body + " "}),
        lambda one: one.model_copy(
            update={"signature": "A" + one.signature[1:] if one.signature[0] != "A" else "B" + one.signature[1:]}
        ),
        lambda one: one.model_copy(update={"signature": "!"}),
        lambda one: one.model_copy(update={"signature": ""}),
        lambda one: one.model_copy(update={"key_id": "0" * 20}),
        lambda one: one.model_copy(update={"purpose": "list"}),
    ],
)
def test_anything_changed_is_refused(key, spoil):
    with pytest.raises(SignatureInvalid):
        spoil(Signed.make("command", BODY, key)).opened(TrustedKeys([key.public]))


def test_another_purpose_is_refused_before_any_signature_is_looked_at():
    with pytest.raises(MessageInvalid, match="signed as list"):
        Signed.read(Signed.make("list", BODY, KEYS[0]).model_dump_json(), "command")


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"\xff", b'{"purpose":"command","key_id":"k","body":"","signature":"", "x":1}']
)
def test_garbage_is_refused(raw):
    with pytest.raises(MessageInvalid):
        Signed.read(raw, "command")


@pytest.mark.parametrize(
    ("late_ms", "offset_ms", "error_ms", "expired"),
    [
        (0, 0, 0, False),
        (4_999, 0, 0, False),
        (5_000, 0, 0, True),
        (4_000, 0, 1_000, True),
        (4_000, 0, 999, False),
        (60_000, -56_000, 500, False),
        (0, 6_000, 0, True),
        (0, 0, 86_400_000, True),
    ],
)
def test_an_order_is_over_by_centrals_clock_and_doubt_counts_against_it(late_ms, offset_ms, error_ms, expired):
    issued = datetime(2026, 11, 21, tzinfo=UTC)
    order = Order(
        id="0" * 26,
        edge="a.b",
        target="L1",
        command=OpenLane(),
        issued_at=issued,
        expires_at=issued + timedelta(seconds=5),
        actor="x",
        reason="y",
    )
    assert order.expired(issued + timedelta(milliseconds=late_ms), offset_ms, error_ms) is expired
