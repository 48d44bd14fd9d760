"""Who may look: each promise of `edge.live.grants` and of the grant itself."""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import MessageInvalid, SignatureInvalid
from core.messages.signed import Signed
from core.messages.view_grant import LONGEST_VIEW, ViewGrant
from edge.ledger import Ledger
from edge.live.grants import Grants
from edge.live.words import STATUS, ViewRefused, Why

from .conftest import EDGE, START, grant, new_id


@pytest.fixture
def grants(trusted, clock, shelf):
    return Grants(EDGE, trusted, clock, shelf, Ledger(shelf, clock.stamp))


def why(grants, text, device="cam-1"):
    with pytest.raises(ViewRefused) as raised:
        grants.read(text, device)
    return raised.value.why


async def test_a_grant_serves_once_and_who_looks_is_on_the_disk_first(grants, signer, shelf):
    text = grant(signer)
    granted = grants.read(text, "cam-1")
    assert grants.read(text, "cam-1") == granted, "reading uses nothing up"
    await grants.redeem(granted)
    assert shelf.kinds() == ["ViewOpened"]
    assert (shelf.rows[0][1]["actor"], shelf.rows[0][1]["granted_by"]) == ("duty officer", "central")
    assert why(grants, text) is Why.REPLAYED


async def test_a_grant_is_not_good_again_after_a_restart(grants, signer, shelf, clock, trusted):
    text = grant(signer)
    await grants.redeem(grants.read(text, "cam-1"))
    again = Grants(EDGE, trusted, clock, shelf, Ledger(shelf, clock.stamp))
    assert why(again, text) is Why.REPLAYED


async def test_two_at_once_with_one_grant_are_one(grants, signer, shelf):
    granted = grants.read(grant(signer), "cam-1")
    shelf.gate = asyncio.Event()
    first = asyncio.create_task(grants.redeem(granted))
    await asyncio.sleep(0)
    with pytest.raises(ViewRefused) as raised:
        await grants.redeem(granted)
    assert raised.value.why is Why.REPLAYED
    shelf.gate.set()
    await first


async def test_nobody_looks_while_it_cannot_be_recorded_and_the_record_says_so_later(grants, signer, shelf):
    text = grant(signer)
    shelf.fail()
    with pytest.raises(ViewRefused) as raised:
        await grants.redeem(grants.read(text, "cam-1"))
    assert raised.value.why is Why.UNRECORDED
    assert shelf.rows == []


def test_a_grant_of_another_kind_place_or_time_is_refused(grants, signer, stranger, clock):
    assert why(grants, "") is Why.NO_GRANT
    assert why(grants, "no grant at all") is Why.MALFORMED
    assert why(grants, "é" * 10) is Why.MALFORMED
    assert why(grants, grant(stranger)) is Why.SIGNATURE
    assert why(grants, grant(signer, edge="south.eyes")) is Why.OTHER_EDGE
    assert why(grants, grant(signer, device="cam-2")) is Why.OTHER_CAMERA
    assert why(grants, grant(signer), device="cam-2") is Why.OTHER_CAMERA
    assert why(grants, grant(signer, at=START - timedelta(seconds=60))) is Why.EXPIRED
    order = Signed.make("command", json.dumps({"id": "x"}), signer).model_dump_json()
    assert why(grants, urlsafe_b64encode(order.encode()).decode()) is Why.MALFORMED
    assert set(STATUS) == set(Why)


def test_the_error_of_the_clock_counts_against_the_grant(grants, signer, clock):
    text = grant(signer, expires_s=60)
    clock.go(59)
    assert grants.read(text, "cam-1").left_s == pytest.approx(600 - 59 - 0.005)
    clock.go(0.996)
    assert why(grants, text) is Why.EXPIRED
    clock.known = None
    clock._kernel, clock._kernel_at = None, clock.ms
    assert why(grants, grant(signer, at=clock.now)) is Why.CLOCK


@pytest.mark.parametrize("place", ["body", "signature", "key_id"])
def test_one_changed_sign_and_it_is_nobodys(grants, signer, place):
    text = grant(signer)
    told = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    value = told[place].replace("cam-1", "cam-9") if place == "body" else "A" + told[place][1:-1] + "BB"
    forged = urlsafe_b64encode(json.dumps(told | {place: value}).encode()).decode()
    assert why(grants, forged, "cam-9" if place == "body" else "cam-1") is Why.SIGNATURE


async def test_a_technicians_grant_serves_once_within_a_minute_for_its_camera(grants, shelf, clock):
    text, _ = grants.make_local("cam-1", "local:cli:wei", new_id())
    assert why(grants, text, "cam-2") is Why.OTHER_CAMERA
    clock.known = None  # an unset clock does not lock a technician out: his minute is counted, not dated
    await grants.redeem(grants.read(text, "cam-1"))
    assert shelf.rows[0][1]["granted_by"] == "local"
    assert why(grants, text) is Why.REPLAYED
    late, _ = grants.make_local("cam-1", "local:cli:wei", new_id())
    clock.go(60)
    assert why(grants, late) is Why.EXPIRED
    for _ in range(200):
        grants.make_local("cam-1", "local:cli:wei", new_id())
    assert len(grants._local) <= 64


async def test_what_is_long_over_is_forgotten(grants, signer, shelf, clock):
    await grants.redeem(grants.read(grant(signer), "cam-1"))
    clock.go(3 * 3600)
    await grants.redeem(grants.read(grant(signer, at=clock.now), "cam-1"))
    assert len(shelf.memos("view/")) == 1


@given(st.text(max_size=300))
def test_no_text_is_a_grant(text):
    class Nobody:
        def verify(self, *_):
            return True

    with pytest.raises((MessageInvalid, SignatureInvalid)):
        ViewGrant.read(text, Nobody())


def test_a_grant_with_times_in_disorder_or_too_long_cannot_be_made(signer):
    for expires_s, for_s in ((700, 600), (-1, 600), (60, LONGEST_VIEW.total_seconds() + 1)):
        with pytest.raises(ValidationError):
            grant(signer, expires_s=expires_s, for_s=for_s)
